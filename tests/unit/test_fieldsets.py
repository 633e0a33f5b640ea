"""What our applies own of an object, by its managedFields, and whether it is still stated."""

from typing import Any

import pytest

from controllers.manifests import Body
from controllers.runtime.objects import managed_fields

MANAGER = "profiles-controller-samples"
OWNED: dict[str, Any] = {
    "f:metadata": {
        "f:labels": {"f:app": {}},
        "f:annotations": {".": {}, "f:note": {}},
        "f:finalizers": {'v:"kept"': {}},
        "f:ownerReferences": {'k:{"uid":"uid-alice"}': {}},
    },
    "f:spec": {
        "f:ports": {
            'k:{"port":80,"protocol":"TCP"}': {".": {}, "f:port": {}, "f:name": {}},
        },
        "f:selector": {},
    },
}


def stated(**changes: Any) -> Body:
    return {
        "metadata": {
            "name": "a",
            "labels": {"app": "a"},
            "annotations": {"note": "1"},
            "finalizers": ["kept"],
        },
        "spec": {"ports": [{"port": 80, "name": "http"}], "selector": {"app": "a"}, **changes},
    }


def entry(**fields: Any) -> Body:
    return {"manager": MANAGER, "operation": "Apply", "fieldsV1": OWNED, **fields}


def owned(*entries: Body) -> str:
    return managed_fields.applied_fields({"managedFields": list(entries)}, MANAGER)


def test_what_is_stated_still_is_no_reason_to_write() -> None:
    assert managed_fields.states_all(stated(more="of ours"), owned(entry()))


@pytest.mark.parametrize(
    "body",
    [
        {},
        stated(selector=None) | {"metadata": {}},
        {**stated(), "metadata": {**stated()["metadata"], "annotations": {}}},
        {**stated(), "metadata": {**stated()["metadata"], "finalizers": []}},
        stated(ports=[]),
        stated(ports=[{"port": 81, "name": "http"}]),
        stated(ports=[{"port": 80}]),
        stated(ports="none"),
    ],
)
def test_what_is_owned_and_stated_no_longer_is(body: Body) -> None:
    assert not managed_fields.states_all(body, owned(entry()))


@pytest.mark.parametrize(
    "fields",
    [
        {"manager": "kubectl"},
        {"operation": "Update"},
        {"subresource": "status"},
    ],
)
def test_what_others_own_is_theirs(fields: dict[str, str]) -> None:
    assert owned(entry(**fields)) == ""
    assert managed_fields.states_all({}, owned(entry(**fields)))
    assert managed_fields.applied_fields({}, MANAGER) == ""


def test_whose_profile_it_is_makes_no_difference() -> None:
    metadata = {**OWNED["f:metadata"], "f:ownerReferences": {'k:{"uid":"uid-bob"}': {}}}
    other = entry(fieldsV1={**OWNED, "f:metadata": metadata})

    assert owned(entry()) is owned(other)
