"""The quotas controller: what it wants, and what it says of overrides."""

from collections.abc import Sequence

import pytest

from controllers.findings import Finding, Severity
from controllers.manifests import Manifest
from controllers.profiles import Profile
from controllers.quotas import controller, desired
from controllers.quotas.config import DEFAULT_HARD, QuotasSettings
from controllers.runtime.apply.changeset import Change
from tests.support import builders

PREFIX = "quotas.statcan.gc.ca"
SETTINGS = QuotasSettings()
NO_FACTS = desired.Facts()
# The table of the specification: key, label.
LABELS = {
    "requests.cpu": "requests.cpu",
    "limits.cpu": "limits.cpu",
    "requests.memory": "requests.memory",
    "limits.memory": "limits.memory",
    "requests.storage": "requests.storage",
    "pods": "pods",
    "services.nodeports": "services.nodeports",
    "services.loadbalancers": "services.loadbalancers",
    "requests.nvidia.com/gpu": "gpu",
}


def labelled(labels: dict[str, str]) -> Profile:
    """A profile with labels by their names after the prefix."""
    return builders.profile(labels={f"{PREFIX}/{name}": text for name, text in labels.items()})


def hard(labels: dict[str, str], facts: desired.Facts = NO_FACTS) -> dict[str, str]:
    (manifest,) = desired.desired(labelled(labels), facts, SETTINGS).objects
    return dict(manifest.content["spec"]["hard"])


def found(labels: dict[str, str], facts: desired.Facts = NO_FACTS) -> Sequence[Finding]:
    return desired.desired(labelled(labels), facts, SETTINGS).findings


@pytest.mark.parametrize(
    ("name", "labels", "settings"),
    [
        ("default", {}, SETTINGS),
        ("overrides", {"requests.cpu": "1.5", "limits.memory": "1024Gi", "gpu": "0"}, SETTINGS),
        ("one-refused", {"pods": "many", "requests.storage": "200T"}, SETTINGS),
        (
            "configured",
            {"amd-gpu": "4"},
            QuotasSettings.model_validate(
                {
                    "hard": {"requests.amd.com/gpu": 1, "limits.cpu": None, "pods": 250},
                    "labels": {"requests.amd.com/gpu": "amd-gpu"},
                }
            ),
        ),
    ],
)
def test_the_quota_matches_the_golden_file(
    name: str, labels: dict[str, str], settings: QuotasSettings
) -> None:
    profile = labelled(labels)
    manifests = desired.desired(profile, NO_FACTS, settings).objects
    assert builders.golden("quotas", name) == builders.bodies(
        manifests, profile, component="quotas"
    )


@pytest.mark.parametrize(("key", "name"), LABELS.items())
def test_a_label_overrides_its_key_and_no_other(key: str, name: str) -> None:
    assert {**DEFAULT_HARD, key: "7"} == hard({name: "7"})
    assert found({name: "7"}) == []


@pytest.mark.parametrize(("key", "name"), LABELS.items())
@pytest.mark.parametrize("text", ["", "abc", "1K", "NaN", "1_0", "0x1", "9Ei", "10E", "0.1n"])
def test_a_bad_label_leaves_the_default_and_the_other_keys_in_force(
    key: str, name: str, text: str
) -> None:
    other = "pods" if key != "pods" else "services.nodeports"
    labels = {name: text, other: "3"}
    assert {**DEFAULT_HARD, other: "3"} == hard(labels)
    (finding,) = found(labels)
    assert finding.severity is Severity.PROBLEM
    assert finding.reason == "InvalidQuota"
    assert f"{PREFIX}/{name}" in finding.message
    assert repr(text) in finding.message
    assert "expected" in finding.message
    assert f"; using the default {DEFAULT_HARD[key]}" in finding.message


@pytest.mark.parametrize("name", ["pods", "services.nodeports", "services.loadbalancers", "gpu"])
def test_a_fraction_of_an_integer_resource_is_invalid(name: str) -> None:
    assert hard({name: "1.5"}) == DEFAULT_HARD
    (finding,) = found({name: "1.5"})
    assert "'1.5' is not an integer" in finding.message


def test_a_fraction_of_another_resource_is_valid() -> None:
    assert hard({"requests.cpu": "1.5"})["requests.cpu"] == "1500m"


def test_the_finding_of_an_invalid_label_is_one_sentence() -> None:
    (finding,) = found({"pods": "many"})
    assert finding.message == (
        "label quotas.statcan.gc.ca/pods is invalid: 'many' is not a quantity; expected a number"
        " with an optional suffix (n u m k M G T P E, Ki Mi Gi Ti Pi Ei) or exponent, such as 2,"
        " 500m, 1.5Gi or 1e3; using the default 100"
    )


def test_every_bad_label_has_a_finding_of_its_own() -> None:
    findings = found({"pods": "x", "gpu": "-1", "requests.cpu": "1K"})
    assert [finding.message.split()[1] for finding in findings] == [
        f"{PREFIX}/gpu",
        f"{PREFIX}/pods",
        f"{PREFIX}/requests.cpu",
    ]


def test_an_unknown_label_is_reported_with_the_closest_name_first() -> None:
    assert hard({"podz": "7"}) == DEFAULT_HARD
    (finding,) = found({"podz": "7"})
    assert finding.severity is Severity.NOTICE
    assert finding.reason == "UnknownQuota"
    assert f"label {PREFIX}/podz overrides nothing; expected one of pods, gpu," in finding.message


