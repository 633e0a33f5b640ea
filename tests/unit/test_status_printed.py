"""Output, exit codes and requests of the command status."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from controllers import registry
from controllers.runtime.commands.status_report import ProfileState, ProfileStatus, StatusReport
from controllers.runtime.rbac import reader_role
from profiles_controller.printers.documents import format_age
from tests.support.cli.fake_runtime import FakeRuntime, change
from tests.support.cli.run import call, cells

LONG_AGO = "2026-01-01T00:00:00Z"
READY = ProfileStatus(
    profile="alice", controller="quotas", state=ProfileState.READY, since=LONG_AGO,
    message="ResourceQuota quotas is in place",
    objects={"ResourceQuota": 1}, drift=(),
)  # fmt: skip
DRIFTED = ProfileStatus(
    profile="alice", controller="limit-ranges", state=ProfileState.NOT_READY, since="",
    message="2 objects [red]refused[/red]",
    objects={"Role": 2, "ConfigMap": 1}, drift=(change(), change()),
)  # fmt: skip
UNKNOWN = ProfileStatus(
    profile="bob", controller="quotas", state=ProfileState.UNKNOWN, since=LONG_AGO,
    message="no condition", note="cannot list",
)  # fmt: skip
PAUSED = ProfileStatus(
    profile="carol", controller="quotas", state=ProfileState.PAUSED, since=LONG_AGO,
    message="paused by an annotation", objects={},
)  # fmt: skip


def runtime(
    *statuses: ProfileStatus, profiles: int = 2, warnings: tuple[str, ...] = ()
) -> FakeRuntime:
    report = StatusReport(statuses=statuses, profiles=profiles, warnings=warnings)
    return FakeRuntime(reports=(report,))


@pytest.mark.parametrize(
    ("statuses", "code"),
    [
        ((READY,), 0),
        ((READY, PAUSED), 0),
        ((READY, DRIFTED), 1),
        ((READY, UNKNOWN), 1),
        ((), 1),
    ],
)
def test_status_exits_1_when_a_profile_is_not_ready(
    statuses: tuple[ProfileStatus, ...], code: int
) -> None:
    assert call("status", runtime=runtime(*statuses)).exit_code == code


def test_a_table_has_a_row_for_each_profile_and_controller() -> None:
    printed = call("status", runtime=runtime(READY, DRIFTED, UNKNOWN)).stdout

    titles, ready, drifted, unknown, summary = cells(printed)
    assert titles == [
        "PROFILE", "CONTROLLER", "STATE", "SINCE", "OBJECTS", "DRIFT", "MESSAGE",
    ]  # fmt: skip
    assert ready[:3] == ["alice", "quotas", "Ready"]
    assert ready[4:] == ["1", "none", "ResourceQuota quotas is in place"]
    assert drifted == [
        "alice", "limit-ranges", "NotReady", "-", "3", "2 create", "2 objects [red]refused[/red]",
    ]  # fmt: skip
    assert unknown[4:] == ["-", "-", "no condition"]
    assert summary == ["2 profiles: 1 Ready, 1 NotReady, 1 Unknown; 1 with drift"]


def test_a_wide_table_names_kinds_changes_and_reasons() -> None:
    done = call("status", "-o", "wide", runtime=runtime(DRIFTED, UNKNOWN))

    assert "1 ConfigMap, 2 Role" in done.stdout
    assert "ResourceQuota alice/quotas create, ResourceQuota alice/quotas create" in done.stdout
    assert "no condition (cannot list)" in done.stdout


def test_unready_omits_profiles_that_need_no_attention() -> None:
    done = call("status", "--unready", runtime=runtime(READY, PAUSED, UNKNOWN))

    assert [line.split()[0] for line in done.stdout.splitlines()] == ["PROFILE", "bob", "2"]
    assert "1 Ready" in done.stdout


@pytest.mark.parametrize("output", ["json", "yaml"])
def test_programs_get_the_report_as_data(output: str) -> None:
    there = runtime(DRIFTED, UNKNOWN, warnings=("no permission",))
    done = call("status", "-o", output, runtime=there)

    data = json.loads(done.stdout) if output == "json" else yaml.safe_load(done.stdout)
    drift = {
        "action": "create", "kind": "ResourceQuota", "namespace": "alice", "name": "quotas",
        "detail": "",
    }  # fmt: skip
    assert data == {
        "ready": False,
        "profiles": 2,
        "warnings": ["no permission"],
        "stale": "",
        "statuses": [
            {
                "profile": "alice",
                "controller": "limit-ranges",
                "state": "NotReady",
                "since": None,
                "message": "2 objects [red]refused[/red]",
                "objects": {"ConfigMap": 1, "Role": 2},
                "drift": [drift, drift],
                "note": "",
            },
            {
                "profile": "bob",
                "controller": "quotas",
                "state": "Unknown",
                "since": LONG_AGO,
                "message": "no condition",
                "objects": None,
                "drift": None,
                "note": "cannot list",
            },
        ],
    }


def test_warnings_are_printed_on_standard_error_with_the_command_that_helps() -> None:
    done = call("status", runtime=runtime(READY, warnings=("cannot determine objects of x",)))

    assert done.exit_code == 0
    assert "Warning: cannot determine objects of x; run 'profiles-controller permissions " in (
        done.stderr
    )


def test_the_last_known_state_is_marked_while_the_api_server_is_unreachable() -> None:
    current = StatusReport(statuses=(READY,), profiles=1)
    stale = StatusReport(statuses=(READY,), profiles=1, stale="API server unreachable: refused")

    done = call("status", "--watch", runtime=FakeRuntime(reports=(current, stale)))

    assert done.stdout.count("1 profile: 1 Ready") == 2
    assert "Warning: API server unreachable: refused; this is the last known state" in done.stderr


def test_a_cluster_without_controllers_or_profiles_is_described() -> None:
    without_controllers = call("status", runtime=runtime())
    without_profiles = call("status", runtime=runtime(profiles=0))

    assert "check that a controller is installed" in without_controllers.stdout
    assert (without_profiles.stdout, without_profiles.exit_code) == ("no profiles\n", 0)


def test_watch_prints_changes_and_exits_with_the_last_state() -> None:
    before = StatusReport(statuses=(READY,), profiles=1)
    after = StatusReport(statuses=(UNKNOWN,), profiles=1)
    reports = (before, before, after)

    done = call("status", "--watch", "--unready", runtime=FakeRuntime(reports=reports))

    assert done.exit_code == 1
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["1", "PROFILE", "bob", "1"]


def test_without_watch_one_report_is_printed() -> None:
    reports = (
        StatusReport(statuses=(READY,), profiles=1),
        StatusReport(statuses=(UNKNOWN,), profiles=1),
    )

    assert call("status", runtime=FakeRuntime(reports=reports)).exit_code == 0


def test_arguments_select_profiles_and_controllers() -> None:
    there = runtime(READY)

    call("status", "alice", "bob", "--only", "quotas", runtime=there)

    request = there.request
    assert request is not None
    assert (["alice", "bob"], {"quotas"}) == (list(request.profiles), set(request.expected))
    assert ["quotas"] == [one.name for one in request.registry]
    assert ["quotas"] == [one.name for one, _ in request.configured]


def test_drift_is_computed_with_the_settings_of_the_command(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("quotas: {hard: {pods: '7'}}")
    there, without = runtime(READY), runtime(READY)

    call("status", "--config", str(file), runtime=there)
    call("status", "--no-drift", runtime=without)

    assert there.request is not None
    assert {"pods": "7"} == {one.name: own for one, own in there.request.configured}["quotas"].hard
    assert without.request is not None
    assert [] == list(without.request.configured)


def test_an_unknown_controller_is_rejected_with_a_suggestion() -> None:
    done = call("status", "--only", "quota", runtime=runtime())

    assert done.exit_code == 2
    assert "--only quota: unknown controller; did you mean 'quotas'?" in done.stderr


def test_the_default_kubeconfig_of_kubectl_is_used_outside_a_pod(tmp_path: Path) -> None:
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
    ("seconds", "age"),
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
def test_an_age_has_at_most_two_units(seconds: int, age: str) -> None:
    since = datetime(2026, 1, 1, tzinfo=UTC)

    assert format_age(since.isoformat(), since + timedelta(seconds=seconds)) == age


# Permissions


def test_the_role_of_status_permits_reading_only() -> None:
    role = reader_role(registry.controllers(), "reader")
    resources = {name for rule in role["rules"] for name in rule["resources"]}

    assert {verb for rule in role["rules"] for verb in rule["verbs"]} == {"list", "watch"}
    assert {"profiles", "namespaces", "networkpolicies", "resourcequotas"} <= resources
    assert not any("/" in name or name == "*" for name in resources)


def test_permissions_prints_the_role_of_status() -> None:
    printed = yaml.safe_load(call("permissions", "status").stdout)

    assert printed["metadata"]["name"] == "profiles-controller-status"
    assert printed["kind"] == "ClusterRole"
