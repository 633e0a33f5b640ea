"""The ownership of a namespace."""

from typing import Any

import pytest

from controllers.runtime.apply import namespace
from controllers.runtime.apply.namespace import NamespaceOwnership
from controllers.runtime.objects import cached_object
from controllers.runtime.objects.kinds import KINDS
from tests.support import builders

DELETING = {"deletionTimestamp": "2026-01-01T00:00:00Z"}


def ownership(
    *, adopted: bool = False, metadata: dict[str, Any] | None = None
) -> NamespaceOwnership:
    body = builders.namespace_body()
    body["metadata"] |= {"uid": "uid-namespace", "resourceVersion": "5", **(metadata or {})}
    cached = cached_object.from_body(KINDS["Namespace"], body)
    return namespace.ownership_of(builders.profile(), cached, adopted=adopted)


def test_a_missing_namespace_is_not_found() -> None:
    assert NamespaceOwnership.NOT_FOUND is namespace.ownership_of(
        builders.profile(), None, adopted=True
    )


def test_a_namespace_that_the_profile_controls_is_owned() -> None:
    assert NamespaceOwnership.OWNED is ownership()


def test_an_owned_namespace_that_is_being_deleted_is_terminating() -> None:
    assert NamespaceOwnership.TERMINATING is ownership(metadata=DELETING)


FOREIGN: dict[str, dict[str, Any]] = {
    "no_owner": {"ownerReferences": []},
    "of_another_profile": {"ownerReferences": [builders.profile_reference("bob", "uid-bob")]},
    "of_an_earlier_profile": {"ownerReferences": [builders.profile_reference(uid="uid-before")]},
    "owned_but_not_controlled": {
        "ownerReferences": [builders.profile_reference() | {"controller": False}]
    },
    "of_another_kind_with_that_uid": {
        "ownerReferences": [builders.profile_reference() | {"apiVersion": "example.ca/v1"}]
    },
    "foreign_and_being_deleted": {"ownerReferences": [], **DELETING},
}


@pytest.mark.parametrize("case", FOREIGN)
def test_a_namespace_that_the_profile_does_not_control_is_foreign(case: str) -> None:
    assert NamespaceOwnership.FOREIGN is ownership(metadata=FOREIGN[case])


def test_a_namespace_of_a_v1beta1_profile_is_owned() -> None:
    reference = builders.profile_reference() | {"apiVersion": "kubeflow.org/v1beta1"}

    assert NamespaceOwnership.OWNED is ownership(metadata={"ownerReferences": [reference]})


def test_an_older_namespace_of_the_same_owner_is_adopted_if_the_option_is_set() -> None:
    assert NamespaceOwnership.ADOPTED is ownership(adopted=True, metadata={"ownerReferences": []})


NOT_ADOPTABLE: dict[str, dict[str, Any]] = {
    "another_owner": {"annotations": {"owner": "eve@example.ca"}},
    "no_owner": {"annotations": {}},
    "no_label": {"labels": {}},
    "another_label": {"labels": {"app.kubernetes.io/part-of": "something-else"}},
    "another_controller": {"ownerReferences": [builders.profile_reference("bob", "uid-bob")]},
}


@pytest.mark.parametrize("case", NOT_ADOPTABLE)
def test_a_namespace_is_adopted_only_if_owner_label_and_controller_match(case: str) -> None:
    metadata = {"ownerReferences": [], **NOT_ADOPTABLE[case]}

    assert NamespaceOwnership.FOREIGN is ownership(adopted=True, metadata=metadata)


def test_a_profile_without_an_owner_adopts_nothing() -> None:
    body = builders.namespace_body(owned=False)
    body["metadata"] |= {"uid": "u", "resourceVersion": "5", "annotations": {"owner": ""}}
    cached = cached_object.from_body(KINDS["Namespace"], body)

    assert NamespaceOwnership.FOREIGN is namespace.ownership_of(
        builders.profile(owner=""), cached, adopted=True
    )


def test_the_message_states_profile_namespace_uid_and_remedy() -> None:
    message = namespace.not_owned_message(builders.profile())

    for text in ("namespace alice", "Profile alice", "uid-alice", "rename the Profile"):
        assert text in message
