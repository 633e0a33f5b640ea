"""The objects that helm renders from the chart, and the values that the chart rejects."""

import dataclasses
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from controllers import registry
from controllers.runtime import rbac
from controllers.runtime.controller import AnyController, Owned, always
from helm.generators import declarations
from tests.support.builders import registered
from tests.support.chart import render

OLDER = yaml.safe_load((render.CHART / "files" / "older-values.yaml").read_text())


def nested(path: str, value: Any) -> dict[str, Any]:
    for key in reversed(path.split(".")):
        value = {key: value}
    return dict(value)


# Every example


@pytest.mark.parametrize("example", render.EXAMPLES, ids=lambda path: str(path.stem))
def test_helm_lint_passes_and_an_example_renders_as_its_snapshot(example: Path) -> None:
    """Review a difference, then update the snapshots with `./taskw snapshots`."""
    assert render.errors(example) == []


# One for each controller


def test_a_controller_has_its_own_deployment_account_role_and_config() -> None:
    everything = {"controllers": {name: {"enabled": True} for name in plain()}}
    manifests = render.render(everything)

    deployments = render.of_kind(manifests, "Deployment")
    assert set(plain()) == set(deployments)
    for name, deployment in deployments.items():
        spec = deployment["spec"]
        component = "app.kubernetes.io/component"
        assert name == spec["selector"]["matchLabels"][component]
        assert [name, "--config=/etc/profiles-controller/config.yaml"] == render.container(
            deployment
        )["args"]
        account = render.of_kind(manifests, "ServiceAccount")[name]["metadata"]["name"]
        assert account == spec["template"]["spec"]["serviceAccountName"]
        binding = render.of_kind(manifests, "ClusterRoleBinding")[name]
        assert [account] == [one["name"] for one in binding["subjects"]]


def plain() -> list[str]:
    """The controllers without variants."""
    return [one.name for one in registry.controllers() if not one.variants.names]


def test_a_controller_without_a_key_in_the_values_is_reported(tmp_path: Path) -> None:
    chart = render.chart_with(
        tmp_path, "files/controllers.yaml", lambda text: text.replace("name: quotas", "name: qs")
    )
    done = render.template({}, chart=chart)

    assert "values.yaml has no key controllers.qs" in done.stderr


def test_keys_of_a_controller_override_the_defaults() -> None:
    manifests = render.render(
        {
            "defaults": {"env": [{"name": "A", "value": "1"}], "podLabels": {"a": "1", "b": "1"}},
            "controllers": {
                "quotas": {
                    "env": [{"name": "B", "value": "2"}],
                    "podLabels": {"b": "2"},
                    "replicas": 0,
                    "logLevel": "debug",
                    "image": {"tag": "try"},
                    "settings": {"hard": {"pods": 200}},
                }
            },
        }
    )
    own, other = (render.of_kind(manifests, "Deployment")[one] for one in ("quotas", "network"))

    assert ["A", "B"] == [one["name"] for one in render.container(own)["env"]]
    assert ["A"] == [one["name"] for one in render.container(other)["env"]]
    labels = own["spec"]["template"]["metadata"]["labels"]
    assert ("1", "2") == (labels["a"], labels["b"])
    assert (0, 1) == (own["spec"]["replicas"], other["spec"]["replicas"])
    assert render.container(own)["image"].endswith("/profiles-controller:try")
    assert render.container(other)["image"].endswith("/profiles-controller:0.1.0")
    assert "debug" == render.config(manifests, "quotas")["common"]["log_level"]
    assert {"hard": {"pods": 200}} == render.config(manifests, "quotas")["quotas"]


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ({}, "r.example.org/suite@sha256:" + "0" * 64),
        ({"tag": "try"}, "r.example.org/suite:try"),
        ({"digest": "sha256:" + "1" * 64}, "r.example.org/suite@sha256:" + "1" * 64),
        ({"registry": "", "repository": "mine", "tag": "try"}, "mine:try"),
    ],
)
def test_the_image_of_a_controller_replaces_the_keys_that_it_sets(
    own: dict[str, str], expected: str
) -> None:
    common = {"registry": "r.example.org", "repository": "suite", "digest": "sha256:" + "0" * 64}
    manifests = render.render({"image": common, "controllers": {"quotas": {"image": own}}})

    deployments = render.of_kind(manifests, "Deployment")
    assert expected == render.container(deployments["quotas"])["image"]
    other = render.container(deployments["network"])["image"]
    assert other == "r.example.org/suite@sha256:" + "0" * 64


