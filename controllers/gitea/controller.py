"""What the gitea controller owns and watches, and what it asks of Postgres."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from controllers.gitea import accounts, desired, names
from controllers.gitea.accounts import Account
from controllers.gitea.config import GiteaSettings
from controllers.gitea.tenants import DatabaseError, Tenant
from controllers.manifests import COMPONENT_LABEL, Body
from controllers.profiles import API_GROUP, PAUSED_ANNOTATION, Profile, read_boolean
from controllers.runtime.declarations import Controller, IsGone, Owned, View, Watched
from controllers.runtime.outcomes import Waiting

NAME = "gitea"
_LEAVING_SECONDS = 1.0
_REFUSED_SECONDS = 300.0


class Databases(Protocol):
    """The Postgres server, as far as this controller needs it."""

    async def ensure(self, tenant: Tenant, held: Account | None) -> Account:
        """An account that works; raises DatabaseError."""

    async def sweep(self, is_gone: IsGone) -> None:
        """Drops the databases of Profiles that are gone; raises DatabaseError."""

    @property
    def retry_seconds(self) -> float:
        """When to ask again after an error."""

    def health(self) -> str:
        """What keeps everybody from the server; empty when nothing does."""

    async def close(self) -> None:
        """Closes its connections."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """The server with the settings that say what to ask of it; None: a dry run asks nothing."""

    settings: GiteaSettings
    databases: Databases | None

    def health(self) -> str:
        return self.databases.health() if self.databases is not None else ""

    async def close(self) -> None:
        if self.databases is not None:
            await self.databases.close()


def connect(settings: GiteaSettings, *, dry_run: bool) -> Outside:
    """Opens no connection yet."""
    if dry_run:
        return Outside(settings=settings, databases=None)
    # psycopg and libpq are megabytes, and of no use to other controllers' processes.
    from controllers.gitea.connections import Connector  # noqa: PLC0415
    from controllers.gitea.servers import Server  # noqa: PLC0415

    server = Server(settings=settings, connector=Connector(settings=settings))
    return Outside(settings=settings, databases=server)


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What is remembered of a profile's Secret."""

    account: Account | None
    owners: tuple[str, ...]
    """UIDs of its owners, or what else keeps us from writing it."""
    hands_off: bool
    """It is paused or on its way out: its password must stay what it is."""


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
    profile: Profile, outside: Outside, held: Held | None, facts: desired.Facts
) -> desired.Facts:
    account = held.account if held is not None else None
    if held is not None and (held.hands_off or not set(held.owners) <= {profile.uid}):
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
        return replace(facts, trouble=_outcome(error, outside.databases.retry_seconds))
    return replace(facts, account=account)


def _outcome(error: DatabaseError, seconds: float) -> Exception:
    if error.lasting:
        return Waiting(error.reason, str(error), after=_REFUSED_SECONDS, warn=True)
    return Waiting(error.reason, str(error), after=seconds)


def trouble(facts: desired.Facts) -> Exception | None:
    """Why there is no account that works, or what is waited for."""
    return facts.trouble


async def chore(outside: Outside, is_gone: IsGone) -> None:
    """Databases of Profiles that are gone, where their data shall go with them."""
    if not outside.settings.delete_data or outside.databases is None:
        return
    try:
        await outside.databases.sweep(is_gone)
    except DatabaseError as error:
        raise _outcome(error, outside.databases.retry_seconds) from None


def _keep_application(settings: GiteaSettings) -> Callable[[Body], desired.Application | None]:
    def keep(body: Body) -> desired.Application | None:
        metadata = body["metadata"]
        if metadata.get("namespace") != settings.argocd_namespace or (
            names.profile_of(metadata["name"], settings.classification) is None
            or metadata.get("deletionTimestamp")
        ):
            return None
        destination = (body.get("spec") or {}).get("destination") or {}
        return desired.Application(
            destination=str(destination.get("namespace") or ""),
            finalizer=names.FINALIZER in (metadata.get("finalizers") or ()),
        )

    return keep


def _keep_secret(settings: GiteaSettings) -> Callable[[Body], Held | None]:
    def keep(body: Body) -> Held | None:
        metadata = body["metadata"]
        if metadata["name"] != names.secret(settings.classification):
            return None
        annotation = (metadata.get("annotations") or {}).get(PAUSED_ANNOTATION, "")
        paused = read_boolean(annotation.strip()) is True
        return Held(
            account=accounts.parse(body.get("data") or {}, names.SECRET_KEY),
            owners=tuple(_owner(reference) for reference in metadata.get("ownerReferences") or ()),
            hands_off=paused or "deletionTimestamp" in metadata,
        )

    return keep


def _owner(reference: Mapping[str, Any]) -> str:
    group = str(reference.get("apiVersion", "")).partition("/")[0]
    is_profile = group == API_GROUP and bool(reference.get("controller"))
    return str(reference.get("uid")) if is_profile else "another owner"


def _keep_route(settings: GiteaSettings) -> Callable[[Body], bool | None]:
    """Whether it is ours by its label; None for every other VirtualService."""

    def keep(body: Body) -> bool | None:
        metadata = body["metadata"]
        if metadata["name"] != names.virtual_service(settings.classification):
            return None
        component = (metadata.get("labels") or {}).get(COMPONENT_LABEL)
        return bool(component == f"{NAME}-{settings.classification}")

    return keep


def _wakes(body: Body) -> str | None:
    return str(body["metadata"]["namespace"])


def variant(settings: GiteaSettings) -> Controller[Any, Any]:
    """The controller of one classification."""
    classification = settings.classification

    def wakes_application(body: Body) -> str | None:
        return names.profile_of(body["metadata"]["name"], classification)

    return replace(
        CONTROLLER,
        name=f"{NAME}-{classification}",
        variant_of=NAME,
        owned=(
            Owned(kind="Application"),
            Owned(kind="Secret"),
            Owned(kind="ConfigMap"),
            # The one kind of which an older suite's are not only adopted: it made them for all.
            Owned(
                kind="VirtualService", legacy=names.legacy(names.virtual_service(classification))
            ),
            Owned(kind="ServiceEntry"),
        ),
        watched=(
            Watched(kind="Application", keep=_keep_application(settings), wakes=wakes_application),
            Watched(kind="Secret", keep=_keep_secret(settings), wakes=_wakes),
            Watched(kind="VirtualService", keep=_keep_route(settings), wakes=_wakes),
        ),
    )


CONTROLLER = Controller(
    name=NAME,
    summary="A Gitea for each profile that opted in, by Argo CD, with a database of its own",
    settings=GiteaSettings,
    facts=desired.Facts(account=desired.UNKNOWN),
    owned=tuple(
        Owned(kind=kind)
        for kind in ("Application", "Secret", "ConfigMap", "VirtualService", "ServiceEntry")
    ),
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
