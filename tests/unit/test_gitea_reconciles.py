"""Reconciles of gitea in a fake cluster, with a fake Postgres server.

The real server is tested in `tests/real/test_gitea_databases.py`.
"""

from collections.abc import Callable, Sequence

import pytest

from controllers.gitea.postgres.accounts import DatabaseCredentials
from controllers.manifests import Body, Key
from controllers.profiles import PAUSED_ANNOTATION
from controllers.runtime.external.errors import ExternalError
from controllers.runtime.options import Options
from tests.support import builders
from tests.support.fakes import virtual_time
from tests.support.gitea.fakes import (
    ALL_KEYS,
    APPLICATION,
    ARGOCD_NAMESPACE,
    CONDITION,
    PASSWORD,
    READY,
    SECRET,
    VIRTUAL_SERVICE,
    FakeDatabaseServer,
    cluster_with_profiles,
    existing,
    running,
    secret_body,
    stored_credentials,
)

pytestmark = pytest.mark.virtual_time


async def test_a_profile_that_opts_in_gets_five_objects_and_no_further_write() -> None:
    server, cluster = FakeDatabaseServer(), cluster_with_profiles()
    async with running(server, cluster) as process:
        assert list(ALL_KEYS) == existing(cluster)
        assert READY == process.conditions()[CONDITION]
        assert DatabaseCredentials(user="gitea_alice", password=PASSWORD) == stored_credentials(
            cluster
        )
        assert [("Normal", "Reconciled")] == [event[:2] for event in process.events()]
        cluster.requests.clear()
        await process.resync()
        assert [] == cluster.requests
    assert server.closed


async def test_protected_b_creates_no_virtual_service_and_changes_no_unclassified_object() -> None:
    cluster = cluster_with_profiles()
    async with running(cluster=cluster):
        pass
    async with running(cluster=cluster, classification="protected-b") as process:
        assert list(ALL_KEYS) == existing(cluster)
        assert {"GiteaUnclassifiedReady", "GiteaProtectedBReady"} == set(process.conditions())
        assert ("True", "4 objects are in place") == process.conditions()["GiteaProtectedBReady"]
        assert 1 == len(cluster.objects.all_of("VirtualService"))


async def test_changes_by_argo_cd_cause_no_write() -> None:
    cluster = cluster_with_profiles()
    async with running(cluster=cluster) as process:
        cluster.requests.clear()

        def as_argo_cd_writes(body: Body) -> None:
            body["status"] = {"sync": {"status": "Synced"}}
            body["operation"] = {"sync": {}}
            body["metadata"]["annotations"] = {"argocd.argoproj.io/refresh": "normal"}
            body["metadata"]["finalizers"] = ["example.ca/finalizer"]
            del body["spec"]["syncPolicy"]  # Argo CD removes an empty policy

        cluster.objects.edit(APPLICATION, as_argo_cd_writes)
        await process.resync()
        assert [] == cluster.written()

        cluster.objects.edit(APPLICATION, lambda body: body["spec"].update(project="other"))
        await process.settled()
        body = cluster.objects.read(APPLICATION)
        assert "default" == body["spec"]["project"]
        assert {"sync": {"status": "Synced"}} == body["status"]
        assert {"sync": {}} == body["operation"]
        assert ["example.ca/finalizer"] == body["metadata"]["finalizers"]


# Postgres


async def test_while_postgres_is_unreachable_only_the_secret_is_missing_until_it_recovers() -> None:
    server, cluster = FakeDatabaseServer(), cluster_with_profiles()
    server.error = ExternalError("PostgresUnreachable", "Postgres h:1: refused", retry_after=60.0)
    async with running(server, cluster) as process:
        assert [key for key in ALL_KEYS if key != SECRET] == existing(cluster)
        assert ("False", "Postgres h:1: refused") == process.conditions()[CONDITION]
        (check,) = (one for one in process.health.readyz() if one.name.startswith("external/"))
        assert ("Postgres h:1: refused", "") == (check.note, check.error)

        server.error = None
        await virtual_time.until(
            lambda: READY == process.conditions()[CONDITION], "the condition is True", seconds=90.0
        )
        assert list(ALL_KEYS) == existing(cluster)


async def test_while_postgres_is_unreachable_an_existing_secret_is_not_changed() -> None:
    server, cluster = FakeDatabaseServer(), cluster_with_profiles()
    async with running(server, cluster) as process:
        before = cluster.objects.read(SECRET)
        server.error = ExternalError(
            "PostgresUnreachable", "Postgres h:1: refused", retry_after=60.0
        )
        await process.resync()
        assert before == cluster.objects.read(SECRET)