def test_false_and_empty_override_defaults() -> None:
    settings = {"blockTransfer": False, "userPrefix": ""}
    manifests = render.render(
        {
            "controllers": {
                "authz-policies": {
                    "settings": settings,
                    "securityContext": {"readOnlyRootFilesystem": False},
                }
            }
        }
    )

    assert settings == render.config(manifests, "authz-policies")["authz-policies"]
    deployment = render.of_kind(manifests, "Deployment")["authz-policies"]
    assert render.container(deployment)["securityContext"]["readOnlyRootFilesystem"] is False


def test_an_older_cluster_is_rejected() -> None:
    done = render.helm("template", "{chart}", "--kube-version", "1.26.0")

    assert "requires kubeVersion: >=1.27.0-0" in done.stderr
    assert render.helm("template", "{chart}", "--kube-version", "v1.32.3-gke.100").returncode == 0


def test_settings_restart_the_pods_of_their_controller_only() -> None:
    def checksums(values: render.Values) -> dict[str, str]:
        deployments = render.of_kind(render.render(values), "Deployment")
        return {
            name: one["spec"]["template"]["metadata"]["annotations"]["checksum/config"]
            for name, one in deployments.items()
        }

    before = checksums({})
    after = checksums({"controllers": {"quotas": {"settings": {"hard": {"pods": 1}}}}})
    assert {"quotas"} == {name for name in before if before[name] != after[name]}


def test_mode_all_is_one_process_with_all_settings_and_permissions() -> None:
    manifests = render.render(
        {
            "mode": "all",
            "controllers": {
                "notebook": {"enabled": False},
                "quotas": {"settings": {"hard": {"pods": 1}}, "env": [{"name": "A", "value": "1"}]},
            },
        }
    )
    (deployment,) = render.of_kind(manifests, "Deployment").values()

    running = [name for name in plain() if name not in ("notebook", "pipelines")]
    enabled = [name for name in running if default_on(name)]
    assert f"--only={','.join(enabled)}" == render.container(deployment)["args"][1]
    assert {"common", *enabled} == render.config(manifests, "all").keys()
    assert [{"name": "A", "value": "1"}] == render.container(deployment)["env"]
    role = rbac.cluster_role([registry.load(name) for name in enabled], "all")
    assert permissions(role["rules"]) == permissions(
        render.of_kind(manifests, "ClusterRole")["all"]["rules"]
    )


def test_one_process_has_the_permissions_of_all_its_controllers() -> None:
    together = [one for one in registry.controllers() if not one.command.standalone]
    values = {"mode": "all", "controllers": {one.name: {"enabled": True} for one in together}}

    expected = rbac.cluster_role(together, "all")
    rendered = render.of_kind(render.render(values), "ClusterRole")["all"]
    assert permissions(expected["rules"]) == permissions(rendered["rules"])


def default_on(name: str) -> bool:
    values = yaml.safe_load((render.CHART / "values.yaml").read_text())
    return bool(values["controllers"][name]["enabled"])


# Rights


Right = tuple[str, str, str, str]


def permissions(rules: list[dict[str, Any]]) -> set[Right]:
    return {
        (*right, name)
        for rule in rules
        for right in itertools.product(rule["apiGroups"], rule["resources"], rule["verbs"])
        for name in rule.get("resourceNames", [""])
    }


SETTINGS: dict[str, list[dict[str, Any]]] = {
    "rbac": [
        {"ml_pipeline": bound, "support_groups": groups, "cross_namespace_access": across}
        for bound, groups, across in itertools.product(
            ("ClusterRole", "Role", "none"), ([], ["helpdesk"]), (False, True)
        )
    ]
    + [
        {"pipelineVerbs": {"pipelines.kubeflow.org": {"jobs": None, "runs": "get, list"}}},
        {"pipeline_verbs": {"kubeflow.org": None, "example.org": {"cakes": ["eat"]}}},
        {"mlPipeline": "Role", "supportGroups": "a,b", "crossNamespaceAccess": True},
    ],
    "blob-csi": [
        {},
        {
            "instances": [
                {
                    "name": "a",
                    "classification": "unclassified",
                    "secretRef": "z/y",
                    "capacity": "1T",
                },
                {
                    "name": "b",
                    "classification": "unclassified",
                    "secret_ref": "x",
                    "capacity": "1T",
                },
            ]
        },
        {"config_map": "mine", "fdi_unclass_external_storage_account": "account"},
        {"fdi_protected_b_internal_storage_account": "account"},
    ],
    "pipelines": [
        {"driver_mode": "pod"},
        {"driverMode": "sidecar"},
        {"driverMode": "central", "driverTokens": True, "driverWithoutIsolation": True},
    ],
}
"""The settings that permissions depend on, in every combination and notation."""


