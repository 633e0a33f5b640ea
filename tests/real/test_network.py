"""network on a real API server, as a process with exactly the rights of its ClusterRole."""

import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from controllers.network import desired, names, templates
from controllers.network.config import NetworkSettings
from controllers.network.rules import Group
from tests.support import builders
from tests.support.cluster import kubeflow, observe, service_account, waiting
from tests.support.cluster.audit import Audit
from tests.support.cluster.manager_process import Launcher, ManagerProcess
from tests.support.controlplane import ControlPlane, Json, StatusError

pytestmark = pytest.mark.xdist_group("network")

CONDITION = "NetworkReady"
RESYNC_MINUTES = "0.03"
OPT_INS = {names.GITEA_LABEL: "true", names.CLOUD_MAIN_LABEL: "false", names.S3_LABEL: "true"}
DENY: Json = {"podSelector": {}, "policyTypes": ["Ingress"]}
MARKS = {
    "app.kubernetes.io/managed-by": "profiles-controller",
    "app.kubernetes.io/component": "network",
}
FURTHER: dict[str, Any] = {
    "metadata": {"name": "further", "labels": {"team": "x"}, "annotations": {"why": "asked"}},
    "spec": {
        "podSelector": {"matchLabels": {}},
        "egress": [
            {},
            {
                "to": [
                    {"podSelector": {}, "namespaceSelector": {"matchLabels": {"a": "${namespace}"}}}
                ],
                "ports": [{"port": 8000, "endPort": 8010}, {"protocol": "SCTP"}, {"port": "h2"}],
            },
        ],
        "ingress": [{"from": []}],
    },
}
CONFIGURED: dict[str, Any] = {
    "policies": {"protected-b-default-deny": True, "allow-jfrog-egress": False},
    "peers": {
        "api-server": ["10.0.0.1/32", "fd00::/64"],
        "internet": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}}],
        "dns": [
            {
                "namespaceSelector": {},
                "podSelector": {"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]},
            }
        ],
    },
    "ports": {"vault": [8200, "8300-8310/UDP", "vault"], "trino": [8443], "jfrog": "any"},
    "extra_policies": [FURTHER],
    "driver_mode": "central",
    "artifacts_proxy_enabled": True,
}


def path(namespace: str, name: str = "") -> str:
    collection = f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies"
    return f"{collection}/{name}" if name else collection


def policies(plane: ControlPlane, namespace: str) -> dict[str, Json]:
    return {one["metadata"]["name"]: one for one in plane.request("GET", path(namespace))["items"]}


def expected(
    namespace: str, labels: Mapping[str, str] | None = None, **settings: Any
) -> dict[str, Json]:
    """Name -> spec of what a profile should have."""
    profile = builders.profile(namespace, labels=labels)
    manifests = desired.desired(
        profile, desired.Facts(), NetworkSettings.model_validate(settings)
    ).objects
    return {one.name: one.content["spec"] for one in manifests}


def is_ready_profile(plane: ControlPlane, name: str, specs: Mapping[str, Json]) -> bool:
    """Whether all that bears our labels is what should be there, and the condition says so."""
    found = policies(plane, name)
    ours = {
        key: one["spec"]
        for key, one in found.items()
        if MARKS.items() <= (one["metadata"].get("labels") or {}).items()
    }
    return ours == specs and observe.condition_status(plane, name, CONDITION) == "True"


def wait_ready(plane: ControlPlane, name: str, specs: Mapping[str, Json]) -> None:
    waiting.until(lambda: is_ready_profile(plane, name, specs), f"{name} has its policies")


def says(plane: ControlPlane, name: str, text: str) -> bool:
    return text in observe.condition_message(plane, name, CONDITION)


def policy(name: str, namespace: str, spec: Json = DENY, **metadata: Any) -> Json:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace, **metadata},
        "spec": spec,
    }


def settings_file(folder: Path, **settings: Any) -> str:
    file = folder / "settings.yaml"
    file.write_text(yaml.safe_dump({"network": settings}))
    return str(file)


def uids(plane: ControlPlane, namespace: str) -> dict[str, str]:
    return {name: one["metadata"]["uid"] for name, one in policies(plane, namespace).items()}


def versions(plane: ControlPlane, namespace: str) -> dict[str, str]:
    found = policies(plane, namespace)
    return {name: one["metadata"]["resourceVersion"] for name, one in found.items()}


