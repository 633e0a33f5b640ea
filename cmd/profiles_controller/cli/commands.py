"""The bodies of the commands. Each returns the exit code of the process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
import typer

from controllers.manifests import Body
from controllers.profiles import KIND, Profile, parse_profile
from controllers.runtime.commands.statuses import Question, names_of
from controllers.runtime.controller import AnyController
from controllers.runtime.options import Connection
from controllers.runtime.rbac import cluster_role, reader_role
from profiles_controller import DISTRIBUTION
from profiles_controller.config import yaml
from profiles_controller.config.errors import WrongSettingsError, suggestion
from profiles_controller.config.load import ALL, Assembly, Loaded, Loader
from profiles_controller.config.selections import Location
from profiles_controller.config.sources import Inputs
from profiles_controller.deps import RefusedError, World
from profiles_controller.printers import outputs
from profiles_controller.printers import status as printers_status
from profiles_controller.printers.status import Form

OK = 0
FATAL = 1
CHANGES = 1
NOT_READY = 1
WRONG = 2
PROFILE_FAILED = 3
_TERSE = "warning"
"""The level of logs beside a command's own output."""
INTERRUPTED = 130  # 128 + SIGINT, as shells have it
STATUS = "status"
"""The command; ``permissions`` knows the word, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What was asked of ``status``."""

    profiles: Sequence[str]
    only: Sequence[str]
    form: Form
    unready: bool
    watch: bool
    drift: bool


def run(
    world: World, names: Sequence[str], flags: Mapping[str, object], location: type[Location]
) -> int:
    """Runs controllers until the process is told to stop, or once."""
    loaded = _load(world, names, flags, location)
    what = (loaded.assemblies, loaded.connection, loaded.options)
    if not loaded.common.once:
        return asyncio.run(world.run(*what))
    summary = asyncio.run(world.run_once(*what))
    outputs.print_summary(summary, loaded.common.output)
    return PROFILE_FAILED if summary.failed else OK


def serve(world: World, name: str, flags: Mapping[str, object]) -> int:
    """Serves a controller's webhook until the process is told to stop; connects to no cluster."""
    loaded = _load(world, [name], flags, Location)
    ((controller, settings),) = loaded.assemblies
    if controller.command.webhook is None:
        raise RefusedError(f"controller {name} has no webhook")
    given = "listen" in loaded.common.model_fields_set
    try:
        return asyncio.run(
            controller.command.webhook(settings, loaded.common.listen if given else None)
        )
    except OSError as error:
        message = f"cannot listen: {error.strerror or error}; another program may have the port"
        raise RefusedError(message) from error


def diff(
    world: World, names: Sequence[str], profiles: Sequence[str], flags: Mapping[str, object]
) -> int:
    """Prints what a reconcile would change now."""
    loaded = _load(world, names, flags, Location, level=_TERSE)
    summary = asyncio.run(
        world.diff(loaded.assemblies, loaded.connection, loaded.options, profiles)
    )
    outputs.print_difference(summary, loaded.common.output)
    if summary.broken:  # a profile that is refused by design is no error
        return WRONG
    return CHANGES if summary.changed else OK


def render(world: World, names: Sequence[str], file: Path, flags: Mapping[str, object]) -> int:
    """Prints the manifests of the profiles in a file, without a cluster."""
    loaded = _load(world, names, flags, Location)
    bodies: list[Body] = []
    for profile in _profiles(file):
        for assembly in loaded.assemblies:
            bodies += world.render(*assembly, profile)
            _remark(assembly, profile)
    typer.echo(yaml.dump(bodies), nl=False)
    return OK


def permissions(world: World, name: str, flags: Mapping[str, object]) -> int:
    """Prints the ClusterRole of a process that runs the controller, or all, as they are set."""
    if name == STATUS:
        role = reader_role(world.registry, f"{DISTRIBUTION}-{STATUS}")
        typer.echo(yaml.dump([role]), nl=False)
        return OK
    loaded = _load(world, [name], flags, Location)
    controllers = [controller for controller, _ in loaded.assemblies]
    settings = {controller.name: own for controller, own in loaded.assemblies}
    title = f"{DISTRIBUTION}-{controllers[0].name}" if name != ALL else DISTRIBUTION
    typer.echo(yaml.dump([cluster_role(controllers, title, settings)]), nl=False)
    return OK


