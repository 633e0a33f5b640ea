"""What the pipelines controller owns and watches, and what it asks of the object store."""

from __future__ import annotations

import structlog

from controllers.findings import Finding
from controllers.pipelines import desired, names, observe
from controllers.pipelines.config import PipelinesSettings
from controllers.pipelines.objectstore import providers
from controllers.pipelines.objectstore.provider import Credentials, ObjectStore, Refusal, StoreError
from controllers.pipelines.webhook import listen as webhook_listen
from controllers.profiles import Profile
from controllers.runtime import (
    Access,
    CacheReader,
    Command,
    Controller,
    ExternalFactory,
    Owned,
    ProfileGone,
    Rule,
    RulesWhen,
    Terminal,
    Waiting,
    Watch,
    always,
    by_namespace,
)

logger = structlog.stdlib.get_logger(__name__)


class Outside:
    """The object store, with the settings that say what to ask of it."""

    def __init__(self, settings: PipelinesSettings, *, dry_run: bool) -> None:
        self.settings = settings
        self.store: ObjectStore = providers.connect(settings, dry_run=dry_run)
        self.left_undone = ""
        """What the chore failed with; empty when it was done."""

    def health(self) -> str:
        """As ``declarations.HealthReporter``."""
        return self.store.health() or self.left_undone

    async def close(self) -> None:
        await self.store.close()


async def observe_profile(
    profile: Profile, cache: CacheReader, settings: PipelinesSettings, outside: Outside
) -> desired.Facts:
    """Return whether the namespace takes part, and the keys that its Secret is to hold."""
    if not cache.get("Namespace", "", profile.namespace):
        return desired.Facts(enabled=False)
    secret: observe.Held | None = cache.get("Secret", profile.namespace, names.SECRET)
    tenant, findings = observe.tenant(profile, settings)
    held = secret.credentials if secret else None
    if secret is not None and secret.why_not:
        # A key that nobody could keep would be made anew at every reconcile.
        message = f"Secret {profile.namespace}/{names.SECRET} {secret.why_not}: no key is made"
        findings.append(Finding(reason="SecretNotOurs", message=message))
        return desired.Facts(keys=_keys(held), findings=findings)
    try:
        answer = await outside.store.ensure(tenant, held)
    except StoreError as error:
        return desired.Facts(keys=_keys(held), findings=findings, trouble=_outcome(error))
    if isinstance(answer, Refusal):
        findings.append(Finding(reason=answer.reason, message=answer.message))
        answer = None
    return desired.Facts(keys=_keys(answer), findings=findings)


def _keys(credentials: Credentials | None) -> desired.Keys | None:
    if credentials is None:
        return None
    return desired.Keys(access=credentials.access_key, secret=credentials.secret_key)


def _outcome(error: StoreError) -> Exception:
    if error.after is None:
        return Terminal(error.reason, error.message)
    return Waiting(error.reason, error.message, after=error.after)


async def collect_garbage(outside: Outside, profile_gone: ProfileGone) -> None:
    """The bucket's policy and retention; and users of Profiles that are gone."""
    try:
        await outside.store.maintain()
        if not outside.settings.keep_departed:
            for one in await outside.store.sweep(profile_gone):
                logger.info("account removed", namespace=one.namespace, profile_uid=one.uid)
    except StoreError as error:
        outside.left_undone = f"bucket and departed users not looked after: {error.message}"
        raise _outcome(error) from error
    outside.left_undone = ""


async def webhook(settings: PipelinesSettings, listen: tuple[str, int] | None) -> int:
    """The same objects, served to Metacontroller."""
    stop = webhook_listen.stop_signal()
    sockets = webhook_listen.listening(settings.controller_port, listen)
    # Only now: it takes longer than all before, and a reconciler needs no server.
    from controllers.pipelines.webhook import server  # noqa: PLC0415

    return await server.serve(settings, sockets, stop)


_BINDS_AGENTS = Rule(
    groups=("rbac.authorization.k8s.io",),
    resources=("clusterroles",),
    verbs=("bind",),
    names=(names.AGENT_ROLE,),
)
_READS_PODS = Rule(groups=("",), resources=("pods",), verbs=("get", "list", "watch"))
_CLAIMS = Rule(groups=("",), resources=("persistentvolumeclaims",), verbs=("create", "get", "list"))

CONTROLLER = Controller(
    name="pipelines",
    summary="What Kubeflow Pipelines needs for several users: keys, ConfigMaps, proxies, drivers",
    settings=PipelinesSettings,
    # As of a namespace that takes part; `render` shows no key of a store.
    facts=desired.Facts(keys=desired.Keys(access="(of the store)", secret="(of the store)")),  # noqa: S106 - says so
    observe=observe_profile,
    desired=desired.desired,
    owned=always(
        Owned(kind="ConfigMap", names=names.CONFIG_MAPS),
        Owned(kind="Secret", names=names.SECRETS),
        Owned(kind="Deployment", names=(names.PROXY,)),
        Owned(kind="Service", names=(names.PROXY,)),
        Owned(kind="ServiceAccount", names=(names.AGENT,)),
        Owned(kind="Role", names=names.DRIVER_ROLES),
        Owned(kind="RoleBinding", names=names.BINDINGS),
        Owned(kind="PodDefault", names=(names.POD_DEFAULT,), optional=True),
    ),
    watches=always(
        Watch(kind="Namespace", transform=observe.keep_namespace, map=observe.map_namespace),
        Watch(kind="Secret", transform=observe.keep_secret, map=by_namespace),
    ),
    external=ExternalFactory(connect=Outside, collect_garbage=collect_garbage),
    # Who binds a role or writes one must be allowed to, or have what it grants. What else the
    # central driver's Roles grant follows from the kinds that are owned.
    access=Access(
        by_settings=(
            RulesWhen(setting="driver_mode", values=("sidecar",), rules=(_BINDS_AGENTS,)),
            RulesWhen(setting="driver_mode", values=("central",), rules=(_READS_PODS, _CLAIMS)),
        ),
    ),
    command=Command(webhook=webhook),
)
