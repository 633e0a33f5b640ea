"""The gitea process during outages of Postgres: they are reported, and other work continues."""

from collections.abc import Iterator

import pytest

from controllers.runtime.external.errors import Scope
from tests.support.cluster import kubeflow, observe, waiting
from tests.support.cluster.manager_process import Launcher, ManagerProcess
from tests.support.controlplane import ControlPlane
from tests.support.gitea import process
from tests.support.gitea.process import CONDITION, LABEL, opens, opt_in, paths, present, wait_for
from tests.support.postgres.outages import OUTAGES
from tests.support.postgres.server import Postgres

pytestmark = pytest.mark.xdist_group("gitea")

# Outages of a running process; the others depend on its settings.
RUNTIME_OUTAGES = (
    "stopped",
    "another_password",
    "no_login",
    "no_tls",
    "no_response",
    "replica",
    "read_only",
    "connection_limit_of_the_administrator",
    "no_privilege",
    "locked",
)


@pytest.fixture(scope="module")
def manager(
    launcher: Launcher, own_postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ManagerProcess]:
    bounds = {"psql_connect_timeout": 2, "psql_statement_timeout": 5}
    folder = tmp_path_factory.mktemp("gitea-outages")
    with process.running(launcher, own_postgres, folder, **bounds) as started:
        yield started


@pytest.mark.parametrize("name", RUNTIME_OUTAGES)
def test_an_outage_is_reported_and_other_work_continues(
    control_plane: ControlPlane, own_postgres: Postgres, manager: ManagerProcess, name: str
) -> None:
    outage, slug = OUTAGES[name], name.replace("_", "-")
    neighbour, newcomer = opt_in(control_plane, f"ready-{slug}"), f"late-{slug}"
    with outage.cause(own_postgres):
        kubeflow.create_tenants(control_plane, [newcomer], labels={LABEL: "true"})
        waiting.until(
            lambda: bool(manager.lines(profile=newcomer, reason=outage.reason)),
            f"{outage.reason} is logged",
            seconds=60,
        )
        waiting.until(
            lambda: len(present(control_plane, newcomer)) == 4, "all objects but the Secret exist"
        )
        wait_for(control_plane, newcomer, "False")
        address = f"localhost:{own_postgres.port}"
        assert address in observe.condition_message(control_plane, newcomer, CONDITION)
        assert manager.is_ready()
        if outage.scope is Scope.SYSTEM:
            check = f"external/gitea-unclassified/postgres ok: Postgres {address}"
            waiting.until(lambda: check in readyz(manager), "the probe reports it")
            waiting.until(lambda: up(manager) == 0, "the metric reports it")

        observe.delete(control_plane, paths(neighbour)[2])
        waiting.until(
            lambda: len(present(control_plane, neighbour)) == 5, "the banner is recreated"
        )
        assert observe.condition_status(control_plane, neighbour, CONDITION) == "True"

    wait_for(control_plane, newcomer, seconds=90)
    assert opens(own_postgres, process.stored_credentials(control_plane, newcomer), newcomer)
    waiting.until(lambda: up(manager) == 1, "the metric reports it")
    assert "Postgres" not in readyz(manager)


def test_opting_out_with_keep_retains_all_and_opting_in_again_uses_the_same_password(
    control_plane: ControlPlane, manager: ManagerProcess
) -> None:
    name = opt_in(control_plane, "opted-out-keep")
    before, found = present(control_plane, name), process.stored_credentials(control_plane, name)

    observe.patch_labels(control_plane, name, {LABEL: "false"})
    waiting.until(
        lambda: bool(observe.events(control_plane, name, reason="OptedOut")), "it is logged"
    )
    assert before == present(control_plane, name)
    assert manager.is_ready()

    observe.patch_labels(control_plane, name, {LABEL: "true"})
    waiting.until(lambda: before == present(control_plane, name), "the objects are unchanged")
    assert found == process.stored_credentials(control_plane, name)


def readyz(manager: ManagerProcess) -> str:
    return manager.get("/readyz?verbose")[1]


def up(manager: ManagerProcess) -> float:
    return manager.total("profiles_controller_external_system_up")
