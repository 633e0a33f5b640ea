"""The objects of pipelines, for each driver mode, and the annotations of the Profile."""

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
from controllers.pipelines.objectstore.spec import Credentials, OldObjects
from controllers.runtime import rbac
from tests.support import builders

KEY = Credentials(access_key="access-of-alice", secret_key="secret-of-alice")
FACTS = desired.Facts(key=KEY)
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
    return desired.desired(builders.profile(), facts, settings(**values)).objects


def named(manifests: Sequence[Manifest]) -> set[tuple[str, str]]:
    return {(one.kind, one.name) for one in manifests}


@pytest.mark.parametrize("case", CASES)
def test_the_objects_are_those_of_the_golden_file(case: str) -> None:
    bodies = builders.bodies(
        wanted(**CASES[case]), builders.profile(), component=controller.CONTROLLER.name
    )

    assert bodies == builders.golden("pipelines", case)


@pytest.mark.parametrize("case", CASES)
def test_every_object_has_a_name_that_the_rights_are_for(case: str) -> None:
    known = {own.kind: own.names for own in controller.CONTROLLER.default_owned()}

    assert all(one.name in known[one.kind] for one in wanted(**CASES[case]))


def test_a_namespace_that_is_not_enabled_has_no_objects() -> None:
    assert wanted(desired.Facts(enabled=False, key=KEY), **CASES["proxy"], **CENTRAL) == []


def test_without_a_key_all_objects_but_the_secret_exist() -> None:
    assert named(wanted()) - named(wanted(desired.Facts())) == {("Secret", names.SECRET)}


def test_only_config_maps_and_tokens_are_create_only() -> None:
    free = {one.name for one in wanted(**CENTRAL) if one.create_only}

    token = names.token_of(names.EDITOR)
    assert free == {names.LAUNCHER, names.METADATA, names.REPOSITORIES, token}


def test_workload_identity_uses_the_sdks_credentials() -> None:
    (repositories,) = (one for one in wanted(provider="none") if one.name == names.REPOSITORIES)

    s3 = json.loads(repositories.content["data"][names.REPOSITORY])["s3"]
    assert s3["useSDKCreds"] is True
    assert not {"accessKeySecret", "secretKeySecret"} & set(s3)


def test_every_object_of_metacontroller_is_adopted() -> None:
    assert {one.adopt_from_namespace for one in wanted(**CASES["proxy"], **CENTRAL)} == {
        names.METACONTROLLER_ANNOTATIONS
    }


@pytest.mark.parametrize("tokens", [True, False])
def test_tokens_are_created_only_if_enabled(*, tokens: bool) -> None:
    made = named(wanted(driver_mode="sidecar", driver_tokens=tokens))

    secrets = {name for kind, name in made if kind == "Secret"} - {names.SECRET}
    both = {names.token_of(names.AGENT), names.token_of(names.EDITOR)}
    assert secrets == (both if tokens else set())


def test_pod_mode_has_no_objects_for_drivers() -> None:
    assert named(wanted(driver_tokens=True)) == named(wanted())


def test_rights_beyond_the_kinds_follow_the_mode() -> None:
    def rules(**values: Any) -> set[tuple[tuple[str, ...], tuple[str, ...]]]:
        found = rbac.rules(controller.CONTROLLER, settings(**values))
        basic = rbac.rules(controller.CONTROLLER, settings())
        return {(rule.resources, rule.names) for rule in set(found) - set(basic)}

    assert rules() == set()
    assert rules(driver_mode="sidecar") == {(("clusterroles",), (names.AGENT_ROLE,))}
    assert rules(**CENTRAL) == {(("pods",), ()), (("persistentvolumeclaims",), ())}


def test_no_secret_key_is_in_the_repr_of_facts_or_cached_secrets() -> None:
    content = observe.SecretContent(
        key=Credentials(access_key="a", secret_key="hidden"), version="1"
    )

    assert "of-alice" not in repr(FACTS)
    assert "hidden" not in repr(content)


# The annotations of the Profile


def test_the_annotation_has_precedence_over_the_setting() -> None:
    annotations = {names.OLD_OBJECTS_ANNOTATION: "archive", names.KEY_GENERATION_ANNOTATION: "2"}
    profile = builders.profile(annotations=annotations)

    spec, findings = observe.account_spec(profile, settings(old_objects="purge"))

    assert (spec.old_objects, spec.generation, findings) == (OldObjects.ARCHIVE, "2", [])
    assert (spec.namespace, spec.uid) == (profile.namespace, profile.uid)


def test_the_annotation_refuse_overrides_the_setting() -> None:
    profile = builders.profile(annotations={names.OLD_OBJECTS_ANNOTATION: "refuse"})

    spec, _ = observe.account_spec(profile, settings(old_objects="purge"))

    assert spec.old_objects is OldObjects.REFUSE


@given(said=st.text())
def test_an_invalid_annotation_is_reported_and_ignored(said: str) -> None:
    profile = builders.profile(annotations={names.OLD_OBJECTS_ANNOTATION: said})

    spec, findings = observe.account_spec(profile, settings())

    known = said.strip() in {"", *(one.value for one in OldObjects)}
    assert [one.reason for one in findings] == ([] if known else ["InvalidOldObjects"])
    if not known:
        assert repr(said.strip()) in findings[0].message
        assert spec.old_objects is OldObjects.REFUSE


# The cache


def secret(**fields: Any) -> dict[str, Any]:
    data = {key: base64.b64encode(b"abc").decode() for key in (names.ACCESS_KEY, names.SECRET_KEY)}
    fields = {"labels": builders.managed_labels("pipelines"), "data": data, **fields}
    return builders.object_body("Secret", fields.pop("name", names.SECRET), **fields)


def test_nothing_is_cached_of_other_secrets() -> None:
    assert observe.transform_secret(secret(name="of-a-tenant")) is None


def test_the_key_and_the_version_of_the_secret_are_cached() -> None:
    content = observe.transform_secret(secret(version=7))

    assert content == observe.SecretContent(
        key=Credentials(access_key="abc", secret_key="abc"), version="7"
    )


@given(
    data=st.one_of(
        st.none(),
        st.text(),
        st.dictionaries(st.sampled_from([names.ACCESS_KEY, names.SECRET_KEY]), st.text()),
    )
)
def test_any_content_of_a_secret_is_a_pair_of_keys_or_none(data: object) -> None:
    keys = observe.read_key(data)

    assert keys is None or (keys.access_key and keys.secret_key)


@pytest.mark.parametrize("value", ["True", "1", "false", "", None])
def test_only_true_enables_a_namespace(value: str | None) -> None:
    labels = {} if value is None else {names.ENABLED_LABEL: value}

    assert observe.transform_namespace({"metadata": {"name": "a", "labels": labels}}) is None
    labels = {names.ENABLED_LABEL: "true"}
    assert observe.transform_namespace({"metadata": {"name": "a", "labels": labels}}) is True
