"""What the gitea controller owns and watches, and what it asks of Postgres."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from controllers.gitea import desired, names, observe
from controllers.gitea.config import GiteaSettings
from controllers.gitea.postgres.accounts import Account
from controllers.gitea.postgres.tenants import DatabaseError, Tenant
from controllers.manifests import Body
from controllers.profiles import Profile
from controllers.runtime.controller import Controller, IsGone, Owned, Part, View, Watched
from controllers.runtime.reconcile.result import Waiting

_LEAVING_SECONDS = 1.0


class Databases(Protocol):
    """The Postgres server, as far as this controller needs it."""

    async def ensure(self, tenant: Tenant, held: Account | None) -> Account:
        """An account that works; raises DatabaseError."""

    async def sweep(self, is_gone: IsGone) -> None:
        """Forgets Profiles that are gone, with their data where that is set.

        Raises DatabaseError.
        """

    def retry_seconds(self, name: str) -> float:
        """When to ask again for this database after an error."""

    def part(self) -> Part:
        """How the server is, for everybody."""

    async def close(self) -> None:
        """Closes its connections."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """The server with the settings that say what to ask of it; None: a dry run asks nothing."""

    settings: GiteaSettings
    databases: Databases | None

    def health(self) -> str:
        return "".join(part.trouble for part in self.parts())

    def parts(self) -> Sequence[Part]:
        return () if self.databases is None else (self.databases.part(),)

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


async def gather(profile: Profile, view: View) -> desired.Facts:
    """The objects that stand in another light by their content, and an account that works."""
    outside: Outside = view.outside
    settings = outside.settings
    name = names.application(profile.name, settings.classification)
    route = names.virtual_service(settings.classification)
    facts = desired.Facts(
        application=view.kept("Application", settings.argocd_namespace, name),
        route=bool(view.kept("VirtualService", profile.namespace, route)),
    )
    if desired.leaving(profile, facts, settings):
        message = f"Application {name} is made ready to go"
        return replace(facts, trouble=Waiting("Leaving", message, after=_LEAVING_SECONDS))
    if desired.stance(profile, settings) is not desired.Stance.OPTED_IN:
        return facts
    held = view.kept("Secret", profile.namespace, names.secret(settings.classification))
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


def trouble(facts: desired.Facts) -> Exception | None:
    """Why there is no account that works, or what is waited for."""
    return facts.trouble


async def chore(outside: Outside, is_gone: IsGone) -> None:
    """What is due to Profiles that are gone."""
    if outside.databases is None:
        return
    try:
        await outside.databases.sweep(is_gone)
    except DatabaseError as error:
        raise _outcome(error, outside.databases.retry_seconds("")) from None


def _wakes(body: Body) -> str | None:
    return str(body["metadata"]["namespace"])


def _owned(*classifications: str) -> tuple[Owned, ...]:
    def called(name: Callable[[str], str]) -> tuple[str, ...]:
        return tuple(map(name, classifications))

    routes = called(names.virtual_service)
    return (
        Owned(kind="Application"),
        Owned(kind="Secret", names=called(names.secret)),
        Owned(kind="ConfigMap"),
        # The one kind of which an older suite's are not only adopted: it made them for all.
        Owned(kind="VirtualService", names=routes, legacy=names.legacy(*routes)),
        Owned(kind="ServiceEntry", names=called(names.service_entry)),
    )


def variant(settings: GiteaSettings) -> Controller[Any, Any]:
    """The controller of one classification."""
    classification = settings.classification

    def wakes_application(body: Body) -> str | None:
        return names.profile_of(body["metadata"]["name"], classification)

    return replace(
        CONTROLLER,
        name=names.component(classification),
        variant_of=names.CONTROLLER,
        owned=_owned(classification),
        watched=(
            Watched(
                kind="Application",
                keep=observe.keep_application(settings),
                wakes=wakes_application,
            ),
            Watched(kind="Secret", keep=observe.keep_secret(settings), wakes=_wakes),
            Watched(kind="VirtualService", keep=observe.keep_route(settings), wakes=_wakes),
        ),
    )


CONTROLLER = Controller(
    name=names.CONTROLLER,
    summary="A Gitea for each profile that opted in, by Argo CD, with a database of its own",
    settings=GiteaSettings,
    facts=desired.Facts(account=desired.UNKNOWN),
    owned=_owned(*names.CLASSIFICATIONS),
    desired=desired.desired,
    findings=desired.findings,
    gather=gather,
    connect=connect,
    trouble=trouble,
    chore=chore,
    namespaces=lambda settings: (settings.argocd_namespace,),
    apart=True,
    variants=names.CLASSIFICATIONS,
    variant=variant,
)
