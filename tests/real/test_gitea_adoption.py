"""Objects and databases of the older suite are adopted, on a real API server and Postgres."""

from collections.abc import Iterator

import pytest
from psycopg import sql

from controllers.gitea import names
from controllers.gitea.postgres import accounts
from controllers.gitea.postgres.accounts import DatabaseCredentials
from controllers.runtime.objects.kinds import KINDS
from tests.support.cluster import kubeflow, observe, waiting
from tests.support.cluster.manager_process import Launcher, ManagerProcess
from tests.support.controlplane import ControlPlane, Json
from tests.support.gitea import process
from tests.support.gitea.process import (
    ARGOCD_NAMESPACE,
    CONDITION,
    LABEL,
    opens,
    paths,
    present,
    stored_credentials,
    wait_for,
)
from tests.support.postgres.databases import as_admin
from tests.support.postgres.server import Postgres

pytestmark = [pytest.mark.xdist_group("gitea"), pytest.mark.usefixtures("manager")]

PASSWORD = "set by the older suite"


@pytest.fixture(scope="module")
def manager(
    launcher: Launcher, own_postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ManagerProcess]:
    folder = tmp_path_factory.mktemp("gitea-takeover")
    with process.running(launcher, own_postgres, folder, opt_out="detach") as started:
        yield started


def create_legacy_database(postgres: Postgres, profile: str) -> DatabaseCredentials:
    """Create role, grant and database as the older suite does, and a table of the tenant."""
    credentials = DatabaseCredentials(user=names.database(profile), password=PASSWORD)
    name = sql.Identifier(credentials.user)
    with postgres.superuser() as connection:  # hides the password from the server's log
        encrypt = connection.pgconn.encrypt_password
        verifier = encrypt(PASSWORD.encode(), credentials.user.encode(), b"scram-sha-256").decode()
    as_admin(
        postgres,
        sql.SQL("CREATE ROLE {} WITH PASSWORD {} LOGIN").format(name, sql.Literal(verifier)),
        sql.SQL("GRANT {} TO CURRENT_USER").format(name),
        sql.SQL("CREATE DATABASE {0} WITH OWNER {0} TEMPLATE template0 ENCODING 'UTF8'").format(
            name
        ),
    )
    with postgres.login(credentials.user, credentials.password, credentials.user) as connection:
        connection.execute("CREATE TABLE repositories (name text)")
        connection.execute("INSERT INTO repositories VALUES ('project')")
    return credentials


def repositories(
    postgres: Postgres, credentials: DatabaseCredentials | None, profile: str
) -> list[tuple[str, ...]]:
    assert credentials is not None
    with postgres.login(
        credentials.user, credentials.password, names.database(profile)
    ) as connection:
        return connection.execute("SELECT name FROM repositories").fetchall()


def legacy_object(profile: Json, kind: str, name: str, **content: object) -> Json:
    """Return an object owned by the Profile and without a label; an Application has no owner."""
    metadata = {**kubeflow.owned_metadata(profile, name), "namespace": profile["metadata"]["name"]}
    if kind == "Application":
        metadata = {"name": name, "namespace": ARGOCD_NAMESPACE}
    return {
        "apiVersion": KINDS[kind].api_version, "kind": kind, "metadata": metadata, **content
    }  # fmt: skip


def legacy_application(profile: Json, destination: str) -> Json:
    spec = {
        "project": "default",
        "destination": {"name": "in-cluster", "namespace": destination},
        "source": {"repoURL": "https://git.example/older.git", "path": "old"},
    }
    name = names.application(profile["metadata"]["name"], "unclassified")
    return legacy_object(profile, "Application", name, spec=spec)


def legacy_virtual_service(profile: Json) -> Json:
    http = [{"redirect": {"uri": "/old"}}]
    name = names.virtual_service("unclassified")
    spec = {"hosts": ["*"], "gateways": ["kubeflow/kubeflow-gateway"], "http": http}
    return legacy_object(profile, "VirtualService", name, spec=spec)


def legacy_secret(profile: Json, credentials: DatabaseCredentials) -> Json:
    text = accounts.gitea_settings(
        credentials, database=credentials.user, host="older:5432", ssl_mode="require"
    )
    content = {"stringData": {"database": text}}
    return legacy_object(profile, "Secret", names.secret("unclassified"), **content)


def uids(plane: ControlPlane, profile: str) -> dict[str, str]:
    return {one["kind"]: one["metadata"]["uid"] for one in present(plane, profile)}


def all_labelled(plane: ControlPlane, profile: str) -> bool:
    labels = [one["metadata"].get("labels", {}) for one in present(plane, profile)]
    components = [each.get("app.kubernetes.io/component") for each in labels]
    return components == ["gitea-unclassified"] * 5


