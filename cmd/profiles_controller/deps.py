"""Dependencies of the commands, so that tests can pass their own."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from controllers.manifests import Body
from controllers.profiles import Profile
from controllers.runtime import errors
from controllers.runtime.apply import render as apply_render
from controllers.runtime.commands.oneshot_summary import OneshotSummary
from controllers.runtime.commands.status_report import StatusReport, StatusRequest
from controllers.runtime.controller import AnyController, ConfiguredController
from controllers.runtime.options import Connection, Options
from profiles_controller import logs

Controllers = Sequence[ConfiguredController]


class CommandError(Exception):
    """A command cannot run as requested; the message states what to change."""


async def _run(controllers: Controllers, connection: Connection, options: Options) -> int:
    from controllers.runtime.manager import process  # noqa: PLC0415 - imports the API client

    with _command_errors():
        return await process.run(controllers, connection, options)


async def _run_once(
    controllers: Controllers, connection: Connection, options: Options
) -> OneshotSummary:
    from controllers.runtime.commands import oneshot  # noqa: PLC0415 - imports the API client

    with _command_errors():
        return await oneshot.run_once(controllers, connection, options)


async def _diff(
    controllers: Controllers, connection: Connection, options: Options, profiles: Sequence[str]
) -> OneshotSummary:
    from controllers.runtime.commands import oneshot  # noqa: PLC0415 - imports the API client

    with _command_errors(), _missing_profiles(profiles):
        return await oneshot.diff(controllers, connection, options, profiles)


async def _status(
    request: StatusRequest, connection: Connection, options: Options
) -> AsyncGenerator[StatusReport]:
    from controllers.runtime.commands import status  # noqa: PLC0415 - imports the API client

    with _command_errors(), _missing_profiles(request.profiles):
        try:
            async with contextlib.aclosing(status.reports(request, connection, options)) as reports:
                async for report in reports:
                    yield report
        except errors.ApiError as error:
            message = (
                f"cannot list Profiles: {error}; run 'profiles-controller permissions status' to "
                "print the ClusterRole of this command"
            )
            raise CommandError(message) from error
        except errors.UnreachableError as error:
            raise CommandError(f"API server unreachable: {error}") from error


@contextlib.contextmanager
def _command_errors() -> Iterator[None]:
    """Maps a ConfigurationError to a CommandError."""
    from controllers.runtime.client.config import (  # noqa: PLC0415 - imports the API client
        ConfigurationError,
    )

    try:
        yield
    except ConfigurationError as error:
        raise CommandError(str(error)) from error


@contextlib.contextmanager
def _missing_profiles(names: Sequence[str]) -> Iterator[None]:
    """Maps a KeyError for one of these names to a CommandError."""
    try:
        yield
    except KeyError as error:
        if error.args and error.args[0] in names:
            message = f"Profile {error.args[0]!r} not found; 'kubectl get profiles' lists the names"
            raise CommandError(message) from error
        raise


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependencies:
    """The registry, the environment, and the functions of the runtime that commands call."""

    registry: Sequence[AnyController]
    environment: Mapping[str, str]
    others: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Names and variants of controllers that exist but are not in the registry."""
    run: Callable[[Controllers, Connection, Options], Coroutine[Any, Any, int]] = _run
    run_once: Callable[[Controllers, Connection, Options], Coroutine[Any, Any, OneshotSummary]] = (
        _run_once
    )
    diff: Callable[
        [Controllers, Connection, Options, Sequence[str]], Coroutine[Any, Any, OneshotSummary]
    ] = _diff
    status: Callable[[StatusRequest, Connection, Options], AsyncGenerator[StatusReport]] = _status
    render: Callable[[AnyController, Any, Profile], Sequence[Body]] = apply_render.render
    configure_logs: Callable[..., None] = logs.configure
