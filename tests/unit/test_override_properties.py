"""Properties of override labels in both controllers: an invalid label affects no other label."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from controllers import quantities
from controllers.findings import Finding, Severity
from controllers.limitranges import desired as limits
from controllers.limitranges.config import LimitRangesSettings
from controllers.profiles import Profile
from controllers.quotas import desired as quotas
from controllers.quotas.config import DEFAULT_HARD, QuotasSettings
from tests.support import builders

QUOTAS = QuotasSettings()
LIMITS = LimitRangesSettings.model_validate(
    {
        "max": {"cpu": "4", "memory": "8Gi", "ephemeral-storage": "10Gi"},
        "min": {"cpu": "10m"},
        "max_limit_request_ratio": {"cpu": "8"},
    }
)
SLOTS = {
    "default.cpu": ("default", "cpu"),
    "default.memory": ("default", "memory"),
    "default.ephemeral-storage": ("default", "ephemeral-storage"),
    "defaultrequest.cpu": ("defaultRequest", "cpu"),
    "defaultrequest.memory": ("defaultRequest", "memory"),
    "defaultrequest.ephemeral-storage": ("defaultRequest", "ephemeral-storage"),
}
DEFAULTS = {"cpu": "250m", "memory": "256M", "ephemeral-storage": "10Gi"}

# Valid label values, texts similar to quantities, and any text.
LABEL_VALUES = st.from_regex(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?", fullmatch=True)
NEAR_QUANTITIES = st.from_regex(
    r"-?[0-9]{1,20}(\.[0-9]{1,10})?([numkMGTPEK]|[KMGTPE]i|e-?[0-9]{1,2})?", fullmatch=True
)
SMALL = st.from_regex(r"[0-9]{1,3}(m|Mi|M|Gi)?", fullmatch=True)
VALUES = st.one_of(LABEL_VALUES, NEAR_QUANTITIES, SMALL, st.text(max_size=70))
OTHER_NAMES = st.from_regex(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?", fullmatch=True)


def labels_of(*known: str) -> st.SearchStrategy[dict[str, str]]:
    return st.dictionaries(st.one_of(st.sampled_from(known), OTHER_NAMES), VALUES, max_size=12)


def labelled(prefix: str, labels: Mapping[str, str]) -> Profile:
    return builders.profile(labels={f"{prefix}/{name}": text for name, text in labels.items()})


def by_name(prefix: str, findings: Sequence[Finding]) -> dict[str, Finding]:
    """Return the findings by label, each of which has at most one."""
    found = {
        finding.message.split(" ")[1].removeprefix(f"{prefix}/"): finding for finding in findings
    }
    assert len(found) == len(findings)
    return found


@given(labels_of(*QUOTAS.label_names))
@example({"pods": "1000000000000000001"})
@example({"requests.cpu": "1e99999999999999999999"})
def test_any_quota_label_is_applied_or_has_exactly_one_finding(labels: dict[str, str]) -> None:
    profile = labelled("quotas.statcan.gc.ca", labels)
    (manifest,) = quotas.desired(profile, quotas.Facts(), QUOTAS).objects
    hard = manifest.content["spec"]["hard"]
    found = by_name(
        "quotas.statcan.gc.ca", quotas.desired(profile, quotas.Facts(), QUOTAS).findings
    )
    expected = dict(DEFAULT_HARD)
    for name, text in labels.items():
        key = QUOTAS.label_names.get(name)
        if key is None:
            assert found.pop(name).severity is Severity.NOTICE
        elif name in found:
            assert found.pop(name).severity is Severity.PROBLEM
        else:
            expected[key] = quantities.canonicalize_amount(text)
    assert found == {}
    assert expected == hard


@given(labels_of(*SLOTS))
@example({"default.cpu": "100m", "defaultrequest.cpu": "200m"})
@example({"default.cpu": "5", "defaultrequest.cpu": "4500m"})
@example({"default.memory": "1Gi", "defaultrequest.memory": "1Gi"})
def test_any_limit_label_is_applied_or_has_exactly_one_finding(labels: dict[str, str]) -> None:
    profile = labelled("limitranges.statcan.gc.ca", labels)
    (manifest,) = limits.desired(profile, None, LIMITS).objects
    (item,) = manifest.content["spec"]["limits"]
    found = by_name("limitranges.statcan.gc.ca", limits.desired(profile, None, LIMITS).findings)
    expected = {field: dict(DEFAULTS) for field in ("default", "defaultRequest")}
    for name, text in labels.items():
        if name not in SLOTS:
            assert found.pop(name).severity is Severity.NOTICE
        elif name in found:
            assert found.pop(name).severity is Severity.PROBLEM
        else:
            field, resource = SLOTS[name]
            expected[field][resource] = quantities.canonicalize_amount(text)
    assert found == {}
    storage = "ephemeral-storage"
    if "defaultrequest.ephemeral-storage" not in labels or (
        expected["defaultRequest"][storage] == DEFAULTS[storage]
    ):
        # Not configured, so the API server derives it from the limit.
        expected["defaultRequest"][storage] = expected["default"][storage]
    assert expected["default"] == item["default"]
    assert expected["defaultRequest"] == item["defaultRequest"]


@given(labels_of(*SLOTS))
def test_the_api_server_accepts_the_limit_range_for_any_labels(
    labels: dict[str, str],
) -> None:
    profile = labelled("limitranges.statcan.gc.ca", labels)
    (manifest,) = limits.desired(profile, None, LIMITS).objects
    (item,) = manifest.content["spec"]["limits"]
    for resource in DEFAULTS:
        fields = ("min", "defaultRequest", "default", "max")
        amounts = [value(item, field, resource) for field in fields if resource in item[field]]
        assert all(low <= high for low, high in pairwise(amounts))
    ratio = value(item, "maxLimitRequestRatio", "cpu")
    assert value(item, "default", "cpu") <= ratio * value(item, "defaultRequest", "cpu")


def value(item: Mapping[str, Mapping[str, str]], field: str, resource: str) -> Fraction:
    return quantities.parse(item[field][resource])
