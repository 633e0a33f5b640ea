"""What the older suite made for Gitea is taken over in place, on a real API server and Postgres."""

from collections.abc import Iterator

import pytest
from psycopg import sql

from controllers.gitea import names
from controllers.gitea.postgres import accounts
from controllers.gitea.postgres.accounts import Account
from controllers.runtime.objects.kinds import KINDS
from tests.support.cluster import kubeflow, observe, waiting
from tests.support.cluster.suite import Suite, Suites
from tests.support.controlplane import ControlPlane, Json
from tests.support.gitea import process
from tests.support.gitea.process import (
    ARGO,
    CONDITION,
    LABEL,
    account,
    opens,
    paths,
    present,
    wait_for,
)
from tests.support.postgres.databases import as_admin
from tests.support.postgres.server import Postgres

pytestmark = [pytest.mark.xdist_group("gitea"), pytest.mark.usefixtures("suite")]

PASSWORD = "as the older suite made it"


@pytest.fixture(scope="module")
def suite(
    suites: Suites, own_postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Suite]:
    folder = tmp_path_factory.mktemp("gitea-takeover")
    with process.running(suites, own_postgres, folder, opt_out="detach") as started:
        yield started


def older_database(postgres: Postgres, profile: str) -> Account:
    """Role, grant and database, as the older suite makes them, and something of the tenant."""
    made = Account(user=names.identifier(profile), password=PASSWORD)
    name = sql.Identifier(made.user)
    with postgres.superuser() as connection:  # so that the server's log does not show it
        encrypt = connection.pgconn.encrypt_password
        verifier = encrypt(PASSWORD.encode(), made.user.encode(), b"scram-sha-256").decode()
    as_admin(
        postgres,
        sql.SQL("CREATE ROLE {} WITH PASSWORD {} LOGIN").format(name, sql.Literal(verifier)),
        sql.SQL("GRANT {} TO CURRENT_USER").format(name),
        sql.SQL("CREATE DATABASE {0} WITH OWNER {0} TEMPLATE template0 ENCODING 'UTF8'").format(
            name
        ),
    )
    with postgres.login(made.user, made.password, made.user) as connection:
        connection.execute("CREATE TABLE repositories (name text)")
        connection.execute("INSERT INTO repositories VALUES ('precious')")
    return made


def repositories(postgres: Postgres, found: Account | None, profile: str) -> list[tuple[str, ...]]:
    assert found is not None
    with postgres.login(found.user, found.password, names.identifier(profile)) as connection:
        return connection.execute("SELECT name FROM repositories").fetchall()


def older_object(profile: Json, kind: str, name: str, **content: object) -> Json:
    """Owned by the Profile and without a label; the Application is not even owned."""
    metadata = {**kubeflow.owned_metadata(profile, name), "namespace": profile["metadata"]["name"]}
    if kind == "Application":
        metadata = {"name": name, "namespace": ARGO}
    return {
        "apiVersion": KINDS[kind].api_version, "kind": kind, "metadata": metadata, **content
    }  # fmt: skip


def application(profile: Json, destination: str) -> Json:
    spec = {
        "project": "default",
        "destination": {"name": "in-cluster", "namespace": destination},
        "source": {"repoURL": "https://git.example/older.git", "path": "old"},
    }
    name = names.application(profile["metadata"]["name"], "unclassified")
    return older_object(profile, "Application", name, spec=spec)


def route(profile: Json) -> Json:
    http = [{"redirect": {"uri": "/old"}}]
    name = names.virtual_service("unclassified")
    spec = {"hosts": ["*"], "gateways": ["kubeflow/kubeflow-gateway"], "http": http}
    return older_object(profile, "VirtualService", name, spec=spec)


def secret(profile: Json, found: Account) -> Json:
    text = accounts.lines(found, database=found.user, host="older:5432", ssl_mode="require")
    content = {"stringData": {"database": text}}
    return older_object(profile, "Secret", names.secret("unclassified"), **content)


def uids(plane: ControlPlane, profile: str) -> dict[str, str]:
    return {one["kind"]: one["metadata"]["uid"] for one in present(plane, profile)}


def all_labelled(plane: ControlPlane, profile: str) -> bool:
    labels = [one["metadata"].get("labels", {}) for one in present(plane, profile)]
    marks = [each.get("app.kubernetes.io/component") for each in labels]
    return marks == ["gitea-unclassified"] * 5


