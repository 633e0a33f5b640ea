"""A profile's Gitea on a cluster in memory, with databases that only remember what was asked."""

import base64
import dataclasses
from typing import Any

from controllers.gitea.config import GiteaSettings
from controllers.gitea.controller import CONTROLLER, Outside, collect_garbage
from controllers.gitea.postgres import accounts
from controllers.gitea.postgres.accounts import Account
from controllers.gitea.postgres.tenants import DatabaseError, Tenant
from controllers.manifests import Body, Key
from controllers.runtime.controller import (
    AnyController,
    ExternalFactory,
    ProfileGone,
)
from controllers.runtime.external.system import ComponentStatus
from controllers.runtime.options import Options
from tests.support.builders import live_objects, registered
from tests.support.fakes import FakeCluster, harness

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

    async def sweep(self, profile_gone: ProfileGone) -> None:
        self.swept.append(profile_gone("alice", "uid-alice"))

    def retry_seconds(self, _name: str) -> float:
        return 60.0

    def status(self) -> ComponentStatus:
        return ComponentStatus(name="h:1", error=str(self.error or ""))

    async def close(self) -> None:
        self.closed = True


def settings(**changes: Any) -> GiteaSettings:
    samples = {**registered.REQUIRED["gitea"], **registered.SECRETS["gitea"]}
    return GiteaSettings.model_validate({**samples, **changes})


def controller(databases: Databases, chosen: GiteaSettings) -> AnyController:
    def connect(known: GiteaSettings, *, dry_run: bool) -> Outside:
        return Outside(settings=known, databases=None if dry_run else databases)

    return dataclasses.replace(
        CONTROLLER.for_settings(chosen),
        external=ExternalFactory(connect=connect, collect_garbage=collect_garbage),
    )


def tenants(label: str | None = "true") -> FakeCluster:
    cluster = harness.tenants(labels={} if label is None else {LABEL: label})
    cluster.objects.put(live_objects.namespace_body(ARGO, owned=False))
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
    return live_objects.object_body("Secret", SECRET.name, type="Opaque", data=data, **fields)


def label(cluster: FakeCluster, text: str | None) -> None:
    labels = {} if text is None else {LABEL: text}
    cluster.objects.edit(
        Key("Profile", "", "alice"), lambda body: body["metadata"].update(labels=labels)
    )
