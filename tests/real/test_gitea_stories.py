"""gitea as a process: a real API server with the CRDs of Istio and Argo CD, and a real Postgres."""

from collections.abc import Iterator

import pytest

from controllers.gitea import names
from tests.support.cluster import access, kubeflow, observe, service_account, waiting
from tests.support.cluster.audit import Audit
from tests.support.cluster.suite import Suite, Suites
from tests.support.controlplane import ControlPlane
from tests.support.gitea import process
from tests.support.gitea.process import LABEL, account, opens, opt_in, paths, versions
from tests.support.postgres.server import Postgres

pytestmark = [pytest.mark.xdist_group("gitea"), pytest.mark.usefixtures("suite")]


@pytest.fixture(scope="module")
def suite(
    suites: Suites, own_postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Suite]:
    folder = tmp_path_factory.mktemp("gitea")
    with process.running(suites, own_postgres, folder, opt_out="stop") as started:
        yield started


def test_who_opts_in_gets_a_database_and_what_leads_to_it(
    control_plane: ControlPlane, own_postgres: Postgres
) -> None:
    one, other = opt_in(control_plane, "gitea-one"), opt_in(control_plane, "gitea-other")

    assert 5 == len(versions(control_plane, one))
    assert opens(own_postgres, account(control_plane, one), one)
    assert not opens(own_postgres, account(control_plane, one), other)


@pytest.mark.parametrize("verb", ["get", "list", "watch", "update", "delete"])
def test_no_other_secret_can_be_read_or_changed(control_plane: ControlPlane, verb: str) -> None:
    who = access.Person(service_account.user("gitea"))
    ours, theirs = (
        access.Ability(control_plane, who, verb, "secrets", namespace="gitea-one", name=name)
        for name in (names.secret("unclassified"), "mlpipeline-minio-artifact")
    )
    assert (True, False) == (ours(), theirs())


def test_a_deleted_secret_comes_back_with_the_same_password(control_plane: ControlPlane) -> None:
    name = opt_in(control_plane, "gitea-secret")
    before = account(control_plane, name)

    observe.delete(control_plane, paths(name)[1])

    waiting.until(lambda: account(control_plane, name) == before, "the password is there again")


def test_argo_cds_status_and_refreshes_are_left_alone(control_plane: ControlPlane) -> None:
    name = opt_in(control_plane, "gitea-argo")
    path = paths(name)[0]
    refresh = {"argocd.argoproj.io/refresh": "normal"}
    change = {"metadata": {"annotations": refresh}, "operation": {"sync": {"revision": "main"}}}
    observe.patch(control_plane, path, change)
    observe.patch(control_plane, path, {"spec": {"syncPolicy": None}})
    before = versions(control_plane, name)

    observe.delete(control_plane, paths(name)[2])  # what is reconciled after, is after

    waiting.until(lambda: len(versions(control_plane, name)) == 5, "the banner is there again")
    assert before[0] == versions(control_plane, name)[0]


def test_out_with_stop_and_in_again_finds_the_same_database(
    control_plane: ControlPlane, own_postgres: Postgres
) -> None:
    name = opt_in(control_plane, "gitea-out")
    before = account(control_plane, name)
    found = account(control_plane, name)
    assert found is not None
    with own_postgres.login(found.user, found.password, names.identifier(name)) as connection:
        connection.execute("CREATE TABLE repositories (name text)")
    application = paths(name)[0]

    observe.patch_labels(control_plane, name, {LABEL: None})

    def is_going() -> bool:
        metadata = control_plane.request("GET", application)["metadata"]
        return "deletionTimestamp" in metadata and metadata["finalizers"] == [names.FINALIZER]

    waiting.until(is_going, "the Application waits for Argo CD")
    observe.patch(control_plane, application, {"metadata": {"finalizers": None}})
    waiting.until(lambda: len(versions(control_plane, name)) == 1, "only the Secret is left")

    observe.patch_labels(control_plane, name, {LABEL: "true"})
    waiting.until(lambda: len(versions(control_plane, name)) == 5, "all is there again")
    assert before == account(control_plane, name)
    with own_postgres.login(found.user, found.password, names.identifier(name)) as connection:
        connection.execute("SELECT name FROM repositories")


def test_a_profile_that_goes_takes_its_application_along(control_plane: ControlPlane) -> None:
    name = opt_in(control_plane, "gitea-leaver")

    kubeflow.delete_profile(control_plane, name)

    waiting.until(
        lambda: observe.profile_gone(control_plane, paths(name)[0]),
        "the Application goes",
        seconds=60,
    )


def test_the_steady_state_opens_no_connection_and_writes_nothing(
    control_plane: ControlPlane, own_postgres: Postgres, suite: Suite
) -> None:
    name = opt_in(control_plane, "gitea-steady")
    waiting.until(lambda: own_postgres.front.open == 0, "no connection is kept", seconds=30)
    audit, before = (
        Audit(control_plane, service_account.user("gitea")),
        own_postgres.front.connections,
    )
    looks = suite.total("controller_runtime_reconcile_total")
    found = versions(control_plane, name)

    waiting.until(
        lambda: suite.total("controller_runtime_reconcile_total") > looks + 20, "it looks again"
    )
    assert before == own_postgres.front.connections
    assert found == versions(control_plane, name)
    assert [] == audit.writes()
