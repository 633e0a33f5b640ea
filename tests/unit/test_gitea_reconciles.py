"""gitea on a cluster in memory: before, then writes, events and condition; no real Postgres.

The server itself is real in `tests/real/test_gitea_databases.py`.
"""

from collections.abc import Callable, Sequence

import pytest

from controllers.gitea.postgres.accounts import Account
from controllers.gitea.postgres.tenants import DatabaseError
from controllers.manifests import Body, Key
from controllers.profiles import PAUSED_ANNOTATION
from controllers.runtime.options import Options
from tests.support.builders import live_objects
from tests.support.fakes import event_loop
from tests.support.gitea.scenes import (
    ALL,
    APPLICATION,
    ARGO,
    PASSWORD,
    ROUTE,
    SECRET,
    TYPE,
    WELL,
    Databases,
    held,
    running,
    secret,
    tenants,
    there,
)

pytestmark = pytest.mark.virtual_time


async def test_who_opts_in_gets_five_objects_and_nothing_more_after() -> None:
    databases, cluster = Databases(), tenants()
    async with running(databases, cluster) as process:
        assert list(ALL) == there(cluster)
        assert WELL == process.conditions()[TYPE]
        assert Account(user="gitea_alice", password=PASSWORD) == held(cluster)
        assert [("Normal", "Reconciled")] == [event[:2] for event in process.events()]
        cluster.requests.clear()
        await process.resynced()
        assert [] == cluster.requests
    assert databases.closed


async def test_protected_b_makes_no_virtual_service_and_leaves_the_others_objects() -> None:
    cluster = tenants()
    async with running(cluster=cluster):
        pass
    async with running(cluster=cluster, classification="protected-b") as process:
        assert list(ALL) == there(cluster)
        assert {"GiteaUnclassifiedReady", "GiteaProtectedBReady"} == set(process.conditions())
        assert ("True", "4 objects are in place") == process.conditions()["GiteaProtectedBReady"]
        assert 1 == len(cluster.objects.all_of("VirtualService"))


async def test_what_argo_cd_writes_never_causes_a_write() -> None:
    cluster = tenants()
    async with running(cluster=cluster) as process:
        cluster.requests.clear()

        def as_argo_does(body: Body) -> None:
            body["status"] = {"sync": {"status": "Synced"}}
            body["operation"] = {"sync": {}}
            body["metadata"]["annotations"] = {"argocd.argoproj.io/refresh": "normal"}
            body["metadata"]["finalizers"] = ["example.ca/theirs"]
            del body["spec"]["syncPolicy"]  # it takes away a policy that is empty

        cluster.objects.edit(APPLICATION, as_argo_does)
        await process.resynced()
        assert [] == cluster.written()

        cluster.objects.edit(APPLICATION, lambda body: body["spec"].update(project="other"))
        await process.settled()
        body = cluster.objects.read(APPLICATION)
        assert "default" == body["spec"]["project"]
        assert {"sync": {"status": "Synced"}} == body["status"]
        assert {"sync": {}} == body["operation"]
        assert ["example.ca/theirs"] == body["metadata"]["finalizers"]


# Postgres


async def test_while_postgres_is_away_all_else_is_made_and_the_secret_when_it_is_back() -> None:
    databases, cluster = Databases(), tenants()
    databases.error = DatabaseError("PostgresUnreachable", "Postgres h:1: refused")
    async with running(databases, cluster) as process:
        assert [key for key in ALL if key != SECRET] == there(cluster)
        assert ("False", "Postgres h:1: refused") == process.conditions()[TYPE]
        (check,) = (one for one in process.health.ready() if one.name.startswith("external/"))
        assert ("Postgres h:1: refused", "") == (check.note, check.trouble)

        databases.error = None
        await event_loop.until(lambda: WELL == process.conditions()[TYPE], "well", seconds=90.0)
        assert list(ALL) == there(cluster)