def cases() -> Iterator[tuple[str, dict[str, Any]]]:
    for one in registry.controllers():
        if not one.variants.names:
            yield from ((one.name, given) for given in SETTINGS.get(one.name, [{}]))


def test_every_controller_whose_permissions_depend_on_settings_has_cases() -> None:
    assert {
        one.name
        for one in registry.controllers()
        if rbac.configured(one, registered.sample_settings(one)) or one.access.by_settings
    } <= SETTINGS.keys()


def snake(given: dict[str, Any]) -> dict[str, Any]:
    return {
        re.sub("[A-Z]", lambda one: f"_{one[0].lower()}", key): value
        for key, value in given.items()
    }


@pytest.mark.parametrize(("name", "given"), list(cases()))
def test_the_cluster_role_is_what_the_program_computes(name: str, given: dict[str, Any]) -> None:
    others = {one: {"enabled": False} for one in plain() if one != name}
    manifests = render.render(
        {"controllers": {**others, name: {"enabled": True, "settings": given}}}
    )

    controller = registry.load(name)
    settings = controller.settings.model_validate(snake(given))
    expected = rbac.cluster_role([controller], name, {name: settings})
    rendered = render.of_kind(manifests, "ClusterRole")
    assert permissions(expected["rules"]) == permissions(rendered[name]["rules"])


TOGETHER = [one for one in registry.controllers() if not one.command.standalone]


@pytest.mark.parametrize(
    "chosen",
    [
        {name: number % len(settings) for name, settings in SETTINGS.items()}
        for number in range(max(map(len, SETTINGS.values())))
    ],
    ids=str,
)
@pytest.mark.parametrize("omitted", ["", "rbac"])
def test_the_role_of_one_process_is_what_the_program_computes(
    chosen: dict[str, int], omitted: str
) -> None:
    """With the settings of every controller, and with some of them off."""
    given = {name: SETTINGS[name][number] for name, number in chosen.items() if name != omitted}
    controllers = [one for one in TOGETHER if one.name != omitted]
    values = {
        one.name: {"enabled": one.name != omitted, "settings": given.get(one.name, {})}
        for one in TOGETHER
    }
    manifests = render.render({"mode": "all", "controllers": values})

    settings = {
        one.name: one.settings.model_validate(snake(given.get(one.name, {}))) for one in controllers
    }
    expected = rbac.cluster_role(controllers, "all", settings)
    rendered = render.of_kind(manifests, "ClusterRole")["all"]
    assert permissions(expected["rules"]) == permissions(rendered["rules"])


NAMES: list[dict[str, tuple[str, ...]]] = [
    {"quotas": ("a",), "notebook": ("b",)},
    {"quotas": ("a",), "notebook": ("a",)},
    {"quotas": ("a",), "notebook": ("b",), "network": ()},
    {"quotas": ("a", "b"), "notebook": ("c",), "network": ("c",)},
]
"""Names of the Secrets that each controller owns."""


@pytest.mark.parametrize("omitted", ["", "quotas", "notebook", "network"])
@pytest.mark.parametrize("names", NAMES, ids=str)
def test_controllers_that_own_a_kind_by_name_share_a_list_rule(
    names: dict[str, tuple[str, ...]], omitted: str, tmp_path: Path
) -> None:
    every = [
        dataclasses.replace(one, owned=always(Owned(kind="Secret", names=names[one.name])))
        if one.name in names
        else one
        for one in registry.controllers()
    ]
    _, content = declarations.file(every)
    chart = render.chart_with(tmp_path, "files/controllers.yaml", lambda _: content)
    # The pipelines controller owns Secrets, too.
    off = {omitted, "pipelines"}
    values = {one.name: {"enabled": one.name not in off} for one in TOGETHER}
    done = render.template({"mode": "all", "controllers": values}, chart=chart)
    assert done.returncode == 0, done.stderr

    controllers = [one for one in every if not one.command.standalone and one.name not in off]
    expected = rbac.cluster_role(controllers, "all")
    manifests = [one for one in yaml.safe_load_all(done.stdout) if one]
    rendered = render.of_kind(manifests, "ClusterRole")["all"]
    assert permissions(expected["rules"]) == permissions(rendered["rules"])


