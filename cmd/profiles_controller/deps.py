"""What the commands need of their surroundings, so that a test can hand in its own."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from controllers.manifests import Body
from controllers.profiles import Profile
from controllers.runtime import errors
from controllers.runtime.apply import render as apply_render
from controllers.runtime.apply.changeset import ChangeSet
from controllers.runtime.commands.statuses import Overview, Question
from controllers.runtime.controller import AnyController
from controllers.runtime.options import Connection, Options
from profiles_controller import logs
from profiles_controller.config.load import Assembly


class RefusedError(Exception):
    """The process cannot start as it was told to; the message says what would be right."""


class Row(Protocol):
    """What became of one profile with one controller."""

    @property
    def profile(self) -> str:
        """The profile's name."""

    @property
    def controller(self) -> str:
        """The controller's name."""

    @property
    def result(self) -> str:
        """One word."""

    @property
    def message(self) -> str:
        """What a person should know of it."""

    @property
    def changes(self) -> ChangeSet:
        """What was, or would be, done."""

    @property
    def seconds(self) -> float:
        """How long it took."""


class Summary(Protocol):
    """What became of all profiles."""

    @property
    def rows(self) -> Sequence[Row]:
        """One for each profile and controller."""

    @property
    def failed(self) -> bool:
        """Whether any profile failed."""

    @property
    def broken(self) -> bool:
        """Whether an error kept any profile from being looked at."""

    @property
    def changed(self) -> bool:
        """Whether anything was, or would be, written."""


Assemblies = Sequence[Assembly]
RIGHTS = "'profiles-controller permissions status' prints the rights that a status needs"


async def _run(assemblies: Assemblies, connection: Connection, options: Options) -> int:
    from controllers.runtime.manager import process  # noqa: PLC0415 - loads the API client

    with _configuration_errors():
        return await process.run(assemblies, connection, options)


async def _run_once(assemblies: Assemblies, connection: Connection, options: Options) -> Summary:
    from controllers.runtime.commands import oneshot  # noqa: PLC0415 - loads the API client

    with _configuration_errors():
        return await oneshot.run_once(assemblies, connection, options)


async def _diff(
    assemblies: Assemblies, connection: Connection, options: Options, profiles: Sequence[str]
) -> Summary:
    from controllers.runtime.commands import oneshot  # noqa: PLC0415 - loads the API client

    with _configuration_errors():
        try:
            return await oneshot.diff(assemblies, connection, options, profiles)
        except KeyError as error:
            if error.args and error.args[0] in profiles:
                raise RefusedError(f"there is no Profile {error.args[0]!r}") from error
            raise


async def _status(
    question: Question, connection: Connection, options: Options
) -> AsyncGenerator[Overview]:
    from controllers.runtime.commands import status  # noqa: PLC0415 - loads the API client

    with _configuration_errors():
        try:
            async with contextlib.aclosing(status.inspect(question, connection, options)) as found:
                async for overview in found:
                    yield overview
        except KeyError as error:
            if error.args and error.args[0] in question.profiles:
                raise RefusedError(f"there is no Profile {error.args[0]!r}") from error
            raise
        except errors.ApiError as error:
            message = f"Profiles cannot be listed: {error}; {RIGHTS}"
            raise RefusedError(message) from error
        except errors.UnreachableError as error:
            raise RefusedError(f"API server unreachable: {error}") from error


@contextlib.contextmanager
def _configuration_errors() -> Iterator[None]:
    """Maps a ConfigurationError of the runtime to a RefusedError."""
    from controllers.runtime.client.config import ConfigurationError  # noqa: PLC0415

    try:
        yield
    except ConfigurationError as error:
        raise RefusedError(str(error)) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The registry, the environment, and the entry points of the runtime."""

    registry: Sequence[AnyController]
    environment: Mapping[str, str]
    others: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Controllers beside the registry's that are known by name only, with their variants."""
    run: Callable[[Assemblies, Connection, Options], Coroutine[Any, Any, int]] = _run
    run_once: Callable[[Assemblies, Connection, Options], Coroutine[Any, Any, Summary]] = _run_once
    diff: Callable[
        [Assemblies, Connection, Options, Sequence[str]], Coroutine[Any, Any, Summary]
    ] = _diff
    status: Callable[[Question, Connection, Options], AsyncGenerator[Overview]] = _status
    render: Callable[[AnyController, Any, Profile], Sequence[Body]] = apply_render.render
    configure_logs: Callable[..., None] = logs.configure
