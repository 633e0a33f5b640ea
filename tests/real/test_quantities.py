"""The rules of quantities, resource names and limits, verified on a real API server.

All requests are dry runs: the server returns the object that it would store.
"""

from typing import Any

import pytest

from controllers import quantities, resource_names
from controllers.limitranges import desired as limits
from controllers.limitranges import rules
from controllers.limitranges.config import LimitRangesSettings
from controllers.manifests import Body
from controllers.quotas import desired as quotas
from controllers.quotas.config import QuotasSettings
from tests.support import builders
from tests.support.controlplane import ControlPlane, StatusError

PATHS = {"ResourceQuota": "resourcequotas", "LimitRange": "limitranges"}
UNPROCESSABLE = 422


def store(plane: ControlPlane, kind: str, spec: Body) -> Any:
    """Return the spec that the server would store, or None if it refuses the object."""
    body = {"apiVersion": "v1", "kind": kind, "metadata": {"name": "dry-run"}, "spec": spec}
    path = f"/api/v1/namespaces/default/{PATHS[kind]}?dryRun=All"
    try:
        return plane.request("POST", path, body)["spec"]
    except StatusError as error:
        if error.status != UNPROCESSABLE:
            raise
        return None


INTEGER_RESOURCES = ["pods", "services.nodeports", "count/deployments.apps", "nvidia.com/gpu"]
AMOUNTS = [
    *(
        "0",
        "1",
        "1000m",
        "1.5",
        "1n",
        "-1",
        "-1n",
        "100u",
        "1.0001",
        "1e-4",
        "0.00001Ki",
        "1k",
        "1Ki",
        ".5Ki",
        "1e3",
        "15e-1",
    ),
    *("9223372036854775", "9223372036854776", "9223372036854775806", "9223372036854775807"),
    *("1000000000000000001", "10Pi", "10P", "10000000G", "10000000001M", "9E", "1e16", "7Ei"),
    *("9223372036854775k", "100048468864M", "12e15", "36e9", "10485760Gi"),
]


@pytest.mark.parametrize("resource", [*INTEGER_RESOURCES, "requests.cpu", "limits.memory"])
def test_an_amount_is_valid_if_and_only_if_the_server_accepts_it(
    control_plane: ControlPlane, resource: str
) -> None:
    for text in AMOUNTS:
        error = resource_names.amount_error(resource, text)
        canonical = quantities.canonicalize_amount(text)
        for sent in (text, canonical):
            stored = store(control_plane, "ResourceQuota", {"hard": {resource: sent}})
            assert (stored is None) is (error is not None), f"{resource} {sent}: {error}"
            if stored is not None:
                (actual,) = stored["hard"].values()
                assert quantities.comparable(canonical) == quantities.comparable(actual)
                assert sent == text or actual == canonical


@pytest.mark.parametrize(
    "name",
    [
        *(
            *INTEGER_RESOURCES,
            "cpu",
            "requests.storage",
            "limits.ephemeral-storage",
            "hugepages-2Mi",
        ),
        *("requests.hugepages-2Mi", "requests.nvidia.com/gpu", "a.storageclass.x/requests.storage"),
        *("gpu", "storage", "limits.storage", "deployments", "a b", "a//b", "A.com/x", "a/b/c"),
        *("secrets", "resourcequotas", "x" * 64, f"a.b/{'x' * 64}"),
    ],
)
def test_a_quota_resource_is_valid_if_and_only_if_the_server_accepts_it(
    control_plane: ControlPlane, name: str
) -> None:
    stored = store(control_plane, "ResourceQuota", {"hard": {name: "1"}})
    assert (stored is None) is (resource_names.quota_name_error(name) is not None)


@pytest.mark.parametrize(
    "name",
    [
        *("cpu", "memory", "ephemeral-storage", "hugepages-2Mi", "nvidia.com/gpu"),
        *("x.kubernetes.io/y", "kubernetes.io/y", "requests.nvidia.com/gpu", "pods", "storage"),
        *("requests.cpu", "gpu", "a b", "a/b/c", "a" * 64),
    ],
)
def test_a_container_resource_is_valid_if_and_only_if_the_server_accepts_it(
    control_plane: ControlPlane, name: str
) -> None:
    spec = {"limits": [{"type": "Container", "default": {name: "1"}}]}
    stored = store(control_plane, "LimitRange", spec)
    assert (stored is None) is (resource_names.container_name_error(name) is not None)


