"""The alerts, as Prometheus' own tool reads them: each speaks when it should, and then only."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.chart import programs, render
from tests.support.controlplane import Json

JOB = "suite-profiles-controller-quotas"
TARGET = f'namespace="{render.NAMESPACE}",job="{JOB}",pod="a"'
OTHERS = ("limitranges", "rbac", "network", "notebook", "authz-policies")
VALUES = {
    "controllers": {name: {"enabled": False} for name in OTHERS},
    "prometheusRule": {"enabled": True, "renderMode": "alwaysRender"},
}


def series(metric: str, values: str, target: str = TARGET, /, **labels: str) -> Json:
    own = "".join(f',{key}="{value}"' for key, value in labels.items())
    return {"series": f"{metric}{{{target}{own}}}", "values": values}


def condition(status: str, values: str, target: str = TARGET) -> Json:
    name = "profiles_controller_profile_condition"
    return series(name, values, target, controller="quotas", profile="jane", status=status)


# One sample a minute, for three hours, of a process with which all is well.
HEALTHY: dict[str, list[Json]] = {
    "up": [series("up", "1x180")],
    "lease": [series("leader_election_master_status", "1x180", name="profiles-controller-quotas")],
    "synced": [series("profiles_controller_informer_synced", "1x180", kind="ResourceQuota")],
    "condition": [condition("True", "1x180")],
    "success": [
        series(
            "profiles_controller_last_success_timestamp_seconds",
            "0+60x180",
            controller="quotas",
            profile="jane",
        )
    ],
    "depth": [series("workqueue_depth", "0x180", name="quotas")],
    "changes": [
        series(
            "profiles_controller_changes_total",
            "5x180",
            controller="quotas",
            kind="ResourceQuota",
            action="update",
        )
    ],
    "reconciles": [
        series(
            "controller_runtime_reconcile_total", "0+6x180", controller="quotas", result="success"
        )
    ],
    "errors": [series("controller_runtime_reconcile_errors_total", "0x180", controller="quotas")],
    "external": [
        series(
            "profiles_controller_external_system_up",
            "1x180",
            controller="quotas",
            system="store",
        )
    ],
    "dropped": [series("profiles_controller_events_dropped_total", "0x180")],
}


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is otherwise than well, and until when it speaks of nothing."""

    alert: str
    otherwise: dict[str, list[Json]]
    quiet: str
    speaks: str


LEASE = "leader_election_master_status"
ELSEWHERE = f'namespace="{render.NAMESPACE}",job="another",pod="b"'
SECOND = f'namespace="{render.NAMESPACE}",job="{JOB}",pod="b"'
CASES = [
    Case(
        alert="ProfilesControllerDown",
        otherwise={"up": [series("up", "1x60 0x120")]},
        quiet="60m",
        speaks="67m",
    ),
    Case(
        alert="ProfilesControllerDown",
        otherwise={"up": [series("up", "1x60 _x120"), series("up", "1x180", ELSEWHERE)]},
        quiet="60m",
        speaks="75m",
    ),
    Case(
        alert="ProfilesControllerNotLeading",
        otherwise={"lease": [series(LEASE, "1x60 0x120", name="one")]},
        quiet="60m",
        speaks="67m",
    ),
    Case(
        alert="ProfilesControllerNotLeading",
        otherwise={
            "lease": [
                series(LEASE, "1x180", name="one"),
                series(LEASE, "0x60 1x120", SECOND, name="one"),
            ]
        },
        quiet="60m",
        speaks="67m",
    ),
    Case(
        alert="ProfilesControllerInformerNotSynced",
        otherwise={
            "synced": [series("profiles_controller_informer_synced", "0x180", kind="PodDefault")]
        },
        quiet="9m",
        speaks="11m",
    ),
    Case(
        alert="ProfilesControllerProfilesFailing",
        otherwise={"condition": [condition("False", "1x180")]},
        quiet="14m",
        speaks="16m",
    ),
    Case(
        alert="ProfilesControllerProfileNotReconciled",
        otherwise={
            "success": [
                series(
                    "profiles_controller_last_success_timestamp_seconds",
                    "0x180",
                    controller="quotas",
                    profile="jane",
                )
            ]
        },
        quiet="30m",
        speaks="37m",
    ),
    Case(
        alert="ProfilesControllerQueueGrowing",
        otherwise={"depth": [series("workqueue_depth", "0+10x180", name="quotas")]},
        quiet="20m",
        speaks="40m",
    ),
    Case(
        alert="ProfilesControllerDriftRepeated",
        otherwise={
            "changes": [
                series(
                    "profiles_controller_changes_total",
                    "0+1x180",
                    controller="quotas",
                    kind="ResourceQuota",
                    action="update",
                )
            ]
        },
        quiet="5m",
        speaks="100m",
    ),
    Case(
        alert="ProfilesControllerErrors",
        otherwise={
            "errors": [
                series("controller_runtime_reconcile_errors_total", "0+3x180", controller="quotas")
            ]
        },
        quiet="10m",
        speaks="40m",
    ),
    Case(
        alert="ProfilesControllerExternalSystemDown",
        otherwise={
            "external": [
                series(
                    "profiles_controller_external_system_up",
                    "0x180",
                    controller="quotas",
                    system="store",
                )
            ]
        },
        quiet="9m",
        speaks="11m",
    ),
    Case(
        alert="ProfilesControllerEventsDropped",
        otherwise={"dropped": [series("profiles_controller_events_dropped_total", "0x60 5x120")]},
        quiet="59m",
        speaks="65m",
    ),
]


