"""The chart on a real API server, in a namespace that enforces the restricted standard."""

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from controllers import registry
from tests.support.chart import json_schema, programs, render
from tests.support.cluster import kubeflow, observe, waiting
from tests.support.cluster import kubelet as cluster_kubelet
from tests.support.cluster.audit import Audit
from tests.support.cluster.manager_process import ManagerProcess
from tests.support.controlplane import ControlPlane, Json, StatusError
from tests.support.crds import upstream

EVERYTHING = render.CHART / "ci" / "everything-values.yaml"
PROFILE = "chart-jane"
# What Prometheus adds to each sample, by the Prometheus Operator's relabelings.
TARGET_LABELS = {"namespace", "job", "pod", "service", "endpoint", "container", "instance"}
# What a dashboard's placeholders stand for.
PLACEHOLDERS = {"$__rate_interval": "5m", "$namespace": ".*", "$job": ".*"}
pytestmark = pytest.mark.xdist_group("chart")


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """Return a separate control plane: controllers of a chart reconcile every Profile."""
    with ControlPlane.start(tmp_path_factory.mktemp("chart-plane"), audit=True) as started:
        kubeflow.install(started)
        kubeflow.install_gitea(started)
        for crd in upstream.prometheus_crds():
            kubeflow.apply_crd(started, crd)
        started.apply(namespace("kubeflow"))
        yield started


def namespace(name: str, **labels: str) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": labels},
    }


def secret(name: str, **values: str) -> Json:
    metadata = {"name": name, "namespace": render.NAMESPACE}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": values}


def helm(plane: ControlPlane, *words: str | Path) -> str:
    where = ("--kubeconfig", plane.kubeconfig, "--namespace", render.NAMESPACE)
    done = render.helm(*words, *where)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def notes(plane: ControlPlane) -> str:
    """Install with everything enabled. Returns the output of helm."""
    enforced = {"pod-security.kubernetes.io/enforce": "restricted"}
    plane.apply(
        namespace(render.NAMESPACE, **enforced),
        secret("object-store", accesskey="unused", secretkey="unused"),
        secret("postgres", password="unused"),
    )
    return helm(plane, "install", render.RELEASE, "{chart}", "--values", EVERYTHING)


@pytest.fixture(scope="module")
def manifests(plane: ControlPlane, notes: str) -> list[Json]:
    """Return what helm applied."""
    assert notes
    text = helm(plane, "get", "manifest", render.RELEASE)
    return [one for one in yaml.load_all(text, yaml.CSafeLoader) if one]


@pytest.fixture(scope="module")
def deployments(plane: ControlPlane, manifests: list[Json]) -> Mapping[str, Json]:
    """Return the controllers' Deployments from the API server, by component."""
    found = render.of_kind(manifests, "Deployment")
    found.pop("driver")
    return {
        name: plane.get("Deployment", one["metadata"]["name"], render.NAMESPACE, "apps/v1")
        for name, one in found.items()
    }


@pytest.fixture(scope="module")
def running(
    plane: ControlPlane,
    deployments: Mapping[str, Json],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Mapping[str, ManagerProcess]]:
    """Run every controller with the arguments of its Deployment."""
    with cluster_kubelet.Kubelet(plane, tmp_path_factory.mktemp("chart-pods")) as kubelet:
        yield {name: kubelet.start(one) for name, one in deployments.items()}


def test_the_notes_state_what_to_check(notes: str, deployments: Mapping[str, Json]) -> None:
    for name in deployments:
        assert re.search(rf"^  {name} ", notes, re.MULTILINE)
    assert "profiles-controller status" in notes
    assert "WARNING" not in notes


def test_every_pod_complies_with_the_restricted_standard(
    plane: ControlPlane, manifests: list[Json]
) -> None:
    path = f"/api/v1/namespaces/{render.NAMESPACE}/pods?dryRun=All"
    for one in manifests:
        if one["kind"] == "Deployment":
            assert plane.request("POST", path, pod_of(one))

    loose = pod_of(render.of_kind(manifests, "Deployment")["quotas"])
    del loose["spec"]["containers"][0]["securityContext"]
    with pytest.raises(StatusError, match="violates PodSecurity"):
        plane.request("POST", path, loose)