GITEA = {
    "psql_hostname": "postgres",
    "psql_admin_uname": "admin",
    "psql_admin_passwd": "of a Secret",
    "argocd_source_repo_url": "https://example.org/manifests.git",
}


@pytest.mark.parametrize(
    ("controller", "variant"),
    [(one, variant) for one in registry.controllers() for variant in one.variants.names],
    ids=lambda each: str(getattr(each, "name", each)),
)
def test_an_instance_is_a_separate_process_with_its_own_permissions(
    controller: AnyController, variant: str
) -> None:
    instances = {
        one: {"enabled": True, "settings": {"argocdProject": one}}
        for one in controller.variants.names
    }
    own = {"enabled": True, "instances": instances, "settings": {"psqlHostname": "postgres"}}
    manifests = render.render({"mode": "all", "controllers": {controller.name: own}})

    name = f"{controller.name}-{variant}"
    deployment = render.of_kind(manifests, "Deployment")[name]
    assert controller.name == render.container(deployment)["args"][0]
    assert render.config(manifests, name)[controller.name] == {
        "classification": variant,
        "psqlHostname": "postgres",
        "argocdProject": variant,
    }
    settings = controller.settings.model_validate({**GITEA, "classification": variant})
    expected = rbac.cluster_role([controller], name, {controller.name: settings})
    rendered = render.of_kind(manifests, "ClusterRole")[name]
    assert permissions(expected["rules"]) == permissions(rendered["rules"])


@pytest.mark.parametrize(
    ("controller", "values"),
    [
        ("rbac", {"env": [{"name": "RBAC_ML_PIPELINE", "value": "Role"}]}),
        ("rbac", {"extraArgs": ["--support-groups=helpdesk"]}),
        ("rbac", {"extraArgs": ["--support-groups", "helpdesk"]}),
        (
            "pipelines",
            {"enabled": True, "env": [{"name": "PIPELINES_DRIVER_MODE", "value": "pod"}]},
        ),
    ],
)
def test_a_setting_that_permissions_depend_on_is_rejected_in_env_and_args(
    controller: str, values: dict[str, Any]
) -> None:
    message = render.refusal({"controllers": {controller: values}})

    assert (
        f"and the ClusterRole depends on it: set it in controllers.{controller}.settings" in message
    )


# What is refused


@pytest.mark.parametrize("older", OLDER, ids=lambda one: str(one["key"]))
def test_a_value_of_the_older_chart_is_rejected_with_what_to_set(older: dict[str, Any]) -> None:
    message = render.refusal(nested(older["key"], [{"name": "A", "value": "b"}]))

    if "new" in older:
        assert f"{older['key']} is a value of the older chart: set {older['new']}" in message
    else:
        assert f"{older['key']} is a value of the older chart that has no successor yet" in message


