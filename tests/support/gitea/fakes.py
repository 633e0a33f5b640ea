"""A profile's Gitea in a fake cluster, with a fake Postgres server."""

import base64
import dataclasses
from typing import Any

from controllers.gitea.config import GiteaSettings
from controllers.gitea.controller import CONTROLLER
from controllers.gitea.observe import External, collect_garbage
from controllers.gitea.postgres import accounts
from controllers.gitea.postgres.accounts import DatabaseCredentials, DatabaseOwner
from controllers.manifests import Body, Key
from controllers.runtime import AnyController, ExternalFactory, ProfileGone
from controllers.runtime.external.errors import ExternalError
from controllers.runtime.external.system import ComponentStatus
from controllers.runtime.options import Options
from tests.support import builders
from tests.support.builders import registered
from tests.support.fakes import FakeCluster, harness

LABEL = "sourcecontrol.statcan.gc.ca/enabled"
ARGOCD_NAMESPACE = "profiles-argocd-system"
APPLICATION = Key("Application", ARGOCD_NAMESPACE, "gitea-alice-unclassified")
SECRET = Key("Secret", "alice", "gitea-postgresql-secret-unclassified")
BANNER = Key("ConfigMap", "alice", "gitea-banner-unclassified")
VIRTUAL_SERVICE = Key("VirtualService", "alice", "gitea-virtualservice-unclassified")
SERVICE_ENTRY = Key("ServiceEntry", "alice", "gitea-postgresql-service-entry-unclassified")
ALL_KEYS = (APPLICATION, BANNER, SERVICE_ENTRY, SECRET, VIRTUAL_SERVICE)
CONDITION = "GiteaUnclassifiedReady"
READY = ("True", "5 objects are in place")
PASSWORD = "generated-by-the-server-" + "x" * 24


class FakeDatabaseServer:
    """Accepts all credentials. Raises `error` instead while it is set."""

    def __init__(self) -> None:
        self.requests: list[DatabaseCredentials | None] = []
        self.error: ExternalError | None = None
        self.collections: list[bool] = []
        """For each garbage collection, whether the Profile alice was gone."""
        self.closed = False

    async def ensure_database(
        self, owner: DatabaseOwner, credentials: DatabaseCredentials | None
    ) -> DatabaseCredentials:
        self.requests.append(credentials)
        if self.error is not None:
            raise self.error
        return credentials or DatabaseCredentials(user=owner.database, password=PASSWORD)

    async def collect_garbage(self, profile_gone: ProfileGone) -> None:
        self.collections.append(profile_gone("alice", "uid-alice"))

    def status(self) -> ComponentStatus:
        return ComponentStatus(name="postgres", error=str(self.error or ""))

    async def close(self) -> None:
        self.closed = True


def settings(**changes: Any) -> GiteaSettings:
    samples = {**registered.REQUIRED["gitea"], **registered.SECRETS["gitea"]}
    return GiteaSettings.model_validate({**samples, **changes})


def controller(server: FakeDatabaseServer, chosen: GiteaSettings) -> AnyController:
    def connect(_settings: GiteaSettings, *, dry_run: bool) -> External:
        return External(server=None if dry_run else server)

    external = ExternalFactory(connect=connect, collect_garbage=collect_garbage)
    return dataclasses.replace(CONTROLLER.for_settings(chosen), external=external)


def cluster_with_profiles(label: str | None = "true") -> FakeCluster:
    cluster = harness.tenants(labels={} if label is None else {LABEL: label})
    cluster.objects.put(builders.namespace_body(ARGOCD_NAMESPACE, owned=False))
    return cluster


def running(
    server: FakeDatabaseServer | None = None,
    cluster: FakeCluster | None = None,
    options: Options | None = None,
    **changes: Any,
) -> Any:
    chosen = settings(**changes)
    assembly = (controller(server or FakeDatabaseServer(), chosen), chosen)
    return harness.running(assembly, cluster=cluster or cluster_with_profiles(), options=options)


def existing(cluster: FakeCluster) -> list[Key]:
    return [key for key in ALL_KEYS if cluster.objects.get(key) is not None]


def stored_credentials(cluster: FakeCluster) -> DatabaseCredentials | None:
    return accounts.parse_secret(cluster.objects.read(SECRET).get("data") or {}, "database")


def secret_body(credentials: DatabaseCredentials, **fields: Any) -> Body:
    text = accounts.gitea_settings(
        credentials, database="gitea_alice", host="h:1", ssl_mode="require"
    )
    data = {"database": base64.b64encode(text.encode()).decode()}
    return builders.object_body("Secret", SECRET.name, type="Opaque", data=data, **fields)


def set_label(cluster: FakeCluster, text: str | None) -> None:
    labels = {} if text is None else {LABEL: text}
    cluster.objects.edit(
        Key("Profile", "", "alice"), lambda body: body["metadata"].update(labels=labels)
    )
