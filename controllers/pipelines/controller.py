"""The pipelines controller: its contract, its garbage collection and its webhook."""

from __future__ import annotations

import structlog

from controllers.pipelines import desired, names, observe
from controllers.pipelines.config import PipelinesSettings
from controllers.pipelines.objectstore import provider
from controllers.pipelines.objectstore.provider import ObjectStore
from controllers.pipelines.objectstore.spec import Credentials
from controllers.runtime import (
    Access,
    Command,
    Controller,
    ExternalFactory,
    Owned,
    ProfileGone,
    Rule,
    RulesWhen,
    Watch,
    always,
    by_namespace,
)
from controllers.runtime.listen import listen
from controllers.runtime.signals import stop_signal

logger = structlog.stdlib.get_logger(__name__)


async def collect_garbage(store: ObjectStore, profile_gone: ProfileGone) -> None:
    """Reconcile the bucket, and delete the accounts of Profiles that are gone."""
    await store.reconcile_bucket()
    for account in await store.collect_garbage(profile_gone):
        logger.info("account deleted", namespace=account.namespace, profile_uid=account.uid)


async def webhook(settings: PipelinesSettings, address: tuple[str, int] | None) -> int:
    """Serve the same objects to Metacontroller."""
    stop = stop_signal()
    addresses = [("", settings.controller_port)] + ([address] if address else [])
    sockets = [listen(*each) for each in addresses]
    # Imported after listening, because it takes long: early clients wait and are not refused.
    from controllers.pipelines.webhook import server  # noqa: PLC0415

    return await server.serve(settings, sockets, stop)


# A controller may bind or write a role only if it has the right to, or all that the role grants.
# The rest of what the central driver's Roles grant follows from the owned kinds.
_BIND_AGENT_ROLE = Rule(
    groups=("rbac.authorization.k8s.io",),
    resources=("clusterroles",),
    verbs=("bind",),
    names=(names.AGENT_ROLE,),
)
_READ_PODS = Rule(groups=("",), resources=("pods",), verbs=("get", "list", "watch"))
_CREATE_CLAIMS = Rule(
    groups=("",), resources=("persistentvolumeclaims",), verbs=("create", "get", "list")
)

CONTROLLER = Controller(
    name="pipelines",
    summary="Kubeflow Pipelines for several users: keys, ConfigMaps, proxies, drivers",
    settings=PipelinesSettings,
    # `render` shows an enabled namespace and no real key.
    facts=desired.Facts(
        key=Credentials(access_key="(of the store)", secret_key="(of the store)")  # noqa: S106 - no key
    ),
    observe=observe.observe,
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
        Watch(kind="Namespace", transform=observe.transform_namespace, map=observe.map_namespace),
        Watch(kind="Secret", transform=observe.transform_secret, map=by_namespace),
    ),
    external=ExternalFactory(connect=provider.connect, collect_garbage=collect_garbage),
    access=Access(
        by_settings=(
            RulesWhen(setting="driver_mode", values=("sidecar",), rules=(_BIND_AGENT_ROLE,)),
            RulesWhen(
                setting="driver_mode", values=("central",), rules=(_READ_PODS, _CREATE_CLAIMS)
            ),
        ),
    ),
    command=Command(webhook=webhook),
)