def test_a_complete_installation_is_adopted_without_loss(
    control_plane: ControlPlane, own_postgres: Postgres
) -> None:
    name = "older-whole"
    found = create_legacy_database(own_postgres, name)
    (profile,) = kubeflow.create_tenants(control_plane, [name])
    objects = (
        legacy_application(profile, name),
        legacy_secret(profile, found),
        legacy_object(
            profile, "ConfigMap", "gitea-banner-unclassified", data={"body_inner_pre.tmpl": "pw"}
        ),
        legacy_object(
            profile,
            "ServiceEntry",
            names.service_entry("unclassified"),
            spec={"hosts": ["older"], "ports": [{"number": 1, "name": "x"}]},
        ),
    )
    control_plane.apply(*objects)
    before = uids(control_plane, name)

    observe.patch_labels(control_plane, name, {LABEL: "true"})
    waiting.until(lambda: all_labelled(control_plane, name), "all objects are adopted")

    after = uids(control_plane, name)
    assert before == {kind: uid for kind, uid in after.items() if kind != "VirtualService"}
    assert found == stored_credentials(control_plane, name)
    assert [("project",)] == repositories(own_postgres, found, name)
    assert {profile["metadata"]["uid"]} == {
        one["metadata"]["ownerReferences"][0]["uid"] for one in present(control_plane, name)
    }
    other = process.opt_in(control_plane, "older-other")
    assert not opens(own_postgres, stored_credentials(control_plane, other), name)


def test_a_database_without_a_secret_gets_a_password_and_retains_its_data(
    control_plane: ControlPlane, own_postgres: Postgres
) -> None:
    name = "older-secretless"
    create_legacy_database(own_postgres, name)

    process.opt_in(control_plane, name)

    found = stored_credentials(control_plane, name)
    assert found is not None
    assert found.is_strong
    assert [("project",)] == repositories(own_postgres, found, name)


def test_a_legacy_virtual_service_of_a_profile_that_never_opted_in_is_removed(
    control_plane: ControlPlane,
) -> None:
    (profile,) = kubeflow.create_tenants(control_plane, ["older-route"])
    control_plane.apply(legacy_virtual_service(profile))

    waiting.until(
        lambda: not present(control_plane, "older-route"), "the VirtualService is removed"
    )


def test_an_application_that_deploys_to_another_namespace_is_refused_and_not_changed(
    control_plane: ControlPlane,
) -> None:
    name = "older-elsewhere"
    (profile,) = kubeflow.create_tenants(control_plane, [name])
    control_plane.apply(legacy_application(profile, "somewhere-else"))
    before = present(control_plane, name)

    observe.patch_labels(control_plane, name, {LABEL: "true"})
    wait_for(control_plane, name, "False")

    assert "Application" in observe.condition_message(control_plane, name, CONDITION)
    assert before == present(control_plane, name)[:1]


def test_opting_out_with_detach_retains_deployed_objects_and_opting_in_again_uses_the_same_password(
    control_plane: ControlPlane,
) -> None:
    name = process.opt_in(control_plane, "older-detached")
    before = stored_credentials(control_plane, name)
    change = {"metadata": {"finalizers": [names.FINALIZER]}}
    observe.patch(control_plane, paths(name)[0], change)

    observe.patch_labels(control_plane, name, {LABEL: "false"})
    waiting.until(
        lambda: observe.is_deleted(control_plane, paths(name)[0]), "the Application is deleted"
    )
    assert {"Secret", "ConfigMap", "ServiceEntry", "VirtualService"} == set(
        uids(control_plane, name)
    )

    observe.patch_labels(control_plane, name, {LABEL: "true"})
    waiting.until(lambda: len(present(control_plane, name)) == 5, "all objects exist again")
    assert before == stored_credentials(control_plane, name)


def test_another_classification_on_the_same_server_changes_nothing(
    control_plane: ControlPlane,
    own_postgres: Postgres,
    launcher: Launcher,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    name = process.opt_in(control_plane, "older-secretive")
    before, found = present(control_plane, name), stored_credentials(control_plane, name)
    folder = tmp_path_factory.mktemp("gitea-protected")
    with process.running(launcher, own_postgres, folder, classification="protected-b"):
        waiting.until(
            lambda: (
                "each classification needs a Postgres server of its own"
                in observe.condition_message(control_plane, name, "GiteaProtectedBReady")
            ),
            "the condition reports the conflict",
        )
        created = present(control_plane, name, "protected-b")
        assert {"Application", "ConfigMap", "ServiceEntry"} == {one["kind"] for one in created}
    assert before == present(control_plane, name)
    assert opens(own_postgres, found, name)
