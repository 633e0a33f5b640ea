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
from controllers.runtime.commands.status_report import StatusRequest, component_names
from controllers.runtime.controller import AnyController, ConfiguredController
from controllers.runtime.options import Connection
from controllers.runtime.rbac import cluster_role, reader_role
from profiles_controller import DISTRIBUTION
from profiles_controller.config import yaml
from profiles_controller.config.errors import InvalidSettingsError, suggestion
from profiles_controller.config.load import ALL, LoadedConfig, Loader
from profiles_controller.config.settings import LaunchSettings
from profiles_controller.config.sources import Inputs
from profiles_controller.deps import CommandError, Dependencies
from profiles_controller.printers import documents
from profiles_controller.printers.printer import OutputFormat, print_document, watch_printer

OK = 0
FATAL = 1
CHANGES = 1
NOT_READY = 1
INVALID = 2
ERROR = 2
PROFILE_FAILED = 3
INTERRUPTED = 130  # 128 + SIGINT, as in shells
STATUS = "status"
"""The name of the command, which ``permissions`` accepts as well."""
_DIFF_LOG_LEVEL = "warning"
_STATUS_LOG_LEVEL = "error"

Flags = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusArguments:
    """The arguments of ``status`` that are not settings."""

    profiles: Sequence[str]
    only: Sequence[str]
    output: OutputFormat
    unready: bool
    watch: bool
    drift: bool


def run(
    dependencies: Dependencies, names: Sequence[str], flags: Flags, launch: type[LaunchSettings]
) -> int:
    """Runs controllers until a signal stops the process, or once with ``--once``."""
    config = _load(dependencies, names, flags, launch)
    arguments = (config.controllers, config.connection, config.options)
    if not config.common.once:
        return asyncio.run(dependencies.run(*arguments))
    summary = asyncio.run(dependencies.run_once(*arguments))
    output = OutputFormat(config.common.output)
    print_document(documents.summary_document(summary, output), output)
    return PROFILE_FAILED if summary.has_failures else OK


def serve(dependencies: Dependencies, name: str, flags: Flags) -> int:
    """Serves the webhook of a controller until a signal stops the process; needs no cluster."""
    config = _load(dependencies, [name], flags, LaunchSettings)
    ((controller, settings),) = config.controllers
    if controller.command.webhook is None:
        raise CommandError(f"controller {name} has no webhook")
    listen = config.common.listen if "listen" in config.common.model_fields_set else None
    try:
        return asyncio.run(controller.command.webhook(settings, listen))
    except OSError as error:
        reason = error.strerror or error
        message = f"cannot listen: {reason}; check whether another process uses the port"
        raise CommandError(message) from error


def diff(
    dependencies: Dependencies, names: Sequence[str], profiles: Sequence[str], flags: Flags
) -> int:
    """Prints what a reconcile would change now."""
    config = _load(dependencies, names, flags, LaunchSettings, log_level=_DIFF_LOG_LEVEL)
    summary = asyncio.run(
        dependencies.diff(config.controllers, config.connection, config.options, profiles)
    )
    print_document(documents.diff_document(summary), OutputFormat(config.common.output))
    if summary.has_errors:  # a refusal is intended behaviour, not an error
        return ERROR
    return CHANGES if summary.has_changes else OK


def render(dependencies: Dependencies, names: Sequence[str], file: Path, flags: Flags) -> int:
    """Prints the manifests of the Profiles in a file, without a cluster."""
    config = _load(dependencies, names, flags, LaunchSettings)
    bodies: list[Body] = []
    for profile in _read_profiles(file):
        for configured in config.controllers:
            bodies += dependencies.render(*configured, profile)
            _print_findings(configured, profile)
    typer.echo(yaml.dump(bodies), nl=False)
    return OK


def permissions(dependencies: Dependencies, name: str, flags: Flags) -> int:
    """Prints the ClusterRole that a controller, all controllers, or ``status`` needs."""
    if name == STATUS:
        role = reader_role(dependencies.registry, f"{DISTRIBUTION}-{STATUS}")
        typer.echo(yaml.dump([role]), nl=False)
        return OK
    config = _load(dependencies, [name], flags, LaunchSettings)
    controllers = [controller for controller, _ in config.controllers]
    settings = {controller.name: own for controller, own in config.controllers}
    role_name = f"{DISTRIBUTION}-{controllers[0].name}" if name != ALL else DISTRIBUTION
    typer.echo(yaml.dump([cluster_role(controllers, role_name, settings)]), nl=False)
    return OK


