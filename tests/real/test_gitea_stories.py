"""gitea as a process under exactly its ClusterRole: a real API server, CRDs and Postgres."""

from collections.abc import Callable, Iterator

import psycopg
import pytest
import yaml

from controllers.gitea import accounts, names
from controllers.gitea.accounts import Account
from controllers.gitea.controller import CONTROLLER
from controllers.runtime import permissions
from controllers.runtime.kinds import KINDS
from tests import identities, kubeflow, sights, waits
from tests.audits import Audit
from tests.controlplane import ControlPlane, Json
from tests.postgres import ADMIN_PASSWORD, Postgres
from tests.suites import Suite, Suites

pytestmark = pytest.mark.xdist_group("gitea")

LABEL = "sourcecontrol.statcan.gc.ca/enabled"
ARGO = "profiles-argocd-system"
CONDITION = "GiteaUnclassifiedReady"
IDENTITY = "gitea"


@pytest.fixture(scope="module")
def suite(
    control_plane: ControlPlane,
    suites: Suites,
    own_postgres: Postgres,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Suite]:
    kubeflow.install_gitea(control_plane)
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ARGO}}
    control_plane.apply(namespace)
    role = permissions.cluster_role([CONTROLLER], "suite-gitea")
    kubeconfig = identities.bind(control_plane, IDENTITY, role)
    audit = Audit(control_plane, identities.user(IDENTITY))
    settings = own_postgres.settings(opt_out="stop").model_dump(
        mode="json", exclude_unset=True, exclude={"psql_admin_passwd"}
    )
    file = tmp_path_factory.mktemp("gitea") / "config.yaml"
    content = {"gitea": {**settings, "psql_admin_passwd": ADMIN_PASSWORD}}
    file.write_text(yaml.safe_dump(content))
    started = suites.start("gitea", "--config", str(file), kubeconfig=kubeconfig)
    yield started.wait_ready()
    assert [] == audit.denied()
    assert ADMIN_PASSWORD not in started.text()


def paths(profile: str) -> list[str]:
    tenant = {
        "Secret": names.secret("unclassified"),
        "ConfigMap": "gitea-banner-unclassified",
        "VirtualService": names.virtual_service("unclassified"),
        "ServiceEntry": names.service_entry("unclassified"),
    }
    application = names.application(profile, "unclassified")
    found = [KINDS["Application"].path(ARGO, application)]
    return [*found, *(KINDS[kind].path(profile, name) for kind, name in tenant.items())]


def versions(plane: ControlPlane, profile: str) -> list[str]:
    """The resourceVersion of each object of the profile that is there."""
    found: list[Json | None] = [sights.find(plane, path) for path in paths(profile)]
    return [one["metadata"]["resourceVersion"] for one in found if one is not None]


def account(plane: ControlPlane, profile: str) -> Account | None:
    found = sights.find(plane, paths(profile)[1])
    return accounts.parse(found["data"], "database") if found else None


def wait_for(plane: ControlPlane, profile: str, status: str = "True") -> None:
    waits.until(
        lambda: sights.status(plane, profile, CONDITION) == status, f"{CONDITION} is {status}"
    )


def opens(postgres: Postgres, found: Account | None, profile: str) -> bool:
    assert found is not None
    try:
        postgres.login(found.user, found.password, names.identifier(profile)).close()
    except psycopg.OperationalError:
        return False
    return True


@pytest.fixture
def opted_in(control_plane: ControlPlane, suite: Suite) -> Callable[[str], str]:
    def make(name: str) -> str:
        assert suite.code is None
        kubeflow.create_tenants(control_plane, [name], labels={LABEL: "true"})
        wait_for(control_plane, name)
        return name

    return make