def test_the_older_values_are_reported_together() -> None:
    message = render.refusal({"replicaCount": {"default": 1, "trino": 1}, "extraEnv": []})

    assert "3 invalid values" in message


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"replicas": 2}, "additional properties 'replicas' not allowed"),
        ({"controllers": {"quota": {}}}, "additional properties 'quota' not allowed"),
        ({"controllers": {"quotas": {"settings": {"hart": {}}}}}, "'hart' not allowed"),
        (
            {"controllers": {"pipelines": {"settings": {"awsSecretAccessKey": "x"}}}},
            "'awsSecretAccessKey' not allowed",
        ),
        ({"controllers": {"notebook": {"settings": {"protectedB": "no"}}}}, "got string, want"),
        (
            {"controllers": {"pipelines": {"settings": {"driverMode": "both"}}}},
            "value must be one of 'pod', 'sidecar', 'central'",
        ),
        ({"defaults": {"logLevel": "loud"}}, "value must be one of 'debug'"),
        ({"replicaCount": {"defaults": 1}}, "replicaCount.defaults is not a value of this chart"),
        ({"components": {"rbac": {"groups": []}}}, "components.rbac.groups is not a value"),
        (
            {"image": {"repository": "example.azurecr.io/profiles-controller"}},
            'set image.registry "example.azurecr.io"',
        ),
        (
            {"defaults": {"replicas": 2}, "leaderElection": {"enabled": False}},
            "replicas of quotas is 2 without leader election",
        ),
        ({"serviceAccount": {"create": False}}, "quotas has no serviceAccountName"),
        ({"driver": {"enabled": True}}, "driver.enabled requires driver.image"),
        (
            {"podDisruptionBudget": {"minAvailable": 1, "maxUnavailable": 2}},
            "podDisruptionBudget has minAvailable and maxUnavailable",
        ),
        (
            {"serviceMonitor": {"enabled": True, "renderMode": "failIfMissing"}},
            "the cluster does not serve ServiceMonitor",
        ),
        (
            {"serviceMonitor": {"enabled": True}, "metrics": {"service": {"enabled": False}}},
            "serviceMonitor.enabled requires metrics.service.enabled",
        ),
        (
            {
                "defaults": {"env": [{"name": "A", "value": "1"}]},
                "controllers": {"quotas": {"env": [{"name": "A", "value": "2"}]}},
            },
            "env of quotas has A twice",
        ),
        ({"controllers": {name: {"enabled": False} for name in plain()}}, "no controller is"),
        (
            {"controllers": {"gitea": {"enabled": True}}},
            "none of its instances is: set enabled of unclassified or protected-b",
        ),
    ],
)
def test_invalid_values_are_rejected_with_a_message(values: dict[str, Any], words: str) -> None:
    assert words in render.refusal(values)


def test_global_values_of_an_umbrella_chart_are_accepted() -> None:
    assert render.render({"global": {"anything": [1, {"at": "all"}]}})


# Switches


@pytest.mark.parametrize(
    ("values", "kind", "count"),
    [
        ({"podDisruptionBudget": {"enabled": False}}, "PodDisruptionBudget", 0),
        ({"metrics": {"service": {"enabled": False}}}, "Service", 0),
        ({"rbac": {"create": False}}, "ClusterRole", 0),
        ({"rbac": {"create": False}}, "RoleBinding", 0),
        ({"serviceMonitor": {"enabled": True}}, "ServiceMonitor", 0),
        ({"serviceMonitor": {"enabled": True, "renderMode": "alwaysRender"}}, "ServiceMonitor", 1),
        ({"grafanaDashboard": {"enabled": True}}, "ConfigMap", 7),
        ({"networkPolicy": {"enabled": True}}, "NetworkPolicy", 6),
        (
            {
                "serviceAccount": {"create": False},
                "mode": "all",
                "all": {"serviceAccountName": "mine"},
            },
            "ServiceAccount",
            0,
        ),
    ],
)
def test_a_flag_adds_or_removes_its_objects(values: dict[str, Any], kind: str, count: int) -> None:
    assert count == sum(one["kind"] == kind for one in render.render(values))


def test_without_leader_election_no_two_pods_run_at_once() -> None:
    manifests = render.render({"leaderElection": {"enabled": False}})

    for name, one in render.of_kind(manifests, "Deployment").items():
        assert "Recreate" == one["spec"]["strategy"]["type"]
        assert render.config(manifests, name)["common"]["leader_elect"] is False
    assert not any(one["metadata"]["name"].endswith("-leases") for one in manifests)


def test_all_objects_are_in_the_configured_namespace() -> None:
    manifests = render.render({"namespaceOverride": "elsewhere"})

    spaces = {one["metadata"].get("namespace", "") for one in manifests}
    assert {"", "default", "elsewhere"} == spaces
    in_default = {one["kind"] for one in manifests if one["metadata"].get("namespace") == "default"}
    assert {"Role", "RoleBinding"} == in_default
    assert "elsewhere" == render.config(manifests, "quotas")["common"]["leader_elect_namespace"]


def test_a_driver_mode_renders_only_its_objects() -> None:
    def roles(mode: str) -> set[str]:
        settings = {"driverMode": mode}
        manifests = render.render(
            {"controllers": {"pipelines": {"enabled": True, "settings": settings}}}
        )
        return {one["metadata"]["name"] for one in manifests if one["kind"] == "ClusterRole"}

    agent = "ml-pipeline-driver-agent-executor-plugin-cluster-role"
    assert agent in roles("sidecar")
    assert agent not in roles("pod")