@pytest.mark.parametrize(
    ("hard", "labels"),
    [
        ({}, {}),
        ({}, {"pods": "1e3", "requests.cpu": "0.5", "limits.memory": "1024Gi", "gpu": "10P"}),
        ({}, {"pods": "1000000000000000001", "requests.cpu": "9223372036854775807"}),
        ({"requests.ephemeral-storage": "1.5Ti", "secrets": 5, "services.nodeports": None}, {}),
    ],
)
def test_the_server_returns_a_quota_unchanged(
    control_plane: ControlPlane, hard: dict[str, object], labels: dict[str, str]
) -> None:
    labels = {f"quotas.statcan.gc.ca/{name}": text for name, text in labels.items()}
    (manifest,) = quotas.desired(
        builders.profile(labels=labels),
        quotas.Facts(),
        QuotasSettings.model_validate({"hard": hard}),
    ).objects
    spec = manifest.content["spec"]
    assert store(control_plane, "ResourceQuota", spec) == spec


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"max": {"cpu": "2", "memory": "1.5Gi", "ephemeral-storage": "10Gi"}},
        {"min": {"cpu": "0.1", "hugepages-2Mi": "2Mi"}, "max_limit_request_ratio": {"cpu": 1.5}},
        {"default": {"cpu": None, "nvidia.com/gpu": 1}, "default_request": {"memory": None}},
        {"default": {"cpu": None, "memory": None}, "max": {"cpu": "1"}, "min": {"memory": "0"}},
        {"default": {"cpu": "1000m", "memory": "1e9"}, "default_request": {"cpu": "0.2500"}},
    ],
)
def test_the_server_returns_a_limit_range_unchanged(
    control_plane: ControlPlane, settings: dict[str, dict[str, object]]
) -> None:
    label = {"limitranges.statcan.gc.ca/default.memory": "1024Mi"}
    (manifest,) = limits.desired(
        builders.profile(labels=label), None, LimitRangesSettings.model_validate(settings)
    ).objects
    spec = manifest.content["spec"]
    assert store(control_plane, "LimitRange", spec) == spec


LADDER = ["0", "1m", "1", "2", "3"]


def test_limit_range_amounts_conflict_if_and_only_if_the_server_refuses_them(
    control_plane: ControlPlane,
) -> None:
    cases = [
        {"min": low, "max": high, "default": limit, "defaultRequest": request}
        for low in ("", "1m", "2")
        for high in ("", "1", "2")
        for limit in ("", *LADDER[1:4])
        for request in ("", *LADDER[1:])
    ]
    for amounts in cases:
        assert_same_verdict(control_plane, "cpu", amounts)


@pytest.mark.parametrize("resource", ["cpu", "hugepages-2Mi", "nvidia.com/gpu"])
def test_ratios_and_devices_conflict_if_and_only_if_the_server_refuses_them(
    control_plane: ControlPlane, resource: str
) -> None:
    for low, high in (("1", "4"), ("0", "4"), ("1u", "1m"), ("3", "10"), ("1n", "9E")):
        for ratio in ("0", "0.999", "1", "1.0001", "3.333", "3.3334", "4", "4.0001", "1k", "9P"):
            amounts = {"min": low, "max": high, "maxLimitRequestRatio": ratio}
            # Equal defaults satisfy every ratio of 1 or more, and are valid for devices.
            assert_same_verdict(
                control_plane, resource, {**amounts, "default": high, "defaultRequest": high}
            )
    for limit, request in (("2", "1"), ("2", "2"), ("2", "")):
        assert_same_verdict(control_plane, resource, {"default": limit, "defaultRequest": request})


def assert_same_verdict(plane: ControlPlane, resource: str, amounts: dict[str, str]) -> None:
    given = {field: text for field, text in amounts.items() if text}
    item = {
        field: {resource: quantities.canonicalize_amount(text)} for field, text in given.items()
    }
    stored = store(plane, "LimitRange", {"limits": [{"type": "Container", **item}]})
    whole = {field: item.get(field, {}) for field in rules.FIELDS}
    conflict = rules.conflict(whole, resource)
    assert (stored is None) is (conflict is not None), f"{amounts}: {conflict}"
    if stored is not None:
        (returned,) = stored["limits"]
        assert returned == {"type": "Container", **rules.with_defaults(whole)}
