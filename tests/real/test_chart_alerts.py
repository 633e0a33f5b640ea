"""The alerts, evaluated by promtool: each fires when it should, and only then."""

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


# One sample a minute, for three hours, of a healthy process.
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
    """Series that differ from the healthy ones, and when the alert does not fire yet and fires."""

    alert: str
    changed: dict[str, list[Json]]
    pending: str
    fires: str


LEASE = "leader_election_master_status"
ELSEWHERE = f'namespace="{render.NAMESPACE}",job="another",pod="b"'
SECOND = f'namespace="{render.NAMESPACE}",job="{JOB}",pod="b"'
CASES = [
    Case(
        alert="ProfilesControllerDown",
        changed={"up": [series("up", "1x60 0x120")]},
        pending="60m",
        fires="67m",
    ),
    Case(
        alert="ProfilesControllerDown",
        changed={"up": [series("up", "1x60 _x120"), series("up", "1x180", ELSEWHERE)]},
        pending="60m",
        fires="75m",
    ),
    Case(
        alert="ProfilesControllerNotLeading",
        changed={"lease": [series(LEASE, "1x60 0x120", name="one")]},
        pending="60m",
        fires="67m",
    ),
    Case(
        alert="ProfilesControllerNotLeading",
        changed={
            "lease": [
                series(LEASE, "1x180", name="one"),
                series(LEASE, "0x60 1x120", SECOND, name="one"),
            ]
        },
        pending="60m",
        fires="67m",
    ),
    Case(
        alert="ProfilesControllerInformerNotSynced",
        changed={
            "synced": [series("profiles_controller_informer_synced", "0x180", kind="PodDefault")]
        },
        pending="9m",
        fires="11m",
    ),
    Case(
        alert="ProfilesControllerProfilesFailing",
        changed={"condition": [condition("False", "1x180")]},
        pending="14m",
        fires="16m",
    ),
    Case(
        alert="ProfilesControllerProfileNotReconciled",
        changed={
            "success": [
                series(
                    "profiles_controller_last_success_timestamp_seconds",
                    "0x180",
                    controller="quotas",
                    profile="jane",
                )
            ]
        },
        pending="30m",
        fires="37m",
    ),
    Case(
        alert="ProfilesControllerQueueGrowing",
        changed={"depth": [series("workqueue_depth", "0+10x180", name="quotas")]},
        pending="20m",
        fires="40m",
    ),
    Case(
        alert="ProfilesControllerDriftRepeated",
        changed={
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
        pending="5m",
        fires="100m",
    ),
    Case(
        alert="ProfilesControllerErrors",
        changed={
            "errors": [
                series("controller_runtime_reconcile_errors_total", "0+3x180", controller="quotas")
            ]
        },
        pending="10m",
        fires="40m",
    ),
    Case(
        alert="ProfilesControllerExternalSystemDown",
        changed={
            "external": [
                series(
                    "profiles_controller_external_system_up",
                    "0x180",
                    controller="quotas",
                    system="store",
                )
            ]
        },
        pending="9m",
        fires="11m",
    ),
    Case(
        alert="ProfilesControllerEventsDropped",
        changed={"dropped": [series("profiles_controller_events_dropped_total", "0x60 5x120")]},
        pending="59m",
        fires="65m",
    ),
]


@pytest.fixture(scope="module")
def rules() -> list[dict[str, Any]]:
    """Return the group of rules that is rendered for one controller."""
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
    """Return promtool's errors if the alerts do not fire as expected at these times."""
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


def test_promtool_accepts_the_rules(folder: Path) -> None:
    done = promtool(folder, "check", "rules", "--lint=all", "--lint-fatal", "rules.json")

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("case", CASES, ids=lambda one: str(one.alert))
def test_an_alert_fires_when_it_should_and_not_before(case: Case, folder: Path) -> None:
    inputs = HEALTHY | case.changed
    checks = [(case.pending, case.alert, False), (case.fires, case.alert, True)]

    assert firing(folder, inputs, checks) == ""


def test_no_alert_fires_for_a_healthy_process(folder: Path, rules: list[dict[str, Any]]) -> None:
    names = [one["alert"] for group in rules for one in group["rules"]]
    checks = [(time, name, False) for name in names for time in ("45m", "170m")]

    assert firing(folder, HEALTHY, checks) == ""


def test_every_alert_has_a_case(rules: list[dict[str, Any]]) -> None:
    names = {one["alert"] for group in rules for one in group["rules"]}

    assert names == {case.alert for case in CASES}


def test_a_deployment_without_replicas_has_no_down_alert() -> None:
    quotas = {"controllers": {"quotas": {"replicas": 0}, "network": {"enabled": True}}}
    (found,) = (one for one in render.render(VALUES, quotas) if one["kind"] == "PrometheusRule")
    rules = found["spec"]["groups"][0]["rules"]

    (down,) = (one for one in rules if one["alert"] == "ProfilesControllerDown")
    assert 'job="suite-profiles-controller-network"' in down["expr"]


def test_series_of_another_release_are_ignored(folder: Path) -> None:
    theirs = {"condition": [condition("True", "1x180"), condition("False", "1x180", ELSEWHERE)]}
    checks = [("60m", "ProfilesControllerProfilesFailing", False)]

    assert firing(folder, HEALTHY | theirs, checks) == ""
