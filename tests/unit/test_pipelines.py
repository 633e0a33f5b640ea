"""The objects of pipelines: what KFP is given, mode by mode, and what the Profile may say."""

import base64
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers.manifests import Manifest
from controllers.pipelines import controller, desired, names, observe
from controllers.pipelines.config import PipelinesSettings
from controllers.pipelines.objectstore.provider import Credentials, Decision
from controllers.profiles import PAUSED_ANNOTATION
from controllers.runtime import rbac
from tests.support.builders import inputs, live_objects

KEYS = desired.Keys(access="access-of-team-a", secret="secret-of-team-a")
FACTS = desired.Facts(keys=KEYS)
TAG = {"kfp_version": "2.17.0"}
CENTRAL: dict[str, Any] = {
    "driver_mode": "central",
    "driver_tokens": True,
    "driver_without_isolation": True,
}
CASES: dict[str, dict[str, Any]] = {
    "default": {},
    "proxy": {**TAG, "artifacts_proxy_enabled": True},
    "elsewhere": {
        **TAG,
        "artifacts_proxy_enabled": True,
        "provider": "aws",
        "bucket": "artifacts-of-ours",
        "kfp_namespace": "pipelines",
        "cluster_domain": "svc.example.ca",
        "object_store_host": "s3.ca-central-1.amazonaws.com",
        "object_store_port": 443,
        "object_store_insecure": False,
        "frontend_image": "registry.example.ca:5000/frontend",
        "frontend_tag": "of-ours",
        "disable_istio_sidecar": True,
    },
    "sidecar": {"driver_mode": "sidecar"},
    "sidecar-with-tokens": {"driver_mode": "sidecar", "driver_tokens": True},
    "central": {**CENTRAL, "driver_service_account": "kubeflow/ml-pipeline"},
}


def settings(**values: Any) -> PipelinesSettings:
    return PipelinesSettings.model_validate(values)


def wanted(facts: desired.Facts = FACTS, **values: Any) -> Sequence[Manifest]:
    return desired.desired(inputs.profile(), facts, settings(**values)).objects


def named(manifests: Sequence[Manifest]) -> set[tuple[str, str]]:
    return {(one.kind, one.name) for one in manifests}


@pytest.mark.parametrize("case", CASES)
def test_the_objects_are_those_of_the_golden_file(case: str) -> None:
    bodies = inputs.bodies(
        wanted(**CASES[case]), inputs.profile(), component=controller.CONTROLLER.name
    )

    assert bodies == inputs.golden("pipelines", case)


@pytest.mark.parametrize("case", CASES)
def test_every_object_has_a_name_that_the_rights_are_for(case: str) -> None:
    known = {own.kind: own.names for own in controller.CONTROLLER.default_owned()}

    assert all(one.name in known[one.kind] for one in wanted(**CASES[case]))


def test_a_namespace_that_takes_no_part_gets_nothing() -> None:
    assert wanted(desired.Facts(enabled=False, keys=KEYS), **CASES["proxy"], **CENTRAL) == []


def test_without_keys_there_is_everything_but_the_secret() -> None:
    assert named(wanted()) - named(wanted(desired.Facts())) == {("Secret", names.SECRET)}


def test_users_may_edit_config_maps_and_kubernetes_fills_tokens_and_the_rest_is_enforced() -> None:
    free = {one.name for one in wanted(**CENTRAL) if one.create_only}

    token = names.token_of(names.EDITOR)
    assert free == {names.LAUNCHER, names.METADATA, names.REPOSITORIES, token}


def test_workload_identity_uses_the_sdks_credentials() -> None:
    (repositories,) = (one for one in wanted(provider="none") if one.name == names.REPOSITORIES)

    s3 = json.loads(repositories.content["data"][names.REPOSITORY])["s3"]
    assert s3["useSDKCreds"] is True
    assert not {"accessKeySecret", "secretKeySecret"} & set(s3)


def test_everything_of_metacontroller_is_inherited() -> None:
    assert {one.adopt_from_namespace for one in wanted(**CASES["proxy"], **CENTRAL)} == {
        names.INHERITED
    }


@pytest.mark.parametrize("tokens", [True, False])
def test_tokens_are_made_on_request_only(*, tokens: bool) -> None:
    made = named(wanted(driver_mode="sidecar", driver_tokens=tokens))

    secrets = {name for kind, name in made if kind == "Secret"} - {names.SECRET}
    both = {names.token_of(names.AGENT), names.token_of(names.EDITOR)}
    assert secrets == (both if tokens else set())


def test_pod_mode_makes_nothing_for_drivers_whatever_else_is_set() -> None:
    assert named(wanted(driver_tokens=True)) == named(wanted())


