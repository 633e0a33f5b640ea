"""What the demo sees and shows, without a cluster."""

import io
from typing import cast

import pytest
from rich.console import Console

from controllers.manifests import Key
from controllers.runtime.controller import AnyController
from tests.demo import tables, tenants
from tests.demo.scripts import OVERRIDES
from tests.demo.stages import Stage, expected
from tests.demo.suites import Suite
from tests.demo.worlds import ABSENT, World
from tests.support.controlplane import Json


def quota(pods: str = "100", *, version: int = 1, used: str = "0", ours: bool = True) -> Json:
    labels = {
        "app.kubernetes.io/managed-by": "profiles-controller",
        "app.kubernetes.io/component": "quotas",
    }
    return {
        "metadata": {
            "name": "quotas",
            "namespace": "census",
            "labels": labels if ours else {},
            "uid": "u",
            "resourceVersion": str(version),
            "ownerReferences": [{"kind": "Profile", "name": "census"}],
        },
        "spec": {"hard": {"pods": pods}},
        "status": {"used": {"pods": used}},
    }


def profile(name: str = "census", **statuses: str) -> Json:
    conditions = [
        {"type": kind, "status": status, "message": f"{kind} is {status}"}
        for kind, status in statuses.items()
    ]
    return {"metadata": {"name": name}, "status": {"conditions": conditions}}


class Named:
    """As much of a controller as a table shows."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.condition = f"{name.capitalize()}Ready"


def stage(world: World, *controllers: str) -> Stage:
    return Stage(
        plane=None,  # type: ignore[arg-type]
        world=world,
        suite=cast("Suite", None),
        controllers=[cast("AnyController", Named(name)) for name in controllers],
        cast={},
    )


def drawn(
    stage: Stage, *, lines: int | None = None, width: int = 100, signs: bool = True
) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    console.print(tables.overview(stage, lines=lines, signs=signs, width=width))
    return cast("io.StringIO", console.file).getvalue().splitlines()


def test_a_status_that_the_server_keeps_is_nobodys_write() -> None:
    world = World()
    world.put("ResourceQuota", quota())
    world.put("ResourceQuota", quota(version=2, used="7"))

    assert world.writes(["census"]) == {"census": 1}


def test_every_change_of_content_and_every_deletion_is_a_write() -> None:
    world = World()
    world.put("ResourceQuota", quota())
    world.put("ResourceQuota", quota("9000"))
    world.put("ResourceQuota", quota("9000", ours=False))
    world.drop("ResourceQuota", quota("9000", ours=False))
    last = world.last_change("census")

    assert world.writes(["census"]) == {"census": 4}
    assert last is not None
    assert last.verb == "deleted"
    assert world.get(Key("ResourceQuota", "census", "quotas")) is None


def test_what_vanished_while_no_watch_was_up_is_gone_after_the_next_list() -> None:
    world = World()
    world.reset("ResourceQuota", [quota()])
    world.reset("Profile", [profile(QuotasReady="True")])
    world.reset("ResourceQuota", [])
    world.reset("Profile", [])

    assert world.kept("census") == {}
    assert world.profiles() == []
    assert world.condition("census", "QuotasReady") == ABSENT


def test_a_wait_names_what_is_still_lacking_when_its_time_is_over() -> None:
    assert World().wait(lambda: "the quota is missing", 0.01, lambda: None) == (
        "the quota is missing"
    )


def test_a_wait_ends_with_what_watches_over_it() -> None:
    def watchful() -> None:
        raise RuntimeError("the suite has ended")

    with pytest.raises(RuntimeError, match="the suite has ended"):
        World().wait(lambda: "the quota is missing", 5, watchful)


NINE = (
    *("quotas", "limitranges", "rbac", "network", "authz-policies", "notebook"),
    *("pipelines", "blob-csi", "gitea"),
)


@pytest.mark.parametrize("signs", [True, False])
@pytest.mark.parametrize("controllers", [NINE[:2], NINE[:6], NINE])
def test_a_table_names_every_controller_and_stays_within_the_width(
    controllers: tuple[str, ...],
    signs: bool,  # noqa: FBT001
) -> None:
    world = World()
    world.put("Profile", profile(QuotasReady="True", LimitrangesReady="False"))
    world.put("ResourceQuota", quota())
    lines = drawn(stage(world, *controllers), signs=signs)

    assert max(len(line) for line in lines) <= 100
    heads = [name.partition("-")[0].upper() for name in controllers]
    assert ["PROFILE", *heads] == lines[0].split()[: len(heads) + 1]
    states = ["●", "▲"] if signs else ["ready", "NOT"]
    assert states == lines[2].split()[1:3]
    assert any("LimitrangesReady is False" in line for line in lines)


def test_a_table_of_six_has_room_for_what_changed() -> None:
    world = World()
    world.put("Profile", profile())
    world.put("ResourceQuota", quota())

    assert "  ResourceQuota quo" in drawn(stage(world, *NINE[:6]), signs=False)[2]


def test_on_a_narrow_terminal_controllers_are_numbered_and_named_below() -> None:
    world = World()
    world.put("Profile", profile(QuotasReady="True"))
    lines = drawn(stage(world, *NINE), width=60)

    assert max(len(line) for line in lines) <= 60
    assert lines[0].split() == ["PROFILE", *"123456789", "LAST", "CHANGE"]
    assert any("1 quotas  2 limitranges  3 rbac" in line for line in lines)


def test_on_a_low_terminal_the_profiles_in_trouble_are_shown_first() -> None:
    world = World()
    for number in range(20):
        world.put("Profile", profile(f"tenant-{number:02}", QuotasReady="True"))
    world.put("Profile", profile("tenant-17", QuotasReady="False"))
    lines = drawn(stage(world, "quotas"), lines=10)

    assert len(lines) <= 10
    assert any(line.startswith("tenant-17") for line in lines)
    assert any("and 15 more" in line for line in lines)
    assert lines[-1].startswith("tenant-17")
    assert lines[-1].endswith("QuotasReady is False")


def test_there_are_twenty_tenants_and_each_knows_what_it_should_be_told() -> None:
    told = {tenant.name: expected(tenant, "quotas") for tenant in tenants.TENANTS}

    assert len(told) == 20
    assert told[tenants.MISTAKEN.name] == ("False", "plenty")
    assert told[tenants.FOREIGN.name] == ("False", "not controlled")
    assert told[tenants.PAUSED.name] == ("Unknown", "paused")
    assert told[tenants.OVERRIDDEN.name] == ("True", "")


def test_an_overrides_value_is_read_where_it_arrives() -> None:
    pods = OVERRIDES[0]

    assert pods.read(quota("250")) == "250"
    assert pods.read({"spec": {}}) is None
    assert pods.read(None) is None
