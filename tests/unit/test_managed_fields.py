"""Fields that our field manager applied, by managedFields, and whether they are desired."""

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


def desired(**changes: Any) -> Body:
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


def test_applied_fields_that_are_still_desired_need_no_write() -> None:
    assert managed_fields.states_all(desired(more="of ours"), owned(entry()))


@pytest.mark.parametrize(
    "body",
    [
        {},
        desired(selector=None) | {"metadata": {}},
        {**desired(), "metadata": {**desired()["metadata"], "annotations": {}}},
        {**desired(), "metadata": {**desired()["metadata"], "finalizers": []}},
        desired(ports=[]),
        desired(ports=[{"port": 81, "name": "http"}]),
        desired(ports=[{"port": 80}]),
        desired(ports="none"),
    ],
)
def test_an_applied_field_that_is_no_longer_desired_needs_a_write(body: Body) -> None:
    assert not managed_fields.states_all(body, owned(entry()))


@pytest.mark.parametrize(
    "fields",
    [
        {"manager": "kubectl"},
        {"operation": "Update"},
        {"subresource": "status"},
    ],
)
def test_fields_of_other_managers_are_ignored(fields: dict[str, str]) -> None:
    assert owned(entry(**fields)) == ""
    assert managed_fields.states_all({}, owned(entry(**fields)))
    assert managed_fields.applied_fields({}, MANAGER) == ""


def test_owner_references_of_different_profiles_share_one_text() -> None:
    metadata = {**OWNED["f:metadata"], "f:ownerReferences": {'k:{"uid":"uid-bob"}': {}}}
    other = entry(fieldsV1={**OWNED, "f:metadata": metadata})

    assert owned(entry()) is owned(other)