async def test_a_database_conflict_is_reported_as_a_warning_event() -> None:
    server = FakeDatabaseServer()
    server.error = ExternalError(
        "DatabaseConflict", "role gitea_alice is bob's", retry_after=60.0, action_required=True
    )
    async with running(server) as process:
        assert ("False", "role gitea_alice is bob's") == process.conditions()[CONDITION]
        assert ("Warning", "DatabaseConflict", "role gitea_alice is bob's") in process.events()


@pytest.mark.parametrize(
    "edit",
    [
        lambda body: body["metadata"].update(annotations={PAUSED_ANNOTATION: "true"}),
        lambda body: body["metadata"].update(
            ownerReferences=[builders.profile_reference("bob", "uid-bob")]
        ),
        lambda body: body["metadata"].update(
            ownerReferences=[builders.profile_reference("alice", "uid-before")]
        ),
        lambda body: body["metadata"].update(
            deletionTimestamp="2026-01-01T00:00:00Z", finalizers=["example.ca/finalizer"]
        ),
        lambda body: body["metadata"].update(labels=builders.managed_labels("pipelines")),
    ],
    ids=[
        "paused",
        "another Profile's",
        "an earlier UID's",
        "being deleted",
        "another controller's",
    ],
)
async def test_no_password_is_created_for_a_secret_that_may_not_be_written(
    edit: Callable[[Body], None],
) -> None:
    server, cluster = FakeDatabaseServer(), cluster_with_profiles()
    body = secret_body(DatabaseCredentials(user="u", password="p"))
    edit(body)
    stored = cluster.objects.put(body)
    async with running(server, cluster):
        assert [] == server.requests
        assert stored == cluster.objects.read(SECRET)


# Adoption


@pytest.mark.parametrize("owners", [[], [builders.profile_reference()]])
async def test_the_secret_of_the_older_suite_retains_its_password(owners: Sequence[Body]) -> None:
    cluster = cluster_with_profiles()
    credentials = DatabaseCredentials(user="gitea_alice@postgres", password="odd; but it works #1")
    uid = cluster.objects.put(secret_body(credentials, labels={}, owners=owners))["metadata"]["uid"]
    async with running(cluster=cluster) as process:
        assert credentials == stored_credentials(cluster)
        assert uid == cluster.objects.read(SECRET)["metadata"]["uid"]
        assert READY == process.conditions()[CONDITION]


@pytest.mark.parametrize(("destination", "adopted"), [("alice", True), ("bob", False)])
async def test_an_application_without_owner_is_adopted_if_it_deploys_to_the_profile(
    destination: str,
    adopted: bool,  # noqa: FBT001
) -> None:
    cluster = cluster_with_profiles()
    spec = {"project": "old", "destination": {"namespace": destination}}
    body = builders.object_body(
        "Application", APPLICATION.name, ARGOCD_NAMESPACE, labels={}, owners=[], spec=spec
    )
    uid = cluster.objects.put(body)["metadata"]["uid"]
    async with running(cluster=cluster) as process:
        found = cluster.objects.read(APPLICATION)
        assert uid == found["metadata"]["uid"]
        assert ("default" if adopted else "old") == found["spec"]["project"]
        assert ("True" if adopted else "False") == process.conditions()[CONDITION][0]


async def test_a_legacy_virtual_service_of_a_profile_that_never_opted_in_is_removed() -> None:
    cluster = cluster_with_profiles(None)
    cluster.objects.put(
        builders.object_body("VirtualService", VIRTUAL_SERVICE.name, labels={}, spec={})
    )
    async with running(cluster=cluster) as process:
        assert [] == existing(cluster)
        assert "True" == process.conditions()[CONDITION][0]


async def test_garbage_is_collected_soon_after_a_profile_is_deleted() -> None:
    server, cluster = FakeDatabaseServer(), cluster_with_profiles()
    async with running(server, cluster) as process:
        assert [False] == server.collections
        cluster.objects.delete(Key("Profile", "", "alice"))
        await process.settled()
        await virtual_time.until(
            lambda: server.collections[1:] == [True], "garbage is collected", seconds=10.0
        )


async def test_a_dry_run_sends_no_request_to_postgres() -> None:
    server = FakeDatabaseServer()
    async with running(server, options=Options(listen=None, dry_run=True)) as process:
        report = await process.reconcile("gitea-unclassified")
        assert {f"{key} create" for key in ALL_KEYS} == set(str(report.changes).splitlines())
    assert [] == server.requests
