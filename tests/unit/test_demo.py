"""The state, the table and the data of the demo, without a cluster."""

import io
from typing import cast

import pytest
from rich.console import Console

from controllers.manifests import Key
from controllers.runtime.controller import AnyController
from tests.demo import status_table, tenants
from tests.demo.edits import OVERRIDES
from tests.demo.environment import Environment, expected_condition
from tests.demo.process import ManagerProcess
from tests.demo.state import ABSENT, ClusterState
from tests.support.controlplane import Json


def quota(pods: str = "100", *, version: int = 1, used: str = "0", managed: bool = True) -> Json:
    labels = {
        "app.kubernetes.io/managed-by": "profiles-controller",
        "app.kubernetes.io/component": "quotas",
    }
    return {
        "metadata": {
            "name": "quotas",
            "namespace": "labour",
            "labels": labels if managed else {},
            "uid": "u",
            "resourceVersion": str(version),
            "ownerReferences": [{"kind": "Profile", "name": "labour"}],
        },
        "spec": {"hard": {"pods": pods}},
        "status": {"used": {"pods": used}},
    }


def profile(name: str = "labour", **statuses: str) -> Json:
    conditions = [
        {"type": kind, "status": status, "message": f"{kind} is {status}"}
        for kind, status in statuses.items()
    ]
    return {"metadata": {"name": name}, "status": {"conditions": conditions}}


class NamedController:
    """The attributes of a controller that the table shows."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.condition = f"{name.capitalize()}Ready"


def environment(state: ClusterState, *controllers: str) -> Environment:
    return Environment(
        plane=None,  # type: ignore[arg-type]
        state=state,
        manager=cast("ManagerProcess", None),
        controllers=[cast("AnyController", NamedController(name)) for name in controllers],
        tenants={},
    )


def rendered(
    environment: Environment, *, lines: int | None = None, width: int = 100, symbols: bool = True
) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    console.print(status_table.render(environment, lines=lines, symbols=symbols, width=width))
    return cast("io.StringIO", console.file).getvalue().splitlines()


def test_a_change_of_status_is_not_a_write() -> None:
    state = ClusterState()
    state.upsert("ResourceQuota", quota())
    state.upsert("ResourceQuota", quota(version=2, used="7"))

    assert state.writes(["labour"]) == {"labour": 1}


def test_every_change_of_content_and_every_deletion_is_a_write() -> None:
    state = ClusterState()
    state.upsert("ResourceQuota", quota())
    state.upsert("ResourceQuota", quota("9000"))
    state.upsert("ResourceQuota", quota("9000", managed=False))
    state.delete("ResourceQuota", quota("9000", managed=False))
    last = state.last_change("labour")

    assert state.writes(["labour"]) == {"labour": 4}
    assert last is not None
    assert last.verb == "deleted"
    assert state.get(Key("ResourceQuota", "labour", "quotas")) is None


def test_a_list_removes_the_objects_that_it_lacks() -> None:
    state = ClusterState()
    state.replace("ResourceQuota", [quota()])
    state.replace("Profile", [profile(QuotasReady="True")])
    state.replace("ResourceQuota", [])
    state.replace("Profile", [])

    assert state.owned("labour") == {}
    assert state.profiles() == []
    assert state.condition("labour", "QuotasReady") == ABSENT


def test_a_wait_returns_the_pending_text_after_its_timeout() -> None:
    assert ClusterState().wait(lambda: "the quota is missing", 0.01, lambda: None) == (
        "the quota is missing"
    )


def test_a_wait_ends_with_an_error_of_its_check() -> None:
    def check() -> None:
        raise RuntimeError("the manager exited")

    with pytest.raises(RuntimeError, match="the manager exited"):
        ClusterState().wait(lambda: "the quota is missing", 5, check)


NINE = (
    *("quotas", "limitranges", "rbac", "network", "authz-policies", "notebook"),
    *("pipelines", "blob-csi", "gitea"),
)


@pytest.mark.parametrize("symbols", [True, False])
@pytest.mark.parametrize("controllers", [NINE[:2], NINE[:6], NINE])
def test_a_table_names_every_controller_and_stays_within_the_width(
    controllers: tuple[str, ...],
    symbols: bool,  # noqa: FBT001
) -> None:
    state = ClusterState()
    state.upsert("Profile", profile(QuotasReady="True", LimitrangesReady="False"))
    state.upsert("ResourceQuota", quota())
    lines = rendered(environment(state, *controllers), symbols=symbols)

    assert max(len(line) for line in lines) <= 100
    heads = [name.partition("-")[0].upper() for name in controllers]
    assert ["PROFILE", *heads] == lines[0].split()[: len(heads) + 1]
    statuses = ["●", "▲"] if symbols else ["ready", "failed"]
    assert statuses == lines[2].split()[1:3]
    assert any("LimitrangesReady is False" in line for line in lines)


def test_a_table_of_six_controllers_shows_the_last_change() -> None:
    state = ClusterState()
    state.upsert("Profile", profile())
    state.upsert("ResourceQuota", quota())

    assert "  ResourceQuota quo" in rendered(environment(state, *NINE[:6]), symbols=False)[2]


def test_a_narrow_table_numbers_the_controllers_and_has_a_legend() -> None:
    state = ClusterState()
    state.upsert("Profile", profile(QuotasReady="True"))
    lines = rendered(environment(state, *NINE), width=60)

    assert max(len(line) for line in lines) <= 60
    assert lines[0].split() == ["PROFILE", *"123456789", "LAST", "CHANGE"]
    assert any("1 quotas  2 limitranges  3 rbac" in line for line in lines)


def test_a_short_table_shows_failed_profiles_first() -> None:
    state = ClusterState()
    for number in range(20):
        state.upsert("Profile", profile(f"tenant-{number:02}", QuotasReady="True"))
    state.upsert("Profile", profile("tenant-17", QuotasReady="False"))
    lines = rendered(environment(state, "quotas"), lines=10)

    assert len(lines) <= 10
    assert any(line.startswith("tenant-17") for line in lines)
    assert any("and 15 more" in line for line in lines)
    assert lines[-1].startswith("tenant-17")
    assert lines[-1].endswith("QuotasReady is False")


def test_each_of_the_twenty_tenants_has_an_expected_condition() -> None:
    found = {tenant.name: expected_condition(tenant, "quotas") for tenant in tenants.TENANTS}

    assert len(found) == 20
    assert found[tenants.INVALID.name] == ("False", "plenty")
    assert found[tenants.FOREIGN.name] == ("False", "not controlled")
    assert found[tenants.PAUSED.name] == ("Unknown", "paused")
    assert found[tenants.RAISED.name] == ("True", "")


def test_the_value_of_an_override_is_read_at_its_path() -> None:
    pods = OVERRIDES[0]

    assert pods.read(quota("250")) == "250"
    assert pods.read({"spec": {}}) is None
    assert pods.read(None) is None
