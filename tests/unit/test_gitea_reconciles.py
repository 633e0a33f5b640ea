"""gitea on a cluster in memory: before, then writes, events and condition; no real Postgres.

The server itself is real in `tests/real/test_gitea_databases.py`.
"""

import base64
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from controllers.gitea import accounts, names
from controllers.gitea.accounts import Account
from controllers.gitea.config import GiteaSettings
from controllers.gitea.controller import CONTROLLER, Outside
from controllers.gitea.tenants import DatabaseError, Tenant
from controllers.manifests import Body, Key
from controllers.profiles import PAUSED_ANNOTATION
from controllers.runtime.declarations import AnyController, IsGone, Part
from controllers.runtime.options import Options
from tests import clocks, harness, specimens
from tests.fakes import FakeCluster

pytestmark = pytest.mark.virtual_time

LABEL = "sourcecontrol.statcan.gc.ca/enabled"
ARGO = "profiles-argocd-system"
APPLICATION = Key("Application", ARGO, "gitea-alice-unclassified")
SECRET = Key("Secret", "alice", "gitea-postgresql-secret-unclassified")
BANNER = Key("ConfigMap", "alice", "gitea-banner-unclassified")
ROUTE = Key("VirtualService", "alice", "gitea-virtualservice-unclassified")
ENTRY = Key("ServiceEntry", "alice", "gitea-postgresql-service-entry-unclassified")
ALL = (APPLICATION, BANNER, ENTRY, SECRET, ROUTE)
TYPE = "GiteaUnclassifiedReady"
WELL = ("True", "5 objects are in place")
PASSWORD = "made-by-the-server-" + "x" * 24


class Databases:
    """Keeps what works; `error` is raised instead while it is set."""

    def __init__(self) -> None:
        self.asked: list[Account | None] = []
        self.error: DatabaseError | None = None
        self.swept: list[bool] = []
        self.closed = False

    async def ensure(self, tenant: Tenant, held: Account | None) -> Account:
        self.asked.append(held)
        if self.error is not None:
            raise self.error
        return held or Account(user=tenant.name, password=PASSWORD)

    async def sweep(self, is_gone: IsGone) -> None:
        self.swept.append(is_gone("alice", "uid-alice"))

    def retry_seconds(self, _name: str) -> float:
        return 60.0

    def part(self) -> Part:
        return Part(name="h:1", trouble=str(self.error or ""), success=None)

    async def close(self) -> None:
        self.closed = True


def settings(**changes: Any) -> GiteaSettings:
    fields = {
        "classification": "unclassified",
        "psql_hostname": "postgres.example.ca",
        "psql_admin_uname": "admin",
        "psql_admin_passwd": "a-secret",
        "argocd_source_repo_url": "https://git.example.ca/manifests.git",
        **changes,
    }
    return GiteaSettings.model_validate(fields)


def controller(databases: Databases, chosen: GiteaSettings) -> AnyController:
    def connect(known: GiteaSettings, *, dry_run: bool) -> Outside:
        return Outside(settings=known, databases=None if dry_run else databases)

    return dataclasses.replace(CONTROLLER.with_settings(chosen), connect=connect)


def tenants(label: str | None = "true") -> FakeCluster:
    cluster = harness.tenants(labels={} if label is None else {LABEL: label})
    cluster.objects.put(specimens.namespace_body(ARGO, owned=False))
    return cluster


def running(
    databases: Databases | None = None,
    cluster: FakeCluster | None = None,
    options: Options | None = None,
    **changes: Any,
) -> Any:
    chosen = settings(**changes)
    assembly = (controller(databases or Databases(), chosen), chosen)
    return harness.running(assembly, cluster=cluster or tenants(), options=options)


def there(cluster: FakeCluster) -> list[Key]:
    return [key for key in ALL if cluster.objects.get(key) is not None]


def held(cluster: FakeCluster) -> Account | None:
    return accounts.parse(cluster.objects.read(SECRET).get("data") or {}, "database")


def secret(account: Account, **fields: Any) -> Body:
    text = accounts.lines(account, database="gitea_alice", host="h:1", ssl_mode="require")
    data = {"database": base64.b64encode(text.encode()).decode()}
    return specimens.object_body("Secret", SECRET.name, type="Opaque", data=data, **fields)


