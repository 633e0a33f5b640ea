"""Sample controllers."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from controllers.desired import Desired
from controllers.findings import Finding
from controllers.manifests import Key, Manifest
from controllers.profiles import Profile
from controllers.runtime.controller import (
    AnyController,
    CacheReader,
    Controller,
    External,
    ExternalFactory,
    Owned,
    ProfileGone,
    Watch,
    always,
    no_facts,
)
from tests.support.builders.objects import manifest


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a sample controller wants: `manifests` of every profile."""

    manifests: Callable[[Profile], Sequence[Manifest]] = lambda profile: [
        manifest(namespace=profile.namespace)
    ]


def nothing(_profile: Profile, _facts: Any, _settings: Any) -> Any:
    return ()


def no_error(_profile: Profile, _facts: Any, _settings: Any) -> Exception | None:
    return None


def controller(
    name: str = "samples",
    *,
    owned: Sequence[Owned] = (Owned(kind="ConfigMap"),),
    watches: Sequence[Watch] = (),
    findings: Callable[[Profile, Any, Any], Sequence[Finding]] = nothing,
    retain: Callable[[Profile, Any, Any], Collection[Key]] = nothing,
    delete: Callable[[Profile, Any, Any], Collection[Key]] = nothing,
    error: Callable[[Profile, Any, Any], Exception | None] = no_error,
    observe: Callable[[Profile, CacheReader, Any, Any], Awaitable[Any]] = no_facts,
    desired: Callable[[Profile, Any, Any], Desired] | None = None,
    settings: type[Any] = Settings,
    **fields: Any,
) -> AnyController:
    """A controller of one ConfigMap, unless its settings list other manifests.

    Each function returns one field of `Desired`; `desired` replaces all of them.
    """

    def by_parts(profile: Profile, facts: Any, given: Settings) -> Desired:
        return Desired(
            objects=given.manifests(profile),
            findings=findings(profile, facts, given),
            retain=frozenset(retain(profile, facts, given)),
            delete=tuple(delete(profile, facts, given)),
            error=error(profile, facts, given),
        )

    return Controller(
        name=name,
        summary="A sample.",
        settings=settings,
        facts=None,
        observe=observe,
        desired=desired or by_parts,
        owned=always(*owned),
        watches=always(*watches),
        **fields,
    )


def external(
    system: External, collect_garbage: Callable[[Any, ProfileGone], Awaitable[None]] | None = None
) -> ExternalFactory[Any, Any]:
    """What connects to this system, whatever the settings."""

    def connect(_settings: object, *, dry_run: bool) -> External:
        assert dry_run in (True, False)
        return system

    return ExternalFactory(connect=connect, collect_garbage=collect_garbage)
