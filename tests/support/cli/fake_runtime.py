"""A runtime for the command line that returns prepared results and records its arguments."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from controllers.manifests import Body, Key, to_body
from controllers.profiles import Profile
from controllers.runtime.apply.changeset import NO_CHANGES, Action, Change, ChangeSet
from controllers.runtime.commands.oneshot_summary import OneshotSummary, ProfileResult, ResultKind
from controllers.runtime.commands.status_report import StatusReport, StatusRequest
from controllers.runtime.controller import AnyController, ConfiguredController
from controllers.runtime.objects.kinds import KINDS
from controllers.runtime.options import Connection, Options
from profiles_controller.deps import Dependencies
from tests.support.cli.sample_controllers import REGISTRY

Controllers = Sequence[ConfiguredController]


def result(
    profile: str = "alice",
    kind: ResultKind = ResultKind.UNCHANGED,
    message: str = "",
    changes: ChangeSet = NO_CHANGES,
) -> ProfileResult:
    return ProfileResult(
        profile=profile,
        controller="quotas",
        result=kind,
        message=message,
        changes=changes,
        seconds=0.25,
    )


def change(action: Action = Action.CREATE, detail: str = "") -> Change:
    return Change(action, Key("ResourceQuota", "alice", "quotas"), detail)


@dataclass(kw_only=True)
class FakeRuntime:
    """Returns ``code``, ``results`` or ``reports``, or raises ``error``."""

    code: int = 0
    results: Sequence[ProfileResult] = ()
    reports: Sequence[StatusReport] = ()
    error: BaseException | None = None
    controllers: Controllers = ()
    connection: Connection | None = None
    options: Options | None = None
    profiles: Sequence[str] | None = None
    request: StatusRequest | None = None
    logs: Mapping[str, object] = field(default_factory=dict)

    async def run(self, controllers: Controllers, connection: Connection, options: Options) -> int:
        self._record(controllers, connection, options)
        return self.code

    async def run_once(
        self, controllers: Controllers, connection: Connection, options: Options
    ) -> OneshotSummary:
        self._record(controllers, connection, options)
        return OneshotSummary(results=tuple(self.results))

    async def diff(
        self,
        controllers: Controllers,
        connection: Connection,
        options: Options,
        profiles: Sequence[str],
    ) -> OneshotSummary:
        self._record(controllers, connection, options)
        self.profiles = profiles
        return OneshotSummary(results=tuple(self.results))

    async def status(
        self, request: StatusRequest, connection: Connection, options: Options
    ) -> AsyncGenerator[StatusReport]:
        self._record(request.configured, connection, options)
        self.request = request
        for report in self.reports:
            yield report

    def configure_logs(self, **arguments: object) -> None:
        self.logs = arguments

    def _record(self, controllers: Controllers, connection: Connection, options: Options) -> None:
        self.controllers, self.connection, self.options = controllers, connection, options
        if self.error is not None:
            raise self.error


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


def dependencies(
    runtime: FakeRuntime | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    registry: Sequence[AnyController] = REGISTRY,
) -> Dependencies:
    """Returns the dependencies of the commands with a fake runtime."""
    runtime = runtime or FakeRuntime()
    return Dependencies(
        registry=registry,
        environment=environment or {},
        run=runtime.run,
        run_once=runtime.run_once,
        diff=runtime.diff,
        status=runtime.status,
        render=render,
        configure_logs=runtime.configure_logs,
    )
