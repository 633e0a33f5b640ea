"""What the pull-secrets controller owns, watches and shares."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from controllers.runtime import (
    ALL_PROFILES,
    Body,
    CacheReader,
    Controller,
    ObjectsFromSetting,
    Owned,
    Profile,
    Shared,
    Watch,
    always,
)
from tests.support.example.pull_secrets import desired, names
from tests.support.example.pull_secrets.config import PullSecretsSettings


def transform(body: Body) -> Mapping[str, str]:
    """Return what the cache stores of the source Secret: its data."""
    return dict(body.get("data") or {})


def map_to_all(_body: Body) -> Collection[str]:
    """Map the source Secret to all profiles: each has a copy."""
    return ALL_PROFILES


async def observe(
    _profile: Profile, cache: CacheReader, settings: PullSecretsSettings, _external: None
) -> desired.Facts:
    """Read the credentials from the cache."""
    source = cache.get("Secret", settings.source_namespace, settings.source_name) or {}
    return desired.Facts(credentials=source.get(settings.source_key))


CONTROLLER: Controller[PullSecretsSettings, desired.Facts, Any] = Controller(
    name="pull-secrets",
    summary="A pull secret for each profile, which the ServiceAccount default-editor uses",
    settings=PullSecretsSettings,
    facts=desired.Facts(credentials="e30="),
    observe=observe,
    desired=desired.desired,
    owned=always(Owned(kind="Secret", names=(names.SECRET,))),
    watches=always(
        Watch(
            kind="Secret",
            object=ObjectsFromSetting(setting="source_name", namespace="source_namespace"),
            transform=transform,
            map=map_to_all,
        )
    ),
    shared=always(
        Shared(
            kind="ServiceAccount",
            names=(names.SERVICE_ACCOUNT,),
            paths=("imagePullSecrets",),
            owner="Kubeflow",
        )
    ),
)