def test_labels_of_others_are_no_overrides() -> None:
    labels = {"app": "x", "quotas.statcan.gc.ca": "x", "quotas.statcan.gc.ca.org/pods": "x"}
    profile = builders.profile(labels=labels)
    assert desired.desired(profile, NO_FACTS, SETTINGS).findings == []


def test_quantities_are_stated_as_the_api_server_returns_them() -> None:
    sent = {"requests.cpu": "1000m", "limits.cpu": "0.5", "requests.memory": "1024Mi"}
    returned = {"requests.cpu": "1", "limits.cpu": "500m", "requests.memory": "1Gi"}
    assert {**DEFAULT_HARD, **returned} == hard(sent)


def test_without_a_key_there_is_no_quota() -> None:
    settings = QuotasSettings.model_validate({"hard": dict.fromkeys(DEFAULT_HARD)})
    profile = builders.profile(labels={f"{PREFIX}/pods": "7"})
    assert desired.desired(profile, NO_FACTS, settings).objects == []
    (finding,) = desired.desired(profile, NO_FACTS, settings).findings
    assert finding.reason == "UnknownQuota"


@pytest.mark.parametrize(
    ("kubeflow", "label", "asked", "said"),
    [
        ({"pods": "50"}, "pods", "200", "limits pods to 50"),
        ({"pods": "200"}, "pods", "200", None),
        ({"pods": "201"}, "pods", "200", None),
        (
            {"requests.memory": "1023Mi"},
            "requests.memory",
            "1Gi",
            "limits requests.memory to 1023Mi",
        ),
        ({"requests.memory": "1024Mi"}, "requests.memory", "1Gi", None),
        ({"cpu": "8"}, "requests.cpu", "90", "limits cpu to 8"),
        ({"cpu": "8", "requests.cpu": "4"}, "requests.cpu", "90", "limits requests.cpu to 4"),
        ({"cpu": "8"}, "limits.cpu", "90", None),
        ({"requests.nvidia.com/gpu": "1"}, "gpu", "4", "limits requests.nvidia.com/gpu to 1"),
        ({"services": "1"}, "pods", "200", None),
        ({"pods": "100E"}, "pods", "200", None),
        ({"pods": "?"}, "pods", "200", None),
        ({}, "pods", "200", None),
    ],
)
def test_kubeflows_own_quota_is_named_when_it_undercuts_an_override(
    kubeflow: dict[str, str], label: str, asked: str, said: str | None
) -> None:
    facts = desired.Facts(kubeflow_hard=kubeflow)
    findings = found({label: asked}, facts)
    assert hard({label: asked}, facts) == hard({label: asked})
    if said is None:
        assert findings == []
        return
    (finding,) = findings
    assert finding.severity is Severity.NOTICE
    assert finding.reason == "StricterQuota"
    assert f"label {PREFIX}/{label} requests {asked}" in finding.message
    assert "kf-resource-quota" in finding.message
    assert said in finding.message


def test_the_quota_of_kubeflow_is_not_reported_without_an_override() -> None:
    facts = desired.Facts(kubeflow_hard={"pods": "1"})
    assert found({}, facts) == []
    refused = found({"pods": "x"}, facts)
    assert [finding.reason for finding in refused] == ["InvalidQuota"]


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        (builders.resource_quota(hard={"pods": "50", "cpu": 8}), {"pods": "50", "cpu": "8"}),
        (builders.resource_quota(), {}),
        (builders.resource_quota(hard=None), {}),
        (builders.resource_quota(hard={"pods": "5"}, scopes=["BestEffort"]), {}),
        (builders.resource_quota(hard={"pods": "5"}, scopeSelector={"a": 1}), {}),
        (builders.resource_quota("quotas", hard={"pods": "50"}), None),
    ],
)
def test_only_the_quota_of_kubeflow_is_cached(
    body: dict[str, object], kept: dict[str, str] | None
) -> None:
    assert controller.transform(body) == kept


def test_the_watch_maps_a_quota_to_the_profile_of_its_namespace() -> None:
    (watch,) = controller.CONTROLLER.watches(SETTINGS)
    assert list(watch.map(builders.resource_quota(namespace="bob"))) == ["bob"]


class FakeCache:
    profiles: frozenset[str] = frozenset()

    def __init__(self, hard: dict[str, str] | None) -> None:
        self.hard = hard

    def get(self, kind: str, namespace: str, name: str) -> dict[str, str] | None:
        asked = (kind, namespace, name)
        return self.hard if asked == ("ResourceQuota", "alice", "kf-resource-quota") else None

    def list(self, kind: str, namespace: str) -> dict[str, dict[str, str]]:
        raise NotImplementedError(kind, namespace)

    def list_for_profile(self, kind: str, profile: str) -> dict[str, dict[str, str]]:
        raise NotImplementedError(kind, profile)

    def blocked_write(self, profile: Profile, manifest: Manifest) -> Change | None:
        raise NotImplementedError(profile, manifest)


@pytest.mark.parametrize("remembered", [{"pods": "5"}, {}, None])
async def test_kubeflows_quota_is_read_from_the_cache(remembered: dict[str, str] | None) -> None:
    facts = await controller.observe(builders.profile(), FakeCache(remembered), SETTINGS, None)
    assert facts == desired.Facts(kubeflow_hard=remembered or {})


def test_the_quota_of_the_older_suite_is_adopted_by_name() -> None:
    (owned,) = controller.CONTROLLER.owned(controller.CONTROLLER.default_settings())
    assert owned.adopt_legacy is not None
    assert owned.adopt_legacy({"name": "quotas"})
    assert not owned.adopt_legacy({"name": "kf-resource-quota"})
