"""Whatever a user writes into a label costs that label and nothing else: one running process."""

import functools
import itertools
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controllers import quantities
from tests.support.cluster import observe, waiting
from tests.support.cluster.manager_process import ManagerProcess
from tests.support.controlplane import ControlPlane, Json, StatusError

pytestmark = [pytest.mark.xdist_group("profiles")]

WRONG, RIGHT = "any-value", "any-neighbour"
DEFAULTS = {"requests.memory": "368G", "requests.nvidia.com/gpu": "2"}
LABELS = {"requests.memory": "requests.memory", "gpu": "requests.nvidia.com/gpu"}
EXAMPLES = 40

# What the API server accepts: at most 63, letters and digits at both ends.
anything = st.from_regex(r"\A([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?\Z")
numbers = st.from_regex(r"\A[0-9]{1,40}(\.[0-9]{1,20})?(e[0-9]{1,3}|n|u|m|k|[KMGTPE]i?)?\Z")
odd = st.sampled_from(
    ("", "0", "1e3", "1E", "1e-9", "9223372036854775807", "9223372036854775808", "8Ei", "NaN",
     "Infinity", "1_0", "0x10", "007", "1.5", "0.5n", "1Ki", "1ki", "1M1", "true", "9" * 63)
)  # fmt: skip
values = st.one_of(odd, numbers, anything)


@pytest.fixture(scope="module")
def counter() -> Iterator[int]:
    """A number of pods that no example had before: when it is seen, the labels were read."""
    return itertools.count(101)


@pytest.fixture(scope="module")
def tenants(control_plane: ControlPlane, manager: ManagerProcess) -> ManagerProcess:
    for name in (WRONG, RIGHT):
        observe.create_ready_tenant(control_plane, name)
    return manager


def allows(plane: ControlPlane, profile: str, pods: str) -> bool:
    return observe.quota_hard(plane, profile)["pods"] == pods


def accepted(plane: ControlPlane, key: str, value: str) -> str | None:
    """What the API server makes of that amount in a quota; None when it refuses it."""
    quota: Json = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "probe", "namespace": "default"},
        "spec": {"hard": {key: value}},
    }
    path = "/api/v1/namespaces/default/resourcequotas?dryRun=All"
    try:
        return str(plane.request("POST", path, quota)["spec"]["hard"][key])
    except StatusError as error:
        if error.status not in (400, 422):
            raise
        return None


@settings(max_examples=EXAMPLES)
@given(label=st.sampled_from(sorted(LABELS)), value=values)
def test_no_label_value_stops_another_key_another_profile_or_the_process(
    control_plane: ControlPlane,
    tenants: ManagerProcess,
    counter: Iterator[int],
    label: str,
    value: str,
) -> None:
    key, pods = LABELS[label], str(next(counter))

    observe.set_quota_labels(
        control_plane,
        WRONG,
        **{"requests.memory": None, "gpu": None, label: value, "pods": pods},
    )
    observe.set_quota_labels(control_plane, RIGHT, pods=pods)

    for name in (WRONG, RIGHT):
        waiting.until(
            functools.partial(allows, control_plane, name, pods),
            f"the other key of {name} is in force beside {label}={value!r}",
        )
    wrong, right = (
        observe.quota_hard(control_plane, WRONG),
        observe.quota_hard(control_plane, RIGHT),
    )
    if wrong[key] != DEFAULTS[key]:
        taken = accepted(control_plane, key, value)
        assert taken is not None
        assert quantities.parse(wrong[key]) == quantities.parse(taken)
    assert {**wrong, key: ""} == {**right, key: ""}
    assert tenants.exit_code is None


@settings(max_examples=EXAMPLES)
@given(name=st.sampled_from(["default.cpu", "default.memory", "defaultrequest.cpu"]), value=values)
def test_no_label_value_stops_the_limit_range_of_another_profile(
    control_plane: ControlPlane,
    tenants: ManagerProcess,
    counter: Iterator[int],
    name: str,
    value: str,
) -> None:
    pods = str(next(counter))
    prefix = "limitranges.statcan.gc.ca"
    labels = dict.fromkeys((f"{prefix}/default.cpu", f"{prefix}/default.memory"), None)
    named = {**labels, f"{prefix}/defaultrequest.cpu": None, f"{prefix}/{name}": value}
    limit = f"{int(pods) + 250}m"

    observe.patch_labels(control_plane, WRONG, {**named, "quotas.statcan.gc.ca/pods": pods})
    observe.patch_labels(control_plane, RIGHT, {f"{prefix}/default.cpu": limit})

    waiting.until(
        lambda: observe.limit_range_item(control_plane, RIGHT)["default"]["cpu"] == limit,
        f"the neighbour's limit is in force beside {name}={value!r}",
    )
    waiting.until(
        lambda: observe.quota_hard(control_plane, WRONG)["pods"] == pods,
        "the other controller goes on",
    )
    assert observe.limit_range_item(control_plane, WRONG)["type"] == "Container"
    assert tenants.exit_code is None
    assert tenants.probe_status("/livez") == 200
