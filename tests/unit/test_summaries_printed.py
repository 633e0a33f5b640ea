"""What --once and diff print, and how they exit."""

import json

import pytest
import yaml

from controllers.runtime.apply.changeset import Action, ChangeSet
from tests.support.cli import samples
from tests.support.cli.run import call

CHANGED = samples.Row(result="changed", changes=ChangeSet((samples.change(),)))
REFUSED = samples.Row(
    profile="kube-system", result="refused", message="the namespace is not its own"
)
FAILED = samples.Row(profile="bob", result="failed", message="403 [red]Forbidden[/red]")
READY = samples.Row(profile="carol", changes=ChangeSet((samples.change(Action.UNCHANGED),)))


@pytest.mark.parametrize(("rows", "code"), [((), 0), ((READY, CHANGED), 0), ((READY, FAILED), 3)])
def test_once_exits_3_when_a_profile_failed(rows: tuple[samples.Row, ...], code: int) -> None:
    runtime = samples.Runtime(summary=samples.Summary(rows=rows))

    assert call("quotas", "--once", runtime=runtime).exit_code == code


def test_once_prints_a_line_for_each_profile() -> None:
    runtime = samples.Runtime(summary=samples.Summary(rows=(CHANGED, FAILED, READY)))

    assert call("quotas", "--once", runtime=runtime).stdout.splitlines() == [
        "alice  quotas  changed  create=1",
        "bob  quotas  failed  403 [red]Forbidden[/red]",
        "carol  quotas  ready",
        "1 changed, 1 failed, 1 ready",
    ]


@pytest.mark.parametrize(
    ("rows", "code"), [((), 0), ((READY,), 0), ((CHANGED,), 1), ((CHANGED, FAILED), 2)]
)
def test_diff_exits_1_for_changes_and_2_for_an_error(
    rows: tuple[samples.Row, ...], code: int
) -> None:
    runtime = samples.Runtime(summary=samples.Summary(rows=rows))

    assert call("diff", "quotas", runtime=runtime).exit_code == code


def test_diff_prints_a_line_for_each_object() -> None:
    update = samples.change(Action.UPDATE, "spec.hard.pods")
    row = samples.Row(changes=ChangeSet((update, samples.change(Action.DELETE))))
    runtime = samples.Runtime(summary=samples.Summary(rows=(row, REFUSED, READY)))

    assert call("diff", "all", runtime=runtime).stdout.splitlines() == [
        "~ alice  quotas  ResourceQuota alice/quotas update (spec.hard.pods)",
        "- alice  quotas  ResourceQuota alice/quotas delete",
        "! kube-system  quotas  refused: the namespace is not its own",
        "1 to update, 1 to delete",
    ]


def test_diff_says_so_when_nothing_would_change() -> None:
    assert call("diff", "quotas").stdout == "nothing would change\n"


def test_diff_is_of_the_profiles_named() -> None:
    runtime = samples.Runtime()

    call("diff", "quotas", "alice", "bob", runtime=runtime)

    assert list(runtime.profiles or ()) == ["alice", "bob"]


@pytest.mark.parametrize("command", [["diff", "quotas"], ["quotas", "--once"]])
@pytest.mark.parametrize("form", ["json", "yaml"])
def test_programs_get_the_summary_as_data(command: list[str], form: str) -> None:
    runtime = samples.Runtime(summary=samples.Summary(rows=(CHANGED,)))

    told = call(*command, "-o", form, runtime=runtime).stdout

    assert (json.loads(told) if form == "json" else yaml.safe_load(told)) == {
        "failed": False,
        "changed": True,
        "rows": [
            {
                "profile": "alice",
                "controller": "quotas",
                "result": "changed",
                "message": "",
                "seconds": 0.25,
                "changes": [
                    {
                        "action": "create",
                        "kind": "ResourceQuota",
                        "namespace": "alice",
                        "name": "quotas",
                        "detail": "",
                    }
                ],
            }
        ],
    }