def wait_for_event(plane: ControlPlane, name: str) -> None:
    """Waits for the event, the last request of a reconcile."""
    waiting.until(lambda: observe.events(plane, name, reason="Reconciled"), f"{name} has an event")


def wait_for_resyncs(manager: ManagerProcess, plane: ControlPlane) -> None:
    """Waits for two more reconciles of each profile, including those of other tests."""
    observe.wait_for_reconciles(manager, 2 * len(plane.request("GET", kubeflow.PROFILES)["items"]))


@pytest.fixture
def running(launcher: Launcher) -> Iterator[ManagerProcess]:
    """One process with the default settings, for one test."""
    manager = launcher.start("network", "--resync", RESYNC_MINUTES).wait_ready()
    yield manager
    assert manager.stop() == 0


@pytest.mark.parametrize("settings", [{}, CONFIGURED], ids=["default", "configured"])
def test_the_server_returns_each_policy_as_it_was_sent(
    control_plane: ControlPlane, settings: dict[str, Any]
) -> None:
    every = {**settings, "driver_mode": "central", "artifacts_proxy_enabled": True}
    for name, spec in expected("default", OPT_INS, **every).items():
        sent = policy(name, "default", spec)
        stored = control_plane.request("POST", f"{path('default')}?dryRun=All", sent)
        assert stored["spec"] == spec


CIDRS = ["10.0.0.0/8", "10.0.0.1/8", "10.0.0.0", "010.0.0.0/8", "::/0", "::1/0", "FD00::/8", "x"]
PORTS: list[Any] = [0, 1, 65535, 65536, "http", "HTTP", "a" * 15, "a" * 16, "1", "a--b", "-a", ""]


def refuses(plane: ControlPlane, spec: Json) -> bool:
    try:
        plane.request("POST", f"{path('default')}?dryRun=All", policy("tried", "default", spec))
    except StatusError as error:
        if error.status not in (400, 422):
            raise
        return True
    return False


@pytest.mark.parametrize("cidr", CIDRS)
def test_the_server_accepts_every_cidr_that_the_settings_accept(
    control_plane: ControlPlane, cidr: str
) -> None:
    try:
        spec = expected("default", peers={"vault": [cidr]})["vault-egress"]
    except ValueError:
        return
    assert not refuses(control_plane, spec)


@pytest.mark.parametrize("port", PORTS)
def test_a_port_is_refused_exactly_when_the_server_refuses_it(
    control_plane: ControlPlane, port: Any
) -> None:
    spec = {**DENY, "ingress": [{"ports": [{"port": port, "protocol": "TCP"}]}]}
    further = {"metadata": {"name": "tried"}, "spec": spec}
    try:
        expected("default", extra_policies=[further])
    except ValueError:
        assert refuses(control_plane, spec)
    else:
        assert not refuses(control_plane, spec)


def test_a_tenant_gets_its_policies_and_the_steady_state_writes_nothing(
    control_plane: ControlPlane, launcher: Launcher, running: ManagerProcess
) -> None:
    kubeflow.create_tenants(control_plane, ["net-plain"])
    kubeflow.create_tenants(control_plane, ["net-full"], labels=OPT_INS)
    wait_ready(control_plane, "net-plain", expected("net-plain"))
    wait_ready(control_plane, "net-full", expected("net-full", OPT_INS))
    before = {name: versions(control_plane, name) for name in ("net-plain", "net-full")}
    for name in before:
        wait_for_event(control_plane, name)
    audit = Audit(control_plane, service_account.user("network"))

    wait_for_resyncs(running, control_plane)
    second = launcher.start("network", "--resync", RESYNC_MINUTES).wait_ready()
    wait_for_resyncs(second, control_plane)

    # Objects of other tests may still be reconciled.
    assert [] == [write for write in audit.writes() if any(name in write for name in before)]
    assert before == {name: versions(control_plane, name) for name in before}
    assert 0 == second.stop()


