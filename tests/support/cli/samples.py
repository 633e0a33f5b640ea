"""A small world for the command line: three controllers, and a runtime that only takes notes."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, SecretStr

from controllers.desired import Desired
from controllers.findings import Finding
from controllers.manifests import Body, Key, Manifest, to_body
from controllers.profiles import Profile
from controllers.runtime.apply.changeset import NOTHING, Action, Change, ChangeSet
from controllers.runtime.commands.statuses import Overview, Question
from controllers.runtime.controller import AnyController, Command, Controller, always, no_facts
from controllers.runtime.objects.kinds import KINDS
from controllers.runtime.options import Connection, Options
from profiles_controller.config.load import Assembly
from profiles_controller.deps import World


class Quotas(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    hard: dict[str, str] = Field(default_factory=lambda: {"pods": "100"})
    names: tuple[str, ...] = ()


class Limits(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    cpu: str = "250m"


class Authentication(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    user: str = "admin"
    password: SecretStr = SecretStr("")


class Forge(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = Field(validation_alias=AliasChoices("FORGE_ROOT_URL"))
    port: int = Field(default=80, gt=0)
    token: SecretStr = SecretStr("")
    login: Authentication = Authentication()


def desired(profile: Profile, _facts: None, settings: Any) -> Desired:
    hard = getattr(settings, "hard", {})
    bad = profile.labels.get("bad")
    findings = [Finding(reason="BadLabel", message=f"label bad is {bad}")] if bad else []
    return Desired(
        objects=[
            Manifest(
                kind="ResourceQuota",
                name="quotas",
                namespace=profile.namespace,
                content={"spec": {"hard": dict(hard)}},
            )
        ],
        findings=findings,
    )


def controller(
    name: str, settings: type[BaseModel], *, aliases: tuple[str, ...] = ()
) -> AnyController:
    return Controller(
        name=name,
        summary=f"Keeps {name} in shape.",
        settings=settings,
        facts=None,
        owned=always(),
        desired=desired,
        observe=no_facts,
        command=Command(aliases=aliases),
    )


REGISTRY = (
    controller("quotas", Quotas),
    controller("limit-ranges", Limits, aliases=("limits",)),
)
FORGE = controller("forge", Forge)


@dataclass(frozen=True, kw_only=True)
class Row:
    profile: str = "alice"
    controller: str = "quotas"
    result: str = "ready"
    message: str = ""
    changes: ChangeSet = NOTHING
    seconds: float = 0.25


@dataclass(frozen=True, kw_only=True)
class Summary:
    rows: tuple[Row, ...] = ()

    @property
    def failed(self) -> bool:
        return any(row.result == "failed" for row in self.rows)

    @property
    def broken(self) -> bool:
        return self.failed

    @property
    def changed(self) -> bool:
        return any(row.changes.changed for row in self.rows)


def change(action: Action = Action.CREATE, detail: str = "") -> Change:
    return Change(action, Key("ResourceQuota", "alice", "quotas"), detail)


@dataclass(kw_only=True)
class Runtime:
    """Answers what it is told to, and remembers how it was called."""

    code: int = 0
    summary: Summary = field(default_factory=Summary)
    error: BaseException | None = None
    assemblies: Sequence[Assembly] = ()
    connection: Connection | None = None
    options: Options | None = None
    profiles: Sequence[str] | None = None
    logs: Mapping[str, object] = field(default_factory=dict)
    overviews: Sequence[Overview] = ()
    question: Question | None = None

    async def run(
        self, assemblies: Sequence[Assembly], connection: Connection, options: Options
    ) -> int:
        self._take(assemblies, connection, options)
        return self.code

    async def run_once(
        self, assemblies: Sequence[Assembly], connection: Connection, options: Options
    ) -> Summary:
        self._take(assemblies, connection, options)
        return self.summary

    async def diff(
        self,
        assemblies: Sequence[Assembly],
        connection: Connection,
        options: Options,
        profiles: Sequence[str],
    ) -> Summary:
        self._take(assemblies, connection, options)
        self.profiles = profiles
        return self.summary

    async def status(
        self, question: Question, connection: Connection, options: Options
    ) -> AsyncGenerator[Overview]:
        self._take(question.judged, connection, options)
        self.question = question
        for overview in self.overviews:
            yield overview

    def _take(
        self, assemblies: Sequence[Assembly], connection: Connection, options: Options
    ) -> None:
        self.assemblies, self.connection, self.options = assemblies, connection, options
        if self.error is not None:
            raise self.error

    def configure_logs(self, **how: object) -> None:
        self.logs = how


def render(one: AnyController, settings: Any, profile: Profile) -> list[Body]:
    return [
        to_body(
            manifest,
            api_version=KINDS[manifest.kind].api_version,
            profile=profile,
            component=one.name,
        )
        for manifest in one.desired(profile, one.facts, settings).objects
    ]


def world(
    runtime: Runtime | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    registry: Sequence[AnyController] = REGISTRY,
) -> World:
    """The command line's world around a runtime."""
    runtime = runtime or Runtime()
    return World(
        registry=registry,
        environment=environment or {},
        run=runtime.run,
        run_once=runtime.run_once,
        diff=runtime.diff,
        status=runtime.status,
        render=render,
        configure_logs=runtime.configure_logs,
    )