def test_a_whole_installation_is_taken_over_and_nothing_is_lost(
    control_plane: ControlPlane, own_postgres: Postgres
) -> None:
    name = "older-whole"
    found = older_database(own_postgres, name)
    (profile,) = kubeflow.create_tenants(control_plane, [name])
    older = (
        application(profile, name),
        secret(profile, found),
        older_object(
            profile, "ConfigMap", "gitea-banner-unclassified", data={"body_inner_pre.tmpl": "pw"}
        ),
        older_object(
            profile,
            "ServiceEntry",
            names.service_entry("unclassified"),
            spec={"hosts": ["older"], "ports": [{"number": 1, "name": "x"}]},
        ),
    )
    control_plane.apply(*older)
    before = uids(control_plane, name)

    observe.patch_labels(control_plane, name, {LABEL: "true"})
    waiting.until(lambda: all_labelled(control_plane, name), "all are taken over")

    after = uids(control_plane, name)
    assert before == {kind: uid for kind, uid in after.items() if kind != "VirtualService"}
    assert found == account(control_plane, name)
    assert [("precious",)] == repositories(own_postgres, found, name)
    assert {profile["metadata"]["uid"]} == {
        one["metadata"]["ownerReferences"][0]["uid"] for one in present(control_plane, name)
    }
    other = process.opt_in(control_plane, "older-other")
    assert not opens(own_postgres, account(control_plane, other), name)


def test_a_database_without_a_secret_gets_a_password_and_keeps_its_content(
    control_plane: ControlPlane, own_postgres: Postgres
) -> None:
    name = "older-secretless"
    older_database(own_postgres, name)

    process.opt_in(control_plane, name)

    found = account(control_plane, name)
    assert found is not None
    assert found.is_sound
    assert [("precious",)] == repositories(own_postgres, found, name)


def test_a_route_of_somebody_who_never_opted_in_goes(control_plane: ControlPlane) -> None:
    (profile,) = kubeflow.create_tenants(control_plane, ["older-route"])
    control_plane.apply(route(profile))

    waiting.until(lambda: not present(control_plane, "older-route"), "the route goes")


def test_an_application_that_deploys_elsewhere_is_refused_and_left(
    control_plane: ControlPlane,
) -> None:
    name = "older-elsewhere"
    (profile,) = kubeflow.create_tenants(control_plane, [name])
    control_plane.apply(application(profile, "somewhere-else"))
    before = present(control_plane, name)

    observe.patch_labels(control_plane, name, {LABEL: "true"})
    wait_for(control_plane, name, "False")

    assert "Application" in observe.message(control_plane, name, CONDITION)
    assert before == present(control_plane, name)[:1]


def test_out_with_detach_leaves_what_is_deployed_and_in_again_finds_the_password(
    control_plane: ControlPlane,
) -> None:
    name = process.opt_in(control_plane, "older-detached")
    before = account(control_plane, name)
    change = {"metadata": {"finalizers": [names.FINALIZER]}}
    observe.patch(control_plane, paths(name)[0], change)

    observe.patch_labels(control_plane, name, {LABEL: "false"})
    waiting.until(
        lambda: observe.profile_gone(control_plane, paths(name)[0]), "the Application goes"
    )
    assert {"Secret", "ConfigMap", "ServiceEntry", "VirtualService"} == set(
        uids(control_plane, name)
    )

    observe.patch_labels(control_plane, name, {LABEL: "true"})
    waiting.until(lambda: len(present(control_plane, name)) == 5, "all is there again")
    assert before == account(control_plane, name)


def test_the_other_classification_touches_nothing_of_this_one_on_its_server(
    control_plane: ControlPlane,
    own_postgres: Postgres,
    suites: Suites,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    name = process.opt_in(control_plane, "older-secretive")
    before, found = present(control_plane, name), account(control_plane, name)
    folder = tmp_path_factory.mktemp("gitea-protected")
    with process.running(suites, own_postgres, folder, classification="protected-b"):
        waiting.until(
            lambda: (
                "each classification needs a Postgres server of its own"
                in observe.message(control_plane, name, "GiteaProtectedBReady")
            ),
            "it is refused",
        )
        made = present(control_plane, name, "protected-b")
        assert {"Application", "ConfigMap", "ServiceEntry"} == {one["kind"] for one in made}
    assert before == present(control_plane, name)
    assert opens(own_postgres, found, name)