def test_an_edited_or_deleted_policy_is_restored(
    control_plane: ControlPlane, running: ManagerProcess
) -> None:
    specs = expected("net-touched")
    kubeflow.create_tenants(control_plane, ["net-touched"])
    wait_ready(control_plane, "net-touched", specs)
    before = uids(control_plane, "net-touched")

    observe.patch(control_plane, path("net-touched", "vault-egress"), {"spec": {"egress": None}})
    unmarked = {"metadata": {"labels": None}}
    observe.patch(control_plane, path("net-touched", "allow-jfrog-egress"), unmarked)
    observe.patch(control_plane, path("net-touched", "allow-dns-egress"), unmarked)
    observe.delete(control_plane, path("net-touched", "unclassified-allow-egress"))

    wait_ready(control_plane, "net-touched", specs)
    after = uids(control_plane, "net-touched")
    assert {"unclassified-allow-egress"} == {name for name in before if before[name] != after[name]}
    assert running.exit_code is None


def test_labels_add_and_remove_policies_and_an_invalid_one_is_reported(
    control_plane: ControlPlane, running: ManagerProcess
) -> None:
    kubeflow.create_tenants(control_plane, ["net-labels"])
    wait_ready(control_plane, "net-labels", expected("net-labels"))
    for label, text in OPT_INS.items():
        observe.patch_labels(control_plane, "net-labels", {label: text})
        wait_ready(control_plane, "net-labels", expected("net-labels", {label: text}))
        observe.patch_labels(control_plane, "net-labels", {label: "maybe"})
        message = f"label {label} is invalid: 'maybe' is not a boolean"
        waiting.until(
            functools.partial(says, control_plane, "net-labels", message),
            "the condition has the message",
        )
        found = {name: one["spec"] for name, one in policies(control_plane, "net-labels").items()}
        assert found == expected("net-labels")
        observe.patch_labels(control_plane, "net-labels", {label: None})
        wait_ready(control_plane, "net-labels", expected("net-labels"))
    reasons = {one["reason"] for one in observe.events(control_plane, "net-labels", type="Warning")}
    assert {"InvalidBoolean"} == reasons
    assert [] == running.warnings_and_errors("net-labels")


def test_policies_of_the_older_suite_are_adopted_or_deleted_and_others_are_not_changed(
    control_plane: ControlPlane, running: ManagerProcess
) -> None:
    profile = kubeflow.create_profile(control_plane, "net-heir", labels={names.S3_LABEL: "true"})
    namespace = kubeflow.namespace_manifest(profile)
    owners = namespace["metadata"].pop("ownerReferences")
    control_plane.apply(namespace)
    older = [*sorted(names.SAME_NAMES | names.RETIRED)]
    unlabelled = ["theirs", "allow-istiod-egress-too"]
    control_plane.apply(
        *(policy(name, "net-heir", ownerReferences=owners) for name in (*older, *unlabelled)),
        policy("unowned", "net-heir"),
    )
    before, versions_before = uids(control_plane, "net-heir"), versions(control_plane, "net-heir")

    # The Profile owns the namespace from here on: all policies are reconciled at once.
    owner = {"metadata": {"ownerReferences": owners}}
    observe.patch(control_plane, "/api/v1/namespaces/net-heir", owner)

    specs = expected("net-heir", {names.S3_LABEL: "true"})
    wait_ready(control_plane, "net-heir", specs)
    after = uids(control_plane, "net-heir")
    left = {*unlabelled, "unowned"}
    assert specs.keys() | left == after.keys()
    adopted = names.SAME_NAMES & specs.keys()
    assert len(adopted) == len(templates.read(Group.PROFILES.value)) + 1
    assert {name: before[name] for name in adopted | left} == {
        name: after[name] for name in adopted | left
    }
    final = versions(control_plane, "net-heir")
    assert {versions_before[name] for name in left} == {final[name] for name in left}
    assert 0 == len(running.warnings_and_errors("net-heir"))


def test_an_unowned_policy_with_our_name_is_refused_and_the_others_are_created(
    control_plane: ControlPlane, running: ManagerProcess
) -> None:
    profile = kubeflow.create_profile(control_plane, "net-taken")
    namespace = kubeflow.namespace_manifest(profile)
    owners = namespace["metadata"].pop("ownerReferences")
    control_plane.apply(namespace, policy("vault-egress", "net-taken"))
    version = versions(control_plane, "net-taken")["vault-egress"]
    owner = {"metadata": {"ownerReferences": owners}}
    observe.patch(control_plane, "/api/v1/namespaces/net-taken", owner)

    message = "NetworkPolicy net-taken/vault-egress refused"
    waiting.until(
        lambda: says(control_plane, "net-taken", message), "the condition reports the refusal"
    )
    found = policies(control_plane, "net-taken")
    assert expected("net-taken").keys() == found.keys()
    assert version == found["vault-egress"]["metadata"]["resourceVersion"]
    assert running.exit_code is None