def test_who_opts_in_gets_a_database_and_what_leads_to_it(
    control_plane: ControlPlane, own_postgres: Postgres, opted_in: Callable[[str], str]
) -> None:
    one, other = opted_in("gitea-one"), opted_in("gitea-other")

    assert 5 == len(versions(control_plane, one))
    assert opens(own_postgres, account(control_plane, one), one)
    assert not opens(own_postgres, account(control_plane, one), other)


def test_a_deleted_secret_comes_back_with_the_same_password(
    control_plane: ControlPlane, opted_in: Callable[[str], str]
) -> None:
    name = opted_in("gitea-secret")
    before = account(control_plane, name)

    sights.delete(control_plane, paths(name)[1])

    waits.until(lambda: account(control_plane, name) == before, "the password is there again")


def test_argo_cds_status_and_refreshes_are_left_alone(
    control_plane: ControlPlane, opted_in: Callable[[str], str], suite: Suite
) -> None:
    name = opted_in("gitea-argo")
    path = paths(name)[0]
    refresh = {"argocd.argoproj.io/refresh": "normal"}
    change = {"metadata": {"annotations": refresh}, "operation": {"sync": {"revision": "main"}}}
    sights.patch(control_plane, path, change)
    sights.patch(control_plane, path, {"spec": {"syncPolicy": None}})
    before = versions(control_plane, name)

    sights.delete(control_plane, paths(name)[2])  # what is reconciled after, is after

    waits.until(lambda: len(versions(control_plane, name)) == 5, "the banner is there again")
    assert before[0] == versions(control_plane, name)[0]
    assert suite.code is None


def test_out_with_stop_and_in_again_finds_the_same_database(
    control_plane: ControlPlane, own_postgres: Postgres, opted_in: Callable[[str], str]
) -> None:
    name = opted_in("gitea-out")
    before = account(control_plane, name)
    found = account(control_plane, name)
    assert found is not None
    with own_postgres.login(found.user, found.password, names.identifier(name)) as connection:
        connection.execute("CREATE TABLE repositories (name text)")
    application = paths(name)[0]

    sights.patch_labels(control_plane, name, {LABEL: None})

    def is_going() -> bool:
        metadata = control_plane.request("GET", application)["metadata"]
        return "deletionTimestamp" in metadata and metadata["finalizers"] == [names.FINALIZER]

    waits.until(is_going, "the Application waits for Argo CD")
    sights.patch(control_plane, application, {"metadata": {"finalizers": None}})
    waits.until(lambda: len(versions(control_plane, name)) == 1, "only the Secret is left")

    sights.patch_labels(control_plane, name, {LABEL: "true"})
    waits.until(lambda: len(versions(control_plane, name)) == 5, "all is there again")
    assert before == account(control_plane, name)
    with own_postgres.login(found.user, found.password, names.identifier(name)) as connection:
        connection.execute("SELECT name FROM repositories")


def test_a_profile_that_goes_takes_its_application_along(
    control_plane: ControlPlane, opted_in: Callable[[str], str]
) -> None:
    name = opted_in("gitea-leaver")

    kubeflow.delete_profile(control_plane, name)

    waits.until(
        lambda: sights.is_gone(control_plane, paths(name)[0]), "the Application goes", seconds=60
    )


def test_while_postgres_is_away_all_else_goes_on_and_recovers(
    control_plane: ControlPlane, own_postgres: Postgres, suite: Suite
) -> None:
    own_postgres.pause()
    kubeflow.create_tenants(control_plane, ["gitea-waits"], labels={LABEL: "true"})
    waits.until(lambda: len(versions(control_plane, "gitea-waits")) == 4, "all but the Secret")
    wait_for(control_plane, "gitea-waits", "False")
    assert "Postgres" in sights.message(control_plane, "gitea-waits", CONDITION)
    assert suite.is_ready()
    assert "outside/gitea-unclassified" in suite.get("/readyz?verbose")[1]

    own_postgres.resume()
    waits.until(
        lambda: sights.status(control_plane, "gitea-waits", CONDITION) == "True",
        "it recovers",
        seconds=90,
    )