@pytest.fixture(scope="module")
def rules() -> list[dict[str, Any]]:
    """The group that is rendered for one controller."""
    (found,) = (one for one in render.render(VALUES) if one["kind"] == "PrometheusRule")
    return list(found["spec"]["groups"])


@pytest.fixture
def folder(tmp_path: Path, rules: list[dict[str, Any]]) -> Path:
    (tmp_path / "rules.json").write_text(json.dumps({"groups": rules}))
    return tmp_path


def promtool(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [programs.program("promtool"), *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def firing(folder: Path, inputs: dict[str, list[Json]], checks: list[tuple[str, str, bool]]) -> str:
    """What promtool says when these alerts speak, or do not, at these times; empty: all is so."""
    test = {
        "interval": "1m",
        "input_series": [one for several in inputs.values() for one in several],
        "promql_expr_test": [
            {
                "expr": f'count(ALERTS{{alertname="{alert}",alertstate="firing"}}) > bool 0',
                "eval_time": time,
                "exp_samples": [{"labels": "{}", "value": 1}] if fires else [],
            }
            for time, alert, fires in checks
        ],
    }
    document = {"rule_files": ["rules.json"], "evaluation_interval": "1m", "tests": [test]}
    (folder / "test.json").write_text(json.dumps(document))
    done = promtool(folder, "test", "rules", "test.json")
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_promtool_finds_nothing_to_remark(folder: Path) -> None:
    done = promtool(folder, "check", "rules", "--lint=all", "--lint-fatal", "rules.json")

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("case", CASES, ids=lambda one: str(one.alert))
def test_an_alert_speaks_when_it_should_and_is_quiet_before(case: Case, folder: Path) -> None:
    inputs = HEALTHY | case.otherwise
    checks = [(case.quiet, case.alert, False), (case.speaks, case.alert, True)]

    assert firing(folder, inputs, checks) == ""


def test_no_alert_speaks_while_all_is_well(folder: Path, rules: list[dict[str, Any]]) -> None:
    names = [one["alert"] for group in rules for one in group["rules"]]
    checks = [(time, name, False) for name in names for time in ("45m", "170m")]

    assert firing(folder, HEALTHY, checks) == ""


def test_every_alert_has_its_case(rules: list[dict[str, Any]]) -> None:
    names = {one["alert"] for group in rules for one in group["rules"]}

    assert names == {case.alert for case in CASES}


def test_no_pod_is_missed_where_none_is_wanted() -> None:
    quotas = {"controllers": {"quotas": {"replicas": 0}, "network": {"enabled": True}}}
    (found,) = (one for one in render.render(VALUES, quotas) if one["kind"] == "PrometheusRule")
    rules = found["spec"]["groups"][0]["rules"]

    (down,) = (one for one in rules if one["alert"] == "ProfilesControllerDown")
    assert 'job="suite-profiles-controller-network"' in down["expr"]


def test_a_series_of_another_release_is_no_matter_of_ours(folder: Path) -> None:
    theirs = {"condition": [condition("True", "1x180"), condition("False", "1x180", ELSEWHERE)]}
    checks = [("60m", "ProfilesControllerProfilesFailing", False)]

    assert firing(folder, HEALTHY | theirs, checks) == ""