def pod_of(deployment: Json) -> Json:
    template = json.loads(json.dumps(deployment["spec"]["template"]))
    template["metadata"] |= {"name": deployment["metadata"]["name"]}
    return {"apiVersion": "v1", "kind": "Pod", **template}


def test_every_controller_starts_as_its_deployment_states_and_reconciles(
    plane: ControlPlane, deployments: Mapping[str, Json], running: Mapping[str, ManagerProcess]
) -> None:
    every = registry.controllers()
    variants = {f"{one.name}-{each}" for one in every for each in one.variants.names}
    assert variants | {one.name for one in every if not one.variants.names} == set(running)

    kubeflow.create_tenant(plane, PROFILE)
    for name, manager in running.items():
        probe = render.container(deployments[name])["readinessProbe"]["httpGet"]["path"]
        waiting.until(lambda: manager.probe_status(probe) == 200, f"{name} is ready")  # noqa: B023
        waiting.until(lambda: manager.total("leader_election_master_status") == 1, f"{name} leads")  # noqa: B023
    ready = ("QuotasReady", "LimitrangesReady", "NotebookReady", "PipelinesReady")
    waiting.until(
        lambda: {observe.condition_status(plane, PROFILE, one) for one in ready} == {"True"},
        f"{', '.join(ready)} are True",
    )
    quota = plane.get("ResourceQuota", "quotas", PROFILE)
    assert "200" == quota["spec"]["hard"]["pods"]


def test_no_controller_sends_a_request_that_its_role_forbids(
    plane: ControlPlane, deployments: Mapping[str, Json], running: Mapping[str, ManagerProcess]
) -> None:
    for name, manager in running.items():
        manager.wait_ready()
        account = deployments[name]["spec"]["template"]["spec"]["serviceAccountName"]
        audit = Audit(plane, f"system:serviceaccount:{render.NAMESPACE}:{account}")
        audit._start = 0
        asked = list(audit.events())
        assert asked, account
        assert audit.denied() == []


def test_one_process_for_all_starts_as_its_deployment_states(
    plane: ControlPlane, notes: str, tmp_path: Path
) -> None:
    """In a dry run, because the first release reconciles the same Profiles."""
    assert notes
    values = tmp_path / "values.json"
    values.write_text(json.dumps({"defaults": {"extraArgs": ["--dry-run"]}}))
    example = render.CHART / "ci" / "one-process-values.yaml"
    helm(plane, "install", "one", "{chart}", "--values", example, "--values", values)
    name = "one-profiles-controller-all"
    deployment = plane.get("Deployment", name, render.NAMESPACE, "apps/v1")
    audit = Audit(plane, f"system:serviceaccount:{render.NAMESPACE}:{name}")

    with cluster_kubelet.Kubelet(plane, tmp_path / "pods") as kubelet:
        kubelet.start(deployment).wait_ready()
    assert audit.denied() == []


def test_an_upgrade_with_the_same_values_changes_nothing(
    plane: ControlPlane, deployments: Mapping[str, Json]
) -> None:
    helm(plane, "upgrade", render.RELEASE, "{chart}", "--values", EVERYTHING)

    for one in deployments.values():
        metadata = one["metadata"]
        now = plane.get("Deployment", metadata["name"], render.NAMESPACE, "apps/v1")
        assert metadata["resourceVersion"] == now["metadata"]["resourceVersion"]


