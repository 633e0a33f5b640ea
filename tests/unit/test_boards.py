"""What `status` prints, how it exits, and what it asks."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from controllers import registry
from controllers.runtime.commands.statuses import Look, Overview, State, Status
from controllers.runtime.rbac import reader_role
from profiles_controller.printers import status
from tests.support.cli import samples
from tests.support.cli.run import call

LONG_AGO = "2026-01-01T00:00:00Z"
READY = Status(
    profile="alice", controller="quotas", state=State.READY, since=LONG_AGO,
    message="ResourceQuota quotas is in place",
    look=Look(objects={"ResourceQuota": 1}, drift=()),
)  # fmt: skip
DRIFTED = Status(
    profile="alice", controller="limit-ranges", state=State.NOT_READY, since="",
    message="2 objects [red]refused[/red]",
    look=Look(objects={"Role": 2, "ConfigMap": 1}, drift=(samples.change(), samples.change())),
)  # fmt: skip
SILENT = Status(
    profile="bob", controller="quotas", state=State.UNKNOWN, since=LONG_AGO,
    message="no condition", look=Look(objects=None, drift=None, note="cannot list"),
)  # fmt: skip
PAUSED = Status(
    profile="carol", controller="quotas", state=State.PAUSED, since=LONG_AGO,
    message="paused by it", look=Look(objects={}, drift=None),
)  # fmt: skip


def runtime(
    *statuses: Status, profiles: int = 2, troubles: tuple[str, ...] = ()
) -> samples.Runtime:
    overview = Overview(statuses=statuses, profiles=profiles, troubles=troubles)
    return samples.Runtime(overviews=(overview,))


@pytest.mark.parametrize(
    ("statuses", "code"),
    [
        ((READY,), 0),
        ((READY, PAUSED), 0),
        ((READY, DRIFTED), 1),
        ((READY, SILENT), 1),
        ((), 1),
    ],
)
def test_it_exits_1_when_something_is_not_ready(statuses: tuple[Status, ...], code: int) -> None:
    assert call("status", runtime=runtime(*statuses)).exit_code == code


def test_a_table_has_a_line_for_each_profile_and_controller() -> None:
    done = call("status", runtime=runtime(READY, DRIFTED, SILENT))

    lines = done.stdout.splitlines()
    assert lines[0].split() == [
        "PROFILE", "CONTROLLER", "READY", "SINCE", "OBJECTS", "DRIFT", "MESSAGE",
    ]  # fmt: skip
    cells = [re.split(" {3,}", line) for line in lines]
    assert cells[1][:3] == ["alice", "quotas", "ready"]
    assert cells[1][4:] == ["1", "none", "ResourceQuota quotas is in place"]
    assert cells[2] == [
        "alice", "limit-ranges", "not ready", "-", "3", "2 create", "2 objects [red]refused[/red]",
    ]  # fmt: skip
    assert cells[3][4:] == ["-", "-", "no condition"]
    assert lines[4] == (
        "2 profiles: 1 ready, 1 not ready, 1 unknown, 1 drifted from the settings given here"
    )


def test_a_wide_table_names_kinds_changes_and_reasons() -> None:
    done = call("status", "-o", "wide", runtime=runtime(DRIFTED, SILENT))

    assert "1 ConfigMap, 2 Role" in done.stdout
    assert "ResourceQuota alice/quotas create, ResourceQuota alice/quotas create" in done.stdout
    assert "no condition (cannot list)" in done.stdout


def test_what_is_well_can_be_left_out() -> None:
    done = call("status", "--unready", runtime=runtime(READY, PAUSED, SILENT))

    assert [line.split()[0] for line in done.stdout.splitlines()] == ["PROFILE", "bob", "2"]
    assert "1 ready" in done.stdout


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_programs_get_data(form: str) -> None:
    done = call("status", "-o", form, runtime=runtime(DRIFTED, SILENT, troubles=("no right",)))

    data = json.loads(done.stdout) if form == "json" else yaml.safe_load(done.stdout)
    drift = {
        "action": "create", "kind": "ResourceQuota", "namespace": "alice", "name": "quotas",
        "detail": "",
    }  # fmt: skip
    assert data == {
        "ready": False,
        "profiles": 2,
        "troubles": ["no right"],
        "stale": "",
        "statuses": [
            {
                "profile": "alice",
                "controller": "limit-ranges",
                "state": "not ready",
                "since": None,
                "message": "2 objects [red]refused[/red]",
                "objects": {"ConfigMap": 1, "Role": 2},
                "drift": [drift, drift],
                "note": "",
            },
            {
                "profile": "bob",
                "controller": "quotas",
                "state": "unknown",
                "since": LONG_AGO,
                "message": "no condition",
                "objects": None,
                "drift": None,
                "note": "cannot list",
            },
        ],
    }


def test_rights_that_are_missing_are_said_beside_the_table() -> None:
    done = call("status", runtime=runtime(READY, troubles=("objects of x are not known",)))

    assert done.exit_code == 0
    assert "! objects of x are not known; 'profiles-controller permissions status'" in done.stderr


def test_what_was_last_seen_is_shown_as_such_while_the_api_server_is_away() -> None:
    fresh = Overview(statuses=(READY,), profiles=1)
    stale = Overview(statuses=(READY,), profiles=1, stale="API server unreachable: refused")

    done = call("status", "--watch", runtime=samples.Runtime(overviews=(fresh, stale)))

    assert done.stdout.count("1 profile: 1 ready") == 2
    assert "! as last seen: API server unreachable: refused" in done.stderr


def test_nobody_there_is_said_in_words() -> None:
    silent = call("status", runtime=runtime())
    empty = call("status", runtime=runtime(profiles=0))

    assert "is the suite installed?" in silent.stdout
    assert (empty.stdout, empty.exit_code) == ("no profiles\n", 0)


def test_watching_prints_what_changed_and_exits_as_it_last_was() -> None:
    before = Overview(statuses=(READY,), profiles=1)
    after = Overview(statuses=(SILENT,), profiles=1)
    there = samples.Runtime(overviews=(before, before, after))

    done = call("status", "--watch", "--unready", runtime=there)

    assert done.exit_code == 1
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["1", "PROFILE", "bob", "1"]


def test_without_watching_it_asks_once() -> None:
    there = samples.Runtime(
        overviews=(
            Overview(statuses=(READY,), profiles=1),
            Overview(statuses=(SILENT,), profiles=1),
        )
    )

    assert call("status", runtime=there).exit_code == 0


def test_it_asks_for_what_was_named() -> None:
    there = runtime(READY)

    call("status", "alice", "bob", "--only", "quotas", runtime=there)

    asked = there.question
    assert asked is not None
    assert (["alice", "bob"], {"quotas"}) == (list(asked.profiles), set(asked.expected))
    assert ["quotas"] == [one.name for one in asked.registry]
    assert ["quotas"] == [one.name for one, _ in asked.judged]


def test_drift_is_judged_by_the_settings_that_are_given(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("quotas: {hard: {pods: '7'}}")
    there, without = runtime(READY), runtime(READY)

    call("status", "--config", str(file), runtime=there)
    call("status", "--no-drift", runtime=without)

    assert there.question is not None
    assert {"pods": "7"} == {one.name: own for one, own in there.question.judged}["quotas"].hard
    assert without.question is not None
    assert [] == list(without.question.judged)


def test_an_unknown_controller_is_refused_with_those_there_are() -> None:
    done = call("status", "--only", "quota", runtime=runtime())

    assert done.exit_code == 2
    assert "--only quota: unknown controller; did you mean 'quotas'?" in done.stderr


def test_outside_of_a_pod_kubectls_own_kubeconfig_is_used(tmp_path: Path) -> None:
    file = tmp_path / ".kube" / "config"
    file.parent.mkdir()
    file.write_text("")
    home = {"HOME": str(tmp_path)}
    used = []
    for environment in (home, {**home, "KUBERNETES_SERVICE_HOST": "10.0.0.1"}, {}):
        there = runtime(READY)
        call("status", runtime=there, environment=environment)
        assert there.connection is not None
        used.append(there.connection.kubeconfig)
    named = runtime(READY)
    call("status", "--kubeconfig", "/another", runtime=named, environment=home)

    assert used == [file, None, None]
    assert named.connection is not None
    assert named.connection.kubeconfig == Path("/another")


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "0s"),
        (59, "59s"),
        (60, "1m"),
        (3_700, "1h1m"),
        (86_400, "1d"),
        (277_300, "3d5h"),
        (-5, "0s"),
    ],
)
def test_an_age_has_two_units(seconds: int, told: str) -> None:
    since = datetime(2026, 1, 1, tzinfo=UTC)

    assert status._age(since.isoformat(), since + timedelta(seconds=seconds)) == told


def test_a_terminal_gets_the_counts_above_and_long_messages_cut() -> None:
    (overview,) = runtime(READY, DRIFTED).overviews
    console = Console(width=72)
    with console.capture() as capture:
        console.print(status._picture(overview, wide=False, unready=False))

    text = capture.get()
    assert text.startswith("2 profiles: 1 ready, 1 not ready")
    assert "alice" in text
    assert "…" in text
    assert max(map(len, text.splitlines())) <= 72


# Rights


def test_a_persons_role_reads_and_nothing_else() -> None:
    role = reader_role(registry.controllers(), "reader")
    resources = {name for rule in role["rules"] for name in rule["resources"]}

    assert {verb for rule in role["rules"] for verb in rule["verbs"]} == {"list", "watch"}
    assert {"profiles", "namespaces", "networkpolicies", "resourcequotas"} <= resources
    assert not any("/" in name or name == "*" for name in resources)


def test_permissions_knows_the_word_status() -> None:
    printed = yaml.safe_load(call("permissions", "status").stdout)

    assert printed["metadata"]["name"] == "profiles-controller-status"
    assert printed["kind"] == "ClusterRole"