def test_rights_beyond_the_kinds_follow_the_mode() -> None:
    def rules(**values: Any) -> set[tuple[tuple[str, ...], tuple[str, ...]]]:
        found = rbac.rules(controller.CONTROLLER, settings(**values))
        basic = rbac.rules(controller.CONTROLLER, settings())
        return {(rule.resources, rule.names) for rule in set(found) - set(basic)}

    assert rules() == set()
    assert rules(driver_mode="sidecar") == {(("clusterroles",), (names.AGENT_ROLE,))}
    assert rules(**CENTRAL) == {(("pods",), ()), (("persistentvolumeclaims",), ())}


def test_no_key_is_shown_by_the_facts_or_by_what_is_remembered() -> None:
    held = observe.Held(credentials=Credentials(access_key="a", secret_key="hidden"))

    assert "of-team-a" not in repr(FACTS)
    assert "hidden" not in repr(held)


# What the Profile says


def test_the_annotation_counts_before_the_setting() -> None:
    annotations = {names.OLD_OBJECTS_ANNOTATION: "archive", names.KEY_GENERATION_ANNOTATION: "2"}
    profile = inputs.profile(annotations=annotations)

    tenant, findings = observe.tenant(profile, settings(old_objects="purge"))

    assert (tenant.decision, tenant.generation, findings) == (Decision.ARCHIVE, "2", [])
    assert (tenant.namespace, tenant.uid) == (profile.namespace, profile.uid)


def test_refusing_by_annotation_withdraws_the_settings_decision() -> None:
    profile = inputs.profile(annotations={names.OLD_OBJECTS_ANNOTATION: "refuse"})

    tenant, _ = observe.tenant(profile, settings(old_objects="purge"))

    assert tenant.decision is Decision.UNDECIDED


@given(said=st.text())
def test_whatever_the_annotation_says_only_a_decision_decides(said: str) -> None:
    profile = inputs.profile(annotations={names.OLD_OBJECTS_ANNOTATION: said})

    tenant, findings = observe.tenant(profile, settings())

    known = said.strip() in {"", *names.OLD_OBJECTS}
    assert [one.reason for one in findings] == ([] if known else ["InvalidOldObjects"])
    if not known:
        assert repr(said.strip()) in findings[0].message
        assert tenant.decision is Decision.UNDECIDED


# What is remembered


def secret(**fields: Any) -> dict[str, Any]:
    data = {key: base64.b64encode(b"abc").decode() for key in (names.ACCESS_KEY, names.SECRET_KEY)}
    fields = {"labels": live_objects.marks("pipelines"), "data": data, **fields}
    return live_objects.object_body("Secret", fields.pop("name", names.SECRET), **fields)


def test_of_other_secrets_nothing_is_remembered() -> None:
    assert observe.keep_secret(secret(name="of-a-tenant")) is None


NAMESPACE_REFERENCE = {
    "apiVersion": "v1", "kind": "Namespace", "name": "alice", "uid": "u", "controller": True
}  # fmt: skip
STRANGER = {"apiVersion": "v1", "kind": "Pod", "name": "x", "uid": "u", "controller": True}


@pytest.mark.parametrize(
    ("fields", "ours"),
    [
        ({}, True),
        ({"owners": []}, True),
        ({"labels": {}}, True),
        ({"labels": {}, "owners": [NAMESPACE_REFERENCE]}, True),
        ({"labels": {}, "owners": []}, False),
        ({"labels": {}, "owners": [STRANGER]}, False),
        ({"annotations": {PAUSED_ANNOTATION: "true"}}, False),
    ],
)
def test_a_secret_is_ours_by_the_rules_of_the_plan(fields: dict[str, Any], *, ours: bool) -> None:
    held = observe.keep_secret(secret(**fields))

    assert held is not None
    assert (held.why_not == "") is ours
    assert held.credentials == Credentials(access_key="abc", secret_key="abc")


@given(
    data=st.one_of(
        st.none(),
        st.text(),
        st.dictionaries(st.sampled_from([names.ACCESS_KEY, names.SECRET_KEY]), st.text()),
    )
)
def test_whatever_a_secret_holds_it_is_a_pair_of_keys_or_nothing(data: object) -> None:
    keys = observe.read_keys(data)

    assert keys is None or (keys.access_key and keys.secret_key)


@pytest.mark.parametrize("value", ["True", "1", "false", "", None])
def test_only_true_takes_part(value: str | None) -> None:
    labels = {} if value is None else {names.ENABLED_LABEL: value}

    assert observe.keep_namespace({"metadata": {"name": "a", "labels": labels}}) is None
    labels = {names.ENABLED_LABEL: "true"}
    assert observe.keep_namespace({"metadata": {"name": "a", "labels": labels}}) is True
