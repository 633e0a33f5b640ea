"""Output and exit codes of --once and diff."""

import json

import pytest
import yaml

from controllers.runtime.apply.changeset import Action, ChangeSet
from controllers.runtime.commands.oneshot_summary import ProfileResult, ResultKind
from tests.support.cli.fake_runtime import FakeRuntime, change, result
from tests.support.cli.run import call, cells

CHANGED = result(kind=ResultKind.CHANGED, changes=ChangeSet((change(),)))
REFUSED = result("kube-system", ResultKind.REFUSED, "namespace kube-system is not controlled")
FAILED = result("bob", ResultKind.FAILED, "403 [red]Forbidden[/red]")
UNCHANGED = result("carol", changes=ChangeSet((change(Action.UNCHANGED),)))
GARBAGE = result("", ResultKind.FAILED, "object store unavailable")


@pytest.mark.parametrize(
    ("results", "code"), [((), 0), ((UNCHANGED, CHANGED), 0), ((UNCHANGED, FAILED), 3)]
)
def test_once_exits_3_when_a_profile_failed(results: tuple[ProfileResult, ...], code: int) -> None:
    assert call("quotas", "--once", runtime=FakeRuntime(results=results)).exit_code == code


def test_once_prints_a_row_for_each_profile() -> None:
    runtime = FakeRuntime(results=(CHANGED, FAILED, UNCHANGED, GARBAGE))

    assert cells(call("quotas", "--once", runtime=runtime).stdout) == [
        ["PROFILE", "CONTROLLER", "RESULT", "CHANGES", "MESSAGE"],
        ["alice", "quotas", "changed", "1 create", "-"],
        ["bob", "quotas", "failed", "-", "403 [red]Forbidden[/red]"],
        ["carol", "quotas", "unchanged", "-", "-"],
        ["-", "quotas", "failed", "-", "object store unavailable"],
        ["1 changed, 2 failed, 1 unchanged"],
    ]


def test_once_prints_seconds_in_a_wide_table() -> None:
    runtime = FakeRuntime(results=(CHANGED,))

    titles, row, _ = cells(call("quotas", "--once", "-o", "wide", runtime=runtime).stdout)

    assert dict(zip(titles, row, strict=True))["SECONDS"] == "0.250"


def test_once_without_profiles_says_so() -> None:
    assert call("quotas", "--once").stdout == "no profiles\n"


@pytest.mark.parametrize(
    ("results", "code"), [((), 0), ((UNCHANGED,), 0), ((CHANGED,), 1), ((CHANGED, FAILED), 2)]
)
def test_diff_exits_1_for_changes_and_2_for_an_error(
    results: tuple[ProfileResult, ...], code: int
) -> None:
    assert call("diff", "quotas", runtime=FakeRuntime(results=results)).exit_code == code


def test_diff_prints_a_row_for_each_object() -> None:
    update = change(Action.UPDATE, "spec.hard.pods")
    changed = result(changes=ChangeSet((update, change(Action.DELETE))))
    runtime = FakeRuntime(results=(changed, REFUSED, UNCHANGED))

    assert cells(call("diff", "all", runtime=runtime).stdout) == [
        ["PROFILE", "CONTROLLER", "ACTION", "OBJECT", "DETAIL"],
        ["alice", "quotas", "update", "ResourceQuota alice/quotas", "spec.hard.pods"],
        ["alice", "quotas", "delete", "ResourceQuota alice/quotas", "-"],
        ["kube-system", "quotas", "refused", "-", "namespace kube-system is not controlled"],
        ["1 to update, 1 to delete"],
    ]


def test_diff_reports_that_nothing_would_change() -> None:
    assert call("diff", "quotas").stdout == "nothing would change\n"


def test_diff_covers_the_named_profiles() -> None:
    runtime = FakeRuntime()

    call("diff", "quotas", "alice", "bob", runtime=runtime)

    assert list(runtime.profiles or ()) == ["alice", "bob"]


@pytest.mark.parametrize("command", [["diff", "quotas"], ["quotas", "--once"]])
@pytest.mark.parametrize("output", ["json", "yaml"])
def test_programs_get_the_results_as_data(command: list[str], output: str) -> None:
    printed = call(*command, "-o", output, runtime=FakeRuntime(results=(CHANGED,))).stdout

    assert (json.loads(printed) if output == "json" else yaml.safe_load(printed)) == {
        "failed": False,
        "changed": True,
        "results": [
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
