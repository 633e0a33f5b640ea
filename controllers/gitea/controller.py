"""What the gitea controller owns and watches, and its Postgres server."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from controllers.gitea import desired, names, observe
from controllers.gitea.config import GiteaSettings
from controllers.gitea.observe import External
from controllers.manifests import Body
from controllers.runtime import (
    Access,
    Command,
    Controller,
    ExternalFactory,
    Owned,
    Variants,
    Watch,
    by_namespace,
)


def connect(settings: GiteaSettings, *, dry_run: bool) -> External:
    """Return the server. It opens no connection yet."""
    if dry_run:
        return External(server=None)
    # psycopg and libpq take megabytes that processes of other controllers do not need.
    from controllers.gitea.postgres import servers  # noqa: PLC0415

    return External(server=servers.connect(settings))


def owned(settings: GiteaSettings) -> Sequence[Owned]:
    """Return what the controller of one classification owns."""
    classification = settings.classification
    virtual_service = names.virtual_service(classification)
    return (
        Owned(kind="Application"),
        Owned(kind="Secret", names=(names.secret(classification),)),
        Owned(kind="ConfigMap"),
        # The older suite created one for every profile, also for those that never opted in.
        Owned(
            kind="VirtualService",
            names=(virtual_service,),
            adopt_legacy=names.is_legacy(virtual_service),
        ),
        Owned(kind="ServiceEntry", names=(names.service_entry(classification),)),
    )


def watches(settings: GiteaSettings) -> Sequence[Watch]:
    """Return what the controller of one classification reads."""

    def map_application(body: Body) -> Collection[str]:
        profile = names.profile_of(body["metadata"]["name"], settings.classification)
        return () if profile is None else (profile,)

    return (
        Watch(
            kind="Application",
            transform=observe.transform_application(settings),
            map=map_application,
        ),
        Watch(kind="Secret", transform=observe.transform_secret(settings), map=by_namespace),
        Watch(
            kind="VirtualService",
            transform=observe.transform_virtual_service(settings),
            map=by_namespace,
        ),
    )


CONTROLLER = Controller(
    name=names.CONTROLLER,
    summary="Gitea by Argo CD for each profile that opts in, with a Postgres database of its own",
    settings=GiteaSettings,
    facts=desired.Facts(credentials=desired.PLACEHOLDER_CREDENTIALS),
    observe=observe.observe,
    desired=desired.desired,
    owned=owned,
    watches=watches,
    external=ExternalFactory(connect=connect, collect_garbage=observe.collect_garbage),
    access=Access(namespaces=lambda settings: (settings.argocd_namespace,)),
    command=Command(standalone=True),
    variants=Variants(setting="classification", names=names.CLASSIFICATIONS),
)