async def test_while_postgres_is_away_a_secret_stays_as_it_is() -> None:
    databases, cluster = Databases(), tenants()
    async with running(databases, cluster) as process:
        before = cluster.objects.read(SECRET)
        databases.error = DatabaseError("PostgresUnreachable", "Postgres h:1: refused")
        await process.resynced()
        assert before == cluster.objects.read(SECRET)


async def test_a_refused_database_is_told_aloud() -> None:
    databases = Databases()
    databases.error = DatabaseError("DatabaseRefused", "role gitea_alice is bob's", lasting=True)
    async with running(databases) as process:
        assert ("False", "role gitea_alice is bob's") == process.conditions()[TYPE]
        assert ("Warning", "DatabaseRefused", "role gitea_alice is bob's") in process.events()


@pytest.mark.parametrize(
    "edit",
    [
        lambda body: body["metadata"].update(annotations={PAUSED_ANNOTATION: "true"}),
        lambda body: body["metadata"].update(
            ownerReferences=[live_objects.profile_reference("bob", "uid-bob")]
        ),
    ],
)
async def test_no_password_is_made_that_the_secret_would_not_take(
    edit: Callable[[Body], None],
) -> None:
    databases, cluster = Databases(), tenants()
    body = secret(Account(user="u", password="p"))
    edit(body)
    stored = cluster.objects.put(body)
    async with running(databases, cluster):
        assert [] == databases.asked
        assert stored == cluster.objects.read(SECRET)


# Adoption


@pytest.mark.parametrize("owners", [[], [live_objects.profile_reference()]])
async def test_an_older_suites_secret_keeps_its_password(owners: Sequence[Body]) -> None:
    cluster = tenants()
    known = Account(user="gitea_alice@postgres", password="odd; but it works #1")
    uid = cluster.objects.put(secret(known, labels={}, owners=owners))["metadata"]["uid"]
    async with running(cluster=cluster) as process:
        assert known == held(cluster)
        assert uid == cluster.objects.read(SECRET)["metadata"]["uid"]
        assert WELL == process.conditions()[TYPE]


@pytest.mark.parametrize(("destination", "adopted"), [("alice", True), ("bob", False)])
async def test_an_application_without_owner_is_adopted_where_it_deploys_here(
    destination: str,
    adopted: bool,  # noqa: FBT001
) -> None:
    cluster = tenants()
    spec = {"project": "old", "destination": {"namespace": destination}}
    body = live_objects.object_body(
        "Application", APPLICATION.name, ARGO, labels={}, owners=[], spec=spec
    )
    uid = cluster.objects.put(body)["metadata"]["uid"]
    async with running(cluster=cluster) as process:
        found = cluster.objects.read(APPLICATION)
        assert uid == found["metadata"]["uid"]
        assert ("default" if adopted else "old") == found["spec"]["project"]
        assert ("True" if adopted else "False") == process.conditions()[TYPE][0]


async def test_an_older_suites_virtual_service_goes_from_who_never_opted_in() -> None:
    cluster = tenants(None)
    cluster.objects.put(live_objects.object_body("VirtualService", ROUTE.name, labels={}, spec={}))
    async with running(cluster=cluster) as process:
        assert [] == there(cluster)
        assert "True" == process.conditions()[TYPE][0]


async def test_the_server_hears_of_a_profile_that_goes() -> None:
    databases, cluster = Databases(), tenants()
    async with running(databases, cluster) as process:
        assert [False] == databases.swept
        cluster.objects.delete(Key("Profile", "", "alice"))
        await process.settled()
        await event_loop.until(lambda: databases.swept[1:] == [True], "swept", seconds=10.0)


async def test_a_dry_run_asks_postgres_nothing() -> None:
    databases = Databases()
    async with running(databases, options=Options(listen=None, dry_run=True)) as process:
        report = await process.reconcile("gitea-unclassified")
        assert {f"{key} create" for key in ALL} == set(str(report.changes).splitlines())
    assert [] == databases.asked
