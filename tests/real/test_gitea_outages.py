"""gitea as a process while its Postgres is in trouble: told, bounded to what needs it, and over."""

from collections.abc import Iterator

import pytest

from tests.support.cluster import kubeflow, observe, waiting
from tests.support.cluster.suite import Suite, Suites
from tests.support.controlplane import ControlPlane
from tests.support.gitea import process
from tests.support.gitea.process import CONDITION, LABEL, opens, opt_in, paths, present, wait_for
from tests.support.postgres.outages import TROUBLES
from tests.support.postgres.server import Postgres

pytestmark = pytest.mark.xdist_group("gitea")

# Those that befall a process which runs; the others come with its settings.
BEFALLING = (
    "away",
    "another_password",
    "no_login",
    "no_tls",
    "silent",
    "replica",
    "read_only",
    "no_connection_of_its_own",
    "no_right",
    "locked",
)


@pytest.fixture(scope="module")
def suite(
    suites: Suites, own_postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Suite]:
    bounds = {"psql_connect_timeout": 2, "psql_statement_timeout": 5}
    folder = tmp_path_factory.mktemp("gitea-outages")
    with process.running(suites, own_postgres, folder, **bounds) as started:
        yield started


@pytest.mark.parametrize("name", BEFALLING)
def test_a_trouble_is_told_where_the_operator_looks_and_other_work_goes_on(
    control_plane: ControlPlane, own_postgres: Postgres, suite: Suite, name: str
) -> None:
    trouble, slug = TROUBLES[name], name.replace("_", "-")
    neighbour, newcomer = opt_in(control_plane, f"well-{slug}"), f"late-{slug}"
    with trouble.cause(own_postgres):
        kubeflow.create_tenants(control_plane, [newcomer], labels={LABEL: "true"})
        waiting.until(
            lambda: bool(suite.lines(profile=newcomer, reason=trouble.reason)),
            f"{trouble.reason} is told",
            seconds=60,
        )
        waiting.until(lambda: len(present(control_plane, newcomer)) == 4, "all but the Secret")
        wait_for(control_plane, newcomer, "False")
        address = f"localhost:{own_postgres.port}"
        assert address in observe.message(control_plane, newcomer, CONDITION)
        assert suite.is_ready()
        if trouble.everybody:
            check = f"external/gitea-unclassified/{address} ok: Postgres {address}"
            waiting.until(lambda: check in told(suite), "the probe says so")
            waiting.until(lambda: up(suite) == 0, "the metric says so")

        observe.delete(control_plane, paths(neighbour)[2])
        waiting.until(lambda: len(present(control_plane, neighbour)) == 5, "a banner is made anew")
        assert observe.status(control_plane, neighbour, CONDITION) == "True"

    wait_for(control_plane, newcomer, seconds=90)
    assert opens(own_postgres, process.account(control_plane, newcomer), newcomer)
    waiting.until(lambda: up(suite) == 1, "the metric says so")
    assert "Postgres" not in told(suite)


def test_out_with_keep_leaves_all_and_in_again_finds_the_password(
    control_plane: ControlPlane, suite: Suite
) -> None:
    name = opt_in(control_plane, "kept-here")
    before, found = present(control_plane, name), process.account(control_plane, name)

    observe.patch_labels(control_plane, name, {LABEL: "false"})
    waiting.until(
        lambda: bool(observe.events(control_plane, name, reason="OptedOut")), "it is told"
    )
    assert before == present(control_plane, name)
    assert suite.is_ready()

    observe.patch_labels(control_plane, name, {LABEL: "true"})
    waiting.until(lambda: before == present(control_plane, name), "nothing has changed")
    assert found == process.account(control_plane, name)


def told(suite: Suite) -> str:
    return suite.get("/readyz?verbose")[1]


def up(suite: Suite) -> float:
    return suite.total("profiles_controller_external_system_up")