def label(cluster: FakeCluster, text: str | None) -> None:
    labels = {} if text is None else {LABEL: text}
    cluster.objects.edit(
        Key("Profile", "", "alice"), lambda body: body["metadata"].update(labels=labels)
    )


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
        (check,) = (one for one in process.health.ready() if one.name.startswith("outside/"))
        assert ("Postgres h:1: refused", "") == (check.note, check.trouble)

        databases.error = None
        await clocks.until(lambda: WELL == process.conditions()[TYPE], "well", seconds=90.0)
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
            ownerReferences=[specimens.profile_reference("bob", "uid-bob")]
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


@pytest.mark.parametrize("owners", [[], [specimens.profile_reference()]])
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
    body = specimens.object_body(
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
    cluster.objects.put(specimens.object_body("VirtualService", ROUTE.name, labels={}, spec={}))
    async with running(cluster=cluster) as process:
        assert [] == there(cluster)
        assert "True" == process.conditions()[TYPE][0]


# Out, and in again


async def test_keep_keeps_everything_in_shape_and_says_so() -> None:
    databases, cluster = Databases(), tenants()
    async with running(databases, cluster) as process:
        label(cluster, "false")
        await process.settled()
        assert list(ALL) == there(cluster)
        assert "OptedOut" in [event[1] for event in process.events()]
        cluster.objects.edit(ENTRY, lambda body: body.pop("spec"))
        await process.settled()
        assert cluster.objects.read(ENTRY)["spec"]
        cluster.objects.delete(BANNER)
        await process.settled()
        assert BANNER not in there(cluster)


@pytest.mark.parametrize(
    ("opt_out", "left"), [("stop", [SECRET]), ("detach", [BANNER, ENTRY, SECRET, ROUTE])]
)
async def test_out_removes_the_application_and_in_again_finds_the_password(
    opt_out: str, left: list[Key]
) -> None:
    databases, cluster = Databases(), tenants()
    async with running(databases, cluster, opt_out=opt_out) as process:
        if opt_out == "detach":
            cluster.objects.edit(
                APPLICATION, lambda body: body["metadata"].update(finalizers=[names.FINALIZER])
            )
            await process.settled()
        before = held(cluster)
        label(cluster, None)
        if opt_out == "stop":
            await clocks.until(
                lambda: "deletionTimestamp" in cluster.objects.read(APPLICATION)["metadata"],
                "it waits for Argo CD",
                seconds=20.0,
            )
            finalizers = cluster.objects.read(APPLICATION)["metadata"]["finalizers"]
            assert [names.FINALIZER] == finalizers
            cluster.objects.edit(APPLICATION, lambda body: body["metadata"].update(finalizers=[]))
        await clocks.until(lambda: left == there(cluster), "the rest is gone", seconds=20.0)
        await process.settled()
        assert before == held(cluster)

        label(cluster, "true")
        await process.settled()
        assert list(ALL) == there(cluster)
        assert before == held(cluster)
        assert WELL == process.conditions()[TYPE]


async def test_a_wrong_label_is_told_and_removes_nothing() -> None:
    cluster = tenants()
    async with running(cluster=cluster, opt_out="stop") as process:
        label(cluster, "ture")
        await process.settled()
        assert list(ALL) == there(cluster)
        status, message = process.conditions()[TYPE]
        assert "False" == status
        assert f'{LABEL}: "ture"' in message


async def test_the_server_hears_of_a_profile_that_goes() -> None:
    databases, cluster = Databases(), tenants()
    async with running(databases, cluster) as process:
        assert [False] == databases.swept
        cluster.objects.delete(Key("Profile", "", "alice"))
        await process.settled()
        await clocks.until(lambda: databases.swept[1:] == [True], "swept", seconds=10.0)


async def test_a_dry_run_asks_postgres_nothing() -> None:
    databases = Databases()
    async with running(databases, options=Options(listen=None, dry_run=True)) as process:
        report = await process.reconcile("gitea-unclassified")
        assert {f"{key} create" for key in ALL} == set(str(report.changes).splitlines())
    assert [] == databases.asked