def status(dependencies: Dependencies, arguments: StatusArguments, flags: Flags) -> int:
    """Prints the status of each profile; the exit code states whether all are ready."""
    selected = _selected(dependencies.registry, arguments.only)
    with_drift = [
        one.name
        for one in selected
        if arguments.drift and not one.external and not one.command.standalone
    ]
    config = _load(dependencies, with_drift, flags, LaunchSettings, log_level=_STATUS_LOG_LEVEL)
    request = StatusRequest(
        registry=selected,
        configured=config.controllers,
        expected=frozenset(arguments.only),
        profiles=arguments.profiles,
    )
    connection = _with_default_kubeconfig(config.connection, dependencies.environment)
    generator = dependencies.status(request, connection, config.options)
    to_document = (
        documents.unready_status_document if arguments.unready else documents.status_document
    )

    async def print_reports() -> bool:
        ready = True
        async with contextlib.aclosing(generator) as reports:
            if not arguments.watch:
                report = await anext(reports)
                print_document(to_document(report, arguments.output), arguments.output)
                return report.ready
            with watch_printer(arguments.output) as print_changed:
                async for report in reports:
                    ready = report.ready
                    print_changed(to_document(report, arguments.output))
        return ready

    return OK if asyncio.run(print_reports()) else NOT_READY


def guarded(dependencies: Dependencies, body: Callable[[], int], *, fatal: int = FATAL) -> int:
    """Returns the exit code of a command; reports every error without a traceback."""
    try:
        return body()
    except InvalidSettingsError as error:
        count = len(error.errors)
        typer.echo(f"{count} invalid {'setting' if count == 1 else 'settings'}:", err=True)
        for each in error.errors:
            typer.echo(f"  {each}", err=True)
        return INVALID
    except CommandError as error:
        typer.echo(f"Error: {' '.join(str(error).split())}", err=True)
        return INVALID
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # `render | head`: typer ends the process without a message
        raise
    except Exception as error:  # noqa: BLE001 - the one boundary of the process
        _log_unexpected(dependencies, error)
        return fatal


def _selected(registry: Sequence[AnyController], only: Sequence[str]) -> list[AnyController]:
    """Returns the controllers with these names, or names of variants; all if there are none."""
    names = {name: one for one in registry for name in (one.name, *component_names(one))}
    for name in only:
        if name not in names:
            raise CommandError(f"--only {name}: unknown controller; {suggestion(name, names)}")
    selected = [names[name] for name in only]
    return [one for one in registry if one in selected or not only]


def _with_default_kubeconfig(connection: Connection, environment: Mapping[str, str]) -> Connection:
    """Returns a connection by kubectl's default kubeconfig if none is set outside a pod."""
    default = Path(environment.get("HOME", "")) / ".kube" / "config"
    is_set = connection.kubeconfig or connection.context
    if is_set or "KUBERNETES_SERVICE_HOST" in environment or not default.is_file():
        return connection
    return Connection(kubeconfig=default)


def _load(
    dependencies: Dependencies,
    names: Sequence[str],
    flags: Flags,
    launch: type[LaunchSettings],
    *,
    log_level: str | None = None,
) -> LoadedConfig:
    """Loads the settings and configures logs, at ``log_level`` unless a setting states a level."""
    # An empty flag is unset, like an empty variable: templates write both. An empty flag of a list
    # is set, because it means "none" whatever a file or a variable contains.
    lists = {
        flag for one in dependencies.registry if one.name in names for flag in one.command.flags
    }
    given = {
        name: value
        for name, value in flags.items()
        if value is not None and (value != "" or name in lists)
    }
    loader = Loader(registry=dependencies.registry, others=dependencies.others)
    inputs = Inputs(flags=given, environment=dependencies.environment)
    config = loader.load(names, inputs, launch)
    if log_level is None or "log_level" in config.common.model_fields_set:
        log_level = config.common.log_level
    dependencies.configure_logs(log_format=config.common.log_format, level=log_level)
    return config


def _read_profiles(file: Path) -> list[Profile]:
    """Returns the Profiles in a file, also those in Lists. Raises CommandError."""
    try:
        content = sys.stdin.buffer.read() if file == Path("-") else yaml.read(file)
        bodies = [body for document in yaml.parse(content) for body in _items(document)]
        return [parse_profile(body) for body in bodies]
    except yaml.DocumentError as error:
        raise CommandError(f"cannot read {file}: {error}") from error
    except ValueError as error:
        raise CommandError(f"{file} contains an object that is not a Profile: {error}") from error


def _items(document: Any) -> list[Any]:
    if not isinstance(document, Mapping):
        raise ValueError(f"expected a {KIND}, not {type(document).__name__}")  # noqa: TRY004 - an error of the file
    if not str(document.get("kind", "")).endswith("List"):
        return [document]
    items = document.get("items") or []
    if not isinstance(items, list):
        raise ValueError(f"expected a list in items, not {type(items).__name__}")  # noqa: TRY004 - as above
    return [body for item in items for body in _items(item)]


def _print_findings(configured: ConfiguredController, profile: Profile) -> None:
    controller, settings = configured
    for finding in controller.desired(profile, controller.facts, settings).findings:
        typer.echo(
            f"Warning: {profile.name}  {controller.name}  {finding.reason}: {finding.message}",
            err=True,
        )


def _log_unexpected(dependencies: Dependencies, error: Exception) -> None:
    if not structlog.is_configured():
        dependencies.configure_logs(log_format="json", level="info")
    logger = structlog.get_logger("profiles_controller")
    logger.critical(
        "command failed with an unexpected error",
        error=f"{type(error).__name__}: {error}",
        exc_info=error if logger.is_enabled_for(logging.DEBUG) else None,
    )