SLICE = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"


@pytest.fixture
def endpoints(control_plane: ControlPlane) -> Iterator[Json]:
    """The EndpointSlice of the API server, which the control plane of the tests does not create."""
    metadata = {"name": "kubernetes", "namespace": "default"}
    where = {"addressType": "IPv4", "endpoints": [{"addresses": ["172.18.0.2", "172.18.0.3"]}]}
    port = {"name": "https", "port": 6443, "protocol": "TCP"}
    made = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": metadata}
    control_plane.apply({**made, **where, "ports": [port]})
    yield made
    observe.delete(control_plane, f"{SLICE}/kubernetes")


@pytest.mark.usefixtures("endpoints")
def test_pipelines_reach_the_api_server_at_its_endpoints(
    control_plane: ControlPlane, running: ManagerProcess
) -> None:
    """The controller may read only that EndpointSlice."""
    kubeflow.create_tenants(control_plane, ["net-served"])

    def reached() -> list[str]:
        rules = policies(control_plane, "net-served")[names.API_SERVER]["spec"]["egress"]
        return [peer["ipBlock"]["cidr"] for rule in rules for peer in rule["to"]]

    def waits_for(*addresses: str) -> None:
        due = ["10.96.0.1/32", *(f"{one}/32" for one in addresses)]
        waiting.until(lambda: reached() == due, f"{addresses} are reached")

    waiting.until(lambda: names.API_SERVER in policies(control_plane, "net-served"), "it is made")
    waits_for("172.18.0.2", "172.18.0.3")
    other = {"endpoints": [{"addresses": ["172.18.0.4"]}]}
    observe.patch(control_plane, f"{SLICE}/kubernetes", other)
    waits_for("172.18.0.4")
    wait_for_event(control_plane, "net-served")
    before = versions(control_plane, "net-served")
    wait_for_resyncs(running, control_plane)
    assert before == versions(control_plane, "net-served")
    assert [] == running.warnings_and_errors("net-served")


def test_other_settings_delete_only_policies_that_are_no_longer_desired(
    control_plane: ControlPlane, launcher: Launcher, tmp_path: Path
) -> None:
    kubeflow.create_tenants(control_plane, ["net-set", "net-set-twin"], labels=OPT_INS)
    control_plane.apply(policy("theirs", "net-set"))
    untouched = control_plane.request("GET", path("net-set", "theirs"))
    first = launcher.start(
        "network", "--config", settings_file(tmp_path, **CONFIGURED)
    ).wait_ready()
    for name in ("net-set", "net-set-twin"):
        wait_ready(control_plane, name, expected(name, OPT_INS, **CONFIGURED))
    before = uids(control_plane, "net-set")
    assert 0 == first.stop()

    fewer = {"policies": {"vault-egress": False, names.DRIVER: True}, "ports": {"dns": ["53/UDP"]}}
    second = launcher.start("network", "--config", settings_file(tmp_path, **fewer)).wait_ready()

    for name in ("net-set", "net-set-twin"):
        wait_ready(control_plane, name, expected(name, OPT_INS, **fewer))
    after = uids(control_plane, "net-set")
    assert {"vault-egress", "further", names.DEFAULT_DENY, names.ARTIFACT_PROXY} == (
        before.keys() - after.keys()
    )
    assert {"allow-jfrog-egress"} == after.keys() - before.keys()
    assert all(after[name] == before[name] for name in before.keys() & after.keys())
    assert untouched == control_plane.request("GET", path("net-set", "theirs"))
    assert 0 == second.stop()


def test_invalid_settings_end_the_process_and_all_are_named(
    launcher: Launcher, tmp_path: Path
) -> None:
    wrong = settings_file(
        tmp_path, policies={"vault": True}, peers={"dns": ["x"]}, ports={"vault": [0]}
    )
    manager = launcher.start("network", "--config", wrong)

    assert 2 == manager.wait()
    for place in ("network.policies.vault", "network.peers.dns", "network.ports.vault"):
        assert place in manager.text()
    assert "Traceback" not in manager.text()