@pytest.mark.parametrize("example", render.EXAMPLES, ids=lambda path: str(path.stem))
def test_the_api_server_accepts_every_example_with_strict_validation(
    plane: ControlPlane, example: Path
) -> None:
    """It rejects unknown fields and invalid values."""
    plane.apply(namespace(render.NAMESPACE))
    for one in render.render(example):
        where = {"namespace": render.NAMESPACE}  # helm's, where a manifest names none
        metadata = {**where, **one["metadata"], "name": f"dry-{one['metadata']['name']}"}
        body = {**one, "metadata": metadata}
        path = f"{plane.client.collection(body)}?dryRun=All&fieldValidation=Strict"
        assert plane.request("POST", path, body)


@pytest.fixture(scope="module")
def schema_location(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> str:
    return json_schema.write(plane, tmp_path_factory.mktemp("schemas"))


def conform(location: str, text: str) -> subprocess.CompletedProcess[str]:
    program = str(programs.program("kubeconform"))
    command = [program, "-strict", "-summary", "-schema-location", location]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=False)


def test_every_example_is_valid_by_its_schemas(schema_location: str) -> None:
    text = "---\n".join(render.template(example).stdout for example in render.EXAMPLES)
    done = conform(schema_location, text)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Invalid: 0, Errors: 0, Skipped: 0" in done.stdout


def test_a_violation_of_a_schema_is_found(schema_location: str) -> None:
    (deployment, *_) = (one for one in render.render({}) if one["kind"] == "Deployment")
    wrong: list[Json] = [{"replicas": "many"}, {"replica": 1}]
    bodies = ({**deployment, "spec": {**deployment["spec"], **one}} for one in wrong)
    done = conform(schema_location, "\n---\n".join(map(json.dumps, bodies)))

    assert done.returncode == 1
    assert "Invalid: 2" in done.stdout


# PromQL, against what these processes export


def exported(running: Mapping[str, ManagerProcess]) -> dict[str, set[str]]:
    """Return the labels of every sample, by its name."""
    found: dict[str, set[str]] = {}
    for manager in running.values():
        for family in manager.wait_ready().families().values():
            name = f"{family.name}_total" if family.type == "counter" else family.name
            found.setdefault(name, set())
            for sample in family.samples:
                found.setdefault(sample.name, set()).update(sample.labels)
    return found


def expressions(manifests: list[Json]) -> dict[str, list[str]]:
    """Return the expressions of the alerts, rules and dashboard."""
    (rule,) = (one for one in manifests if one["kind"] == "PrometheusRule")
    (board,) = (
        json.loads(one["data"]["profiles-controller.json"])
        for one in manifests
        if one["metadata"]["name"].endswith("-dashboard")
    )
    return {
        "alerts": [one["expr"] for group in rule["spec"]["groups"] for one in group["rules"]],
        "dashboard": [
            filled(target["expr"]) for panel in board["panels"] for target in panel["targets"]
        ],
    }


def filled(expression: str) -> str:
    for placeholder, value in PLACEHOLDERS.items():
        expression = expression.replace(placeholder, value)
    return expression


def read(texts: list[str]) -> list[dict[str, Any]]:
    done = subprocess.run(
        [programs.program("selectors")],
        input=json.dumps(texts),
        capture_output=True,
        text=True,
        check=True,
    )
    return list(json.loads(done.stdout))


@pytest.mark.parametrize("what", ["alerts", "dashboard"])
def test_every_metric_and_label_in_an_expression_is_exported(
    what: str, manifests: list[Json], running: Mapping[str, ManagerProcess]
) -> None:
    known = exported(running) | {"up": set()}
    texts = expressions(manifests)[what]
    for text, expression in zip(texts, read(texts), strict=True):
        assert expression["error"] == "", text
        assert expression["selectors"] or "vector(" in text, text
        labels = set(TARGET_LABELS)
        for selector in expression["selectors"]:
            assert selector["metric"] in known, text
            own = known[selector["metric"]] | TARGET_LABELS
            assert set(selector["labels"]) <= own, text
            labels |= own
        assert set(expression["groupings"]) <= labels, text


def test_an_invalid_expression_is_found() -> None:
    (found,) = read(["sum(rate(x[5m])"])

    assert "unclosed left parenthesis" in found["error"]
