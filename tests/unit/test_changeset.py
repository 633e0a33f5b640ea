"""The text and the counts of a ChangeSet."""

import pytest

from controllers.manifests import Key
from controllers.runtime.apply.changeset import NO_CHANGES, WRITES, Action, Change, ChangeSet

KEY = Key("ConfigMap", "alice", "settings")


def test_the_text_of_a_change_has_its_reason_in_brackets() -> None:
    change = Change(Action.REFUSED, KEY, "exists and is not managed by profiles-controller")

    assert (
        "ConfigMap alice/settings refused (exists and is not managed by profiles-controller)"
        == str(change)
    )


def test_a_cluster_scoped_key_has_no_slash() -> None:
    assert "PersistentVolume disk create" == str(
        Change(Action.CREATE, Key("PersistentVolume", "", "disk"))
    )


def test_the_text_omits_unchanged_objects_without_a_reason() -> None:
    changes = ChangeSet(
        (
            Change(Action.UNCHANGED, KEY),
            Change(Action.UNCHANGED, KEY, "paused by its annotation"),
            Change(Action.PRUNE, KEY),
        )
    )

    assert (
        "ConfigMap alice/settings unchanged (paused by its annotation)\n"
        "ConfigMap alice/settings prune"
    ) == str(changes)
    assert 3 == len(changes)


@pytest.mark.parametrize("action", Action)
def test_only_actions_that_write_are_changes(action: Action) -> None:
    assert (action in WRITES) is ChangeSet((Change(action, KEY),)).changed


def test_counts_omit_actions_that_do_not_occur() -> None:
    changes = ChangeSet((Change(Action.CREATE, KEY), Change(Action.CREATE, KEY)))

    assert {"create": 2} == changes.counts()
    assert () == changes.with_action(Action.PRUNE)
    assert changes.changes == changes.with_action(Action.CREATE)
    assert {} == NO_CHANGES.counts()
    assert "" == str(NO_CHANGES)
