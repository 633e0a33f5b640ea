"""What the gitea controller owns and watches, and what it asks of Postgres."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from controllers.gitea import desired, names, observe
from controllers.gitea.config import GiteaSettings
from controllers.gitea.postgres.accounts import Account
from controllers.gitea.postgres.tenants import DatabaseError, Tenant
from controllers.manifests import Body
from controllers.profiles import Profile
from controllers.runtime import (
    Access,
    CacheReader,
    Command,
    ComponentStatus,
    Controller,
    ExternalFactory,
    Owned,
    ProfileGone,
    Variants,
    Waiting,
    Watch,
    by_namespace,
)

_LEAVING_SECONDS = 1.0


class Databases(Protocol):
    """The Postgres server, as far as this controller needs it."""

    async def ensure(self, tenant: Tenant, held: Account | None) -> Account:
        """An account that works; raises DatabaseError."""

    async def sweep(self, profile_gone: ProfileGone) -> None:
        """Forgets Profiles that are gone, with their data where that is set.

        Raises DatabaseError.
        """

    def retry_seconds(self, name: str) -> float:
        """When to ask again for this database after an error."""

    def status(self) -> ComponentStatus:
        """How the server is, for everybody."""

    async def close(self) -> None:
        """Closes its connections."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """The server with the settings that say what to ask of it; None: a dry run asks nothing."""

    settings: GiteaSettings
    databases: Databases | None

    def health(self) -> str:
        return "".join(part.error for part in self.components())

    def components(self) -> Sequence[ComponentStatus]:
        return () if self.databases is None else (self.databases.status(),)

    async def close(self) -> None:
        if self.databases is not None:
            await self.databases.close()


def connect(settings: GiteaSettings, *, dry_run: bool) -> Outside:
    """Opens no connection yet."""
    if dry_run:
        return Outside(settings=settings, databases=None)
    # psycopg and libpq are megabytes, and of no use to other controllers' processes.
    from controllers.gitea.postgres.connections import Connector  # noqa: PLC0415
    from controllers.gitea.postgres.servers import Server  # noqa: PLC0415

    server = Server(settings=settings, connector=Connector(settings=settings))
    return Outside(settings=settings, databases=server)


async def observe_profile(
    profile: Profile, cache: CacheReader, settings: GiteaSettings, outside: Outside
) -> desired.Facts:
    """Read the objects that the decision depends on, and ensure an account that works."""
    name = names.application(profile.name, settings.classification)
    route = names.virtual_service(settings.classification)
    facts = desired.Facts(
        application=cache.get("Application", settings.argocd_namespace, name),
        route=bool(cache.get("VirtualService", profile.namespace, route)),
    )
    if desired.leaving(profile, facts, settings):
        message = f"Application {name} is made ready to go"
        return replace(facts, trouble=Waiting("Leaving", message, after=_LEAVING_SECONDS))
    if desired.stance(profile, settings) is not desired.Stance.OPTED_IN:
        return facts
    held = cache.get("Secret", profile.namespace, names.secret(settings.classification))
    return await _with_account(profile, outside, held, facts)


async def _with_account(
    profile: Profile, outside: Outside, held: observe.Held | None, facts: desired.Facts
) -> desired.Facts:
    account = held.account if held is not None else None
    if held is not None and (held.hands_off or (held.owners and profile.uid not in held.owners)):
        return facts  # a password that could not be kept in it would be made anew for ever
    if outside.databases is None:
        return replace(facts, account=account or desired.UNKNOWN)
    tenant = Tenant(
        name=names.identifier(profile.name),
        classification=outside.settings.classification,
        profile=profile.name,
        uid=profile.uid,
    )
    try:
        account = await outside.databases.ensure(tenant, account)
    except DatabaseError as error:
        seconds = outside.databases.retry_seconds(tenant.name)
        return replace(facts, trouble=_outcome(error, seconds))
    return replace(facts, account=account)


def _outcome(error: DatabaseError, seconds: float) -> Exception:
    return Waiting(error.reason, str(error), after=seconds, warn=error.lasting)


async def collect_garbage(outside: Outside, profile_gone: ProfileGone) -> None:
    """What is due to Profiles that are gone."""
    if outside.databases is None:
        return
    try:
        await outside.databases.sweep(profile_gone)
    except DatabaseError as error:
        raise _outcome(error, outside.databases.retry_seconds("")) from None


def owned(settings: GiteaSettings) -> Sequence[Owned]:
    """Return what the controller of one classification owns."""
    classification = settings.classification
    route = names.virtual_service(classification)
    return (
        Owned(kind="Application"),
        Owned(kind="Secret", names=(names.secret(classification),)),
        Owned(kind="ConfigMap"),
        # The one kind of which the older suite's objects are not only adopted: it created one for
        # every profile.
        Owned(kind="VirtualService", names=(route,), adopt_legacy=names.legacy(route)),
        Owned(kind="ServiceEntry", names=(names.service_entry(classification),)),
    )


def watches(settings: GiteaSettings) -> Sequence[Watch]:
    """Return what the controller of one classification reads."""

    def map_application(body: Body) -> Collection[str]:
        profile = names.profile_of(body["metadata"]["name"], settings.classification)
        return () if profile is None else (profile,)

    return (
        Watch(
            kind="Application", transform=observe.keep_application(settings), map=map_application
        ),
        Watch(kind="Secret", transform=observe.keep_secret(settings), map=by_namespace),
        Watch(kind="VirtualService", transform=observe.keep_route(settings), map=by_namespace),
    )


CONTROLLER = Controller(
    name=names.CONTROLLER,
    summary="A Gitea for each profile that opted in, by Argo CD, with a database of its own",
    settings=GiteaSettings,
    facts=desired.Facts(account=desired.UNKNOWN),
    observe=observe_profile,
    desired=desired.desired,
    owned=owned,
    watches=watches,
    external=ExternalFactory(connect=connect, collect_garbage=collect_garbage),
    access=Access(namespaces=lambda settings: (settings.argocd_namespace,)),
    command=Command(standalone=True),
    variants=Variants(setting="classification", names=names.CLASSIFICATIONS),
)
