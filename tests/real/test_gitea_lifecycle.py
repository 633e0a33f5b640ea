"""The gitea process with a real API server, the CRDs of Istio and Argo CD, and a real Postgres."""

from collections.abc import Iterator

import pytest

from controllers.gitea import names
from tests.support.cluster import access, kubeflow, observe, service_account, waiting
from tests.support.cluster.audit import Audit
from tests.support.cluster.manager_process import Launcher, ManagerProcess
from tests.support.controlplane import ControlPlane
from tests.support.gitea import process
from tests.support.gitea.process import LABEL, opens, opt_in, paths, stored_credentials, versions
from tests.support.postgres.server import Postgres

pytestmark = [pytest.mark.xdist_group("gitea"), pytest.mark.usefixtures("manager")]


@pytest.fixture(scope="module")
def manager(
    launcher: Launcher, own_postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ManagerProcess]:
    folder = tmp_path_factory.mktemp("gitea")
    with process.running(launcher, own_postgres, folder, opt_out="stop") as started:
        yield started


def test_a_profile_that_opts_in_gets_its_objects_and_its_own_database(
    control_plane: ControlPlane, own_postgres: Postgres
) -> None:
    one, other = opt_in(control_plane, "gitea-one"), opt_in(control_plane, "gitea-other")

    assert 5 == len(versions(control_plane, one))
    assert opens(own_postgres, stored_credentials(control_plane, one), one)
    assert not opens(own_postgres, stored_credentials(control_plane, one), other)


@pytest.mark.parametrize("verb", ["get", "list", "watch", "update", "delete"])
def test_the_process_can_access_no_other_secret(control_plane: ControlPlane, verb: str) -> None:
    who = access.User(service_account.user("gitea"))
    ours, theirs = (
        access.Permission(control_plane, who, verb, "secrets", namespace="gitea-one", name=name)
        for name in (names.secret("unclassified"), "mlpipeline-minio-artifact")
    )
    assert (True, False) == (ours(), theirs())


def test_a_deleted_secret_is_recreated_with_the_same_password(control_plane: ControlPlane) -> None:
    name = opt_in(control_plane, "gitea-secret")
    before = stored_credentials(control_plane, name)

    observe.delete(control_plane, paths(name)[1])

    waiting.until(
        lambda: stored_credentials(control_plane, name) == before,
        "the Secret has the password again",
    )


def test_the_status_and_refreshes_of_argo_cd_are_not_changed(control_plane: ControlPlane) -> None:
    name = opt_in(control_plane, "gitea-argo")
    path = paths(name)[0]
    refresh = {"argocd.argoproj.io/refresh": "normal"}
    change = {"metadata": {"annotations": refresh}, "operation": {"sync": {"revision": "main"}}}
    observe.patch(control_plane, path, change)
    observe.patch(control_plane, path, {"spec": {"syncPolicy": None}})
    before = versions(control_plane, name)

    observe.delete(
        control_plane, paths(name)[2]
    )  # the reconcile after this also follows the patches

    waiting.until(lambda: len(versions(control_plane, name)) == 5, "the banner is recreated")
    assert before[0] == versions(control_plane, name)[0]


def test_opting_out_with_stop_and_in_again_uses_the_same_database(
    control_plane: ControlPlane, own_postgres: Postgres
) -> None:
    name = opt_in(control_plane, "gitea-out")
    before = stored_credentials(control_plane, name)
    found = stored_credentials(control_plane, name)
    assert found is not None
    with own_postgres.login(found.user, found.password, names.database(name)) as connection:
        connection.execute("CREATE TABLE repositories (name text)")
    application = paths(name)[0]

    observe.patch_labels(control_plane, name, {LABEL: None})

    def is_being_deleted() -> bool:
        metadata = control_plane.request("GET", application)["metadata"]
        return "deletionTimestamp" in metadata and metadata["finalizers"] == [names.FINALIZER]

    waiting.until(is_being_deleted, "the Application waits for Argo CD")
    observe.patch(control_plane, application, {"metadata": {"finalizers": None}})
    waiting.until(lambda: len(versions(control_plane, name)) == 1, "only the Secret remains")

    observe.patch_labels(control_plane, name, {LABEL: "true"})
    waiting.until(lambda: len(versions(control_plane, name)) == 5, "all objects exist again")
    assert before == stored_credentials(control_plane, name)
    with own_postgres.login(found.user, found.password, names.database(name)) as connection:
        connection.execute("SELECT name FROM repositories")


def test_the_application_is_deleted_with_its_profile(control_plane: ControlPlane) -> None:
    name = opt_in(control_plane, "gitea-leaver")

    kubeflow.delete_profile(control_plane, name)

    waiting.until(
        lambda: observe.is_deleted(control_plane, paths(name)[0]),
        "the Application is deleted",
        seconds=60,
    )


def test_the_steady_state_opens_no_connection_and_writes_nothing(
    control_plane: ControlPlane, own_postgres: Postgres, manager: ManagerProcess
) -> None:
    name = opt_in(control_plane, "gitea-steady")
    waiting.until(lambda: own_postgres.proxy.open == 0, "all connections are closed", seconds=30)
    audit, before = (
        Audit(control_plane, service_account.user("gitea")),
        own_postgres.proxy.connections,
    )
    reconciles = manager.total("controller_runtime_reconcile_total")
    found = versions(control_plane, name)

    waiting.until(
        lambda: manager.total("controller_runtime_reconcile_total") > reconciles + 20,
        "further reconciles",
    )
    assert before == own_postgres.proxy.connections
    assert found == versions(control_plane, name)
    assert [] == audit.writes()