def status(world: World, asked: Asked, flags: Mapping[str, object]) -> int:
    """Prints how every profile fares with every controller; the code says whether all are well."""
    chosen = _chosen(world.registry, asked.only)
    judged = [
        one.name for one in chosen if asked.drift and not (one.external or one.command.standalone)
    ]
    loaded = _load(world, judged, flags, Location, level="error")
    question = Question(
        registry=chosen,
        judged=loaded.assemblies,
        expected=frozenset(asked.only),
        profiles=asked.profiles,
    )
    connection = _plain(loaded.connection, world.environment)

    async def show() -> int:
        found = world.status(question, connection, loaded.options)
        async with contextlib.aclosing(found) as overviews:
            return await printers_status.show(
                overviews, asked.form, unready=asked.unready, watch=asked.watch
            )

    return OK if asyncio.run(show()) else NOT_READY


def _chosen(registry: Sequence[AnyController], only: Sequence[str]) -> list[AnyController]:
    """Those that are named, by their own names or a variant's; all where none is."""
    names = {name: one for one in registry for name in (one.name, *names_of(one))}
    for name in only:
        if name not in names:
            raise RefusedError(f"--only {name}: unknown controller; {suggestion(name, names)}")
    chosen = [names[name] for name in only]
    return [one for one in registry if one in chosen or not only]


def _plain(connection: Connection, environment: Mapping[str, str]) -> Connection:
    """Where nothing is said, kubectl's own kubeconfig, unless this is a pod."""
    default = Path(environment.get("HOME", "")) / ".kube" / "config"
    said = connection.kubeconfig or connection.context
    if said or "KUBERNETES_SERVICE_HOST" in environment or not default.is_file():
        return connection
    return Connection(kubeconfig=default)


def guarded(world: World, body: Callable[[], int], *, fatal: int = FATAL) -> int:
    """The exit code of a command's body, whatever happens in it; nothing passes as a traceback."""
    try:
        return body()
    except WrongSettingsError as error:
        count = len(error.faults)
        typer.echo(f"{count} wrong {'setting' if count == 1 else 'settings'}:", err=True)
        for fault in error.faults:
            typer.echo(f"  {fault}", err=True)
        return WRONG
    except RefusedError as error:
        typer.echo(f"Error: {' '.join(str(error).split())}", err=True)
        return WRONG
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # `render | head`: typer knows how to end quietly
        raise
    except Exception as error:  # noqa: BLE001 - the one boundary of the process
        _report(world, error)
        return fatal


def _load(
    world: World,
    names: Sequence[str],
    flags: Mapping[str, object],
    location: type[Location],
    *,
    level: str | None = None,
) -> Loaded:
    """Everything that is set; logs are at ``level`` unless a level is set somewhere."""
    # A flag without text is like a variable without: templates write both for "not set". That of a
    # list is given once it is there: an empty one means none, whatever a file or a variable lists.
    lists = {flag for one in world.registry if one.name in names for flag in one.command.flags}
    given = {
        name: value
        for name, value in flags.items()
        if value is not None and (value != "" or name in lists)
    }
    inputs = Inputs(flags=given, environment=world.environment)
    loaded = Loader(registry=world.registry, others=world.others).load(names, inputs, location)
    if level is None or "log_level" in loaded.common.model_fields_set:
        level = loaded.common.log_level
    world.configure_logs(form=loaded.common.log_format, level=level)
    return loaded


def _profiles(file: Path) -> list[Profile]:
    """The Profiles of the file's documents, those in Lists included. Raises RefusedError."""
    try:
        content = sys.stdin.buffer.read() if file == Path("-") else yaml.read(file)
        bodies = [body for document in yaml.parse(content) for body in _items(document)]
        return [parse_profile(body) for body in bodies]
    except yaml.DocumentError as error:
        raise RefusedError(f"{file} cannot be read: {error}") from error
    except ValueError as error:
        raise RefusedError(f"{file} holds something that is no Profile: {error}") from error


def _items(document: Any) -> list[Any]:
    if not isinstance(document, Mapping):
        raise ValueError(f"a document is {type(document).__name__}, expected a {KIND}")  # noqa: TRY004 - the file's fault
    if not str(document.get("kind", "")).endswith("List"):
        return [document]
    items = document.get("items") or []
    if not isinstance(items, list):
        raise ValueError(f"items is {type(items).__name__}, expected a list")  # noqa: TRY004 - as above
    return [body for item in items for body in _items(item)]


def _remark(assembly: Assembly, profile: Profile) -> None:
    controller, settings = assembly
    for finding in controller.desired(profile, controller.facts, settings).findings:
        typer.echo(
            f"{profile.name}  {controller.name}  {finding.reason}: {finding.message}", err=True
        )


def _report(world: World, error: Exception) -> None:
    if not structlog.is_configured():
        world.configure_logs(form="json", level="info")
    logger = structlog.get_logger("profiles_controller")
    logger.critical(
        "stopped by an unexpected error",
        error=f"{type(error).__name__}: {error}",
        exc_info=error if logger.is_enabled_for(logging.DEBUG) else None,
    )
