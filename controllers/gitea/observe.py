"""What the controller reads before it decides: cached objects, and credentials from Postgres."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from controllers.gitea import desired, names
from controllers.gitea.config import GiteaSettings
from controllers.gitea.desired import Facts, GiteaState, ObservedApplication
from controllers.gitea.postgres import accounts
from controllers.gitea.postgres.accounts import DatabaseCredentials, DatabaseOwner
from controllers.manifests import COMPONENT_LABEL, Body
from controllers.profiles import Profile
from controllers.runtime import CacheReader, ProfileGone, Waiting
from controllers.runtime.external.errors import ExternalError
from controllers.runtime.external.system import ComponentStatus

_REMOVAL_RETRY_SECONDS = 1.0


class DatabaseServer(Protocol):
    """The part of a Postgres server that the controller uses."""

    async def ensure_database(
        self, owner: DatabaseOwner, credentials: DatabaseCredentials | None
    ) -> DatabaseCredentials:
        """Return credentials that open the owner's database. Raises ExternalError."""

    async def collect_garbage(self, profile_gone: ProfileGone) -> None:
        """Forget deleted Profiles, and drop their databases if configured. Raises ExternalError."""

    def status(self) -> ComponentStatus:
        """Return the status of the server, from any thread."""

    async def close(self) -> None:
        """Close all connections."""


@dataclass(frozen=True, slots=True, kw_only=True)
class External:
    """The server; None in a dry run, which connects to no server."""

    server: DatabaseServer | None

    def components(self) -> Sequence[ComponentStatus]:
        return () if self.server is None else (self.server.status(),)

    async def close(self) -> None:
        if self.server is not None:
            await self.server.close()


async def observe(
    profile: Profile, cache: CacheReader, settings: GiteaSettings, external: External
) -> Facts:
    """Return the facts. The only step that waits for Postgres."""
    name = names.application(profile.name, settings.classification)
    virtual_service = names.virtual_service(settings.classification)
    facts = Facts(
        application=cache.get("Application", settings.argocd_namespace, name),
        has_virtual_service=bool(cache.get("VirtualService", profile.namespace, virtual_service)),
    )
    if desired.finalizer_is_wrong(profile, facts, settings):
        message = (
            f"Application {settings.argocd_namespace}/{name} is deleted after its finalizer"
            f" {names.FINALIZER} is updated"
        )
        return replace(
            facts, error=Waiting("RemovingApplication", message, after=_REMOVAL_RETRY_SECONDS)
        )
    if desired.determine_state(profile, settings) is not GiteaState.OPTED_IN:
        return facts
    # A new password must not be set for a Secret that cannot store it: each reconcile would set
    # another one.
    if cache.blocked_write(profile, desired.unchanged_secret(profile, settings)) is not None:
        return facts
    secret = cache.get("Secret", profile.namespace, names.secret(settings.classification))
    return await _with_credentials(profile, settings, external.server, secret, facts)


async def _with_credentials(
    profile: Profile,
    settings: GiteaSettings,
    server: DatabaseServer | None,
    secret: ObservedSecret | None,
    facts: Facts,
) -> Facts:
    credentials = secret.credentials if secret is not None else None
    if server is None:
        return replace(facts, credentials=credentials or desired.PLACEHOLDER_CREDENTIALS)
    owner = DatabaseOwner(
        database=names.database(profile.name),
        classification=settings.classification,
        profile=profile.name,
        uid=profile.uid,
    )
    try:
        credentials = await server.ensure_database(owner, credentials)
    except ExternalError as error:
        return replace(facts, error=error.outcome())
    return replace(facts, credentials=credentials)


async def collect_garbage(external: External, profile_gone: ProfileGone) -> None:
    """Clean up after deleted Profiles."""
    if external.server is None:
        return
    await external.server.collect_garbage(profile_gone)


# What the cache stores of each watched object


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedSecret:
    """The Secret of a profile."""

    credentials: DatabaseCredentials | None
    version: str
    """The resourceVersion: any change can decide whether the Secret may be written."""


def transform_application(settings: GiteaSettings) -> Callable[[Body], ObservedApplication | None]:
    """Return the transform of Applications; None for other classifications and deleted ones."""

    def transform(body: Body) -> ObservedApplication | None:
        metadata = body["metadata"]
        if (
            metadata.get("namespace") != settings.argocd_namespace
            or names.profile_of(metadata["name"], settings.classification) is None
            or metadata.get("deletionTimestamp")
        ):
            return None
        destination = (body.get("spec") or {}).get("destination") or {}
        return ObservedApplication(
            destination=str(destination.get("namespace") or ""),
            has_finalizer=names.FINALIZER in (metadata.get("finalizers") or ()),
        )

    return transform


def transform_secret(settings: GiteaSettings) -> Callable[[Body], ObservedSecret | None]:
    """Return the transform of Secrets; None for all but the one of this classification."""

    def transform(body: Body) -> ObservedSecret | None:
        metadata = body["metadata"]
        if metadata["name"] != names.secret(settings.classification):
            return None
        return ObservedSecret(
            credentials=accounts.parse_secret(body.get("data") or {}, names.SECRET_KEY),
            version=str(metadata.get("resourceVersion", "")),
        )

    return transform


def transform_virtual_service(settings: GiteaSettings) -> Callable[[Body], bool | None]:
    """Return the transform of VirtualServices: whether this controller's label is set.

    None for all but the one of this classification.
    """

    def transform(body: Body) -> bool | None:
        metadata = body["metadata"]
        if metadata["name"] != names.virtual_service(settings.classification):
            return None
        component = (metadata.get("labels") or {}).get(COMPONENT_LABEL)
        return bool(component == names.component(settings.classification))

    return transform
