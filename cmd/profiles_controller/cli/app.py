"""The command line: one command for each controller, and the commands about controllers."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from controllers.runtime.controller import AnyController
from profiles_controller import DISTRIBUTION, version
from profiles_controller.cli import commands
from profiles_controller.cli.options import with_list_flags, with_setting_flags, with_switch
from profiles_controller.config import types
from profiles_controller.config.load import ALL, env_prefix
from profiles_controller.config.settings import (
    PREFIX,
    CommonSettings,
    LaunchAllSettings,
    LaunchSettings,
)
from profiles_controller.deps import Dependencies
from profiles_controller.printers import documents
from profiles_controller.printers.printer import OutputFormat, print_document

WEBHOOK = "webhook"
_LOG_SETTINGS = ("log_format", "log_level")
_RUN_SETTINGS = tuple(CommonSettings.model_fields)
_STATUS_SETTINGS = ("kubeconfig", "context", *_LOG_SETTINGS, "allow_adopted_namespaces")
_DIFF_SETTINGS = ("kubeconfig", "context", *_LOG_SETTINGS, "output", "allow_adopted_namespaces")

_PRECEDENCE = (
    "Precedence: flag, environment variable, --config file, default. An empty environment variable "
    "counts as unset."
)
_EXIT_CODES = (
    "Exit codes: 0 success; 1 fatal error; 2 invalid usage or settings. The --help of each command "
    "lists its own."
)
_RUN_EXIT_CODES = (
    "Exit codes: 0 stopped by a signal, or --once without a failure; 1 leadership lost or a fatal "
    "error; 2 invalid usage or settings; 3 a profile failed or was refused with --once."
)
_DIFF_EXIT_CODES = "Exit codes: 0 no changes; 1 changes; 2 an error."
_RENDER_EXIT_CODES = "Exit codes: 0 success; 1 fatal error; 2 invalid usage, settings or Profile."
_STATUS_EXIT_CODES = (
    "Exit codes: 0 all profiles are Ready, Paused or Terminating; 1 a profile is NotReady or "
    "Unknown; 2 an error."
)
_STATUS_PERMISSIONS = (
    "This command is read-only. It needs permission to list Profiles. To report objects and drift "
    "it also lists and watches the kinds that the controllers own. 'profiles-controller "
    "permissions status' prints the ClusterRole."
)

Name = Annotated[str, typer.Argument(help="Name of a controller, or all.", show_default=False)]
Profiles = Annotated[
    list[str] | None,
    typer.Argument(metavar="PROFILE", help="Names of Profiles.", show_default="all Profiles"),
]
Output = Annotated[OutputFormat, typer.Option("--output", "-o", help="Output format.")]


def main() -> None:
    """Runs the program ``profiles-controller``."""
    from controllers import registry  # noqa: PLC0415 - importing this module reads nothing

    # A process that runs one controller imports no other; it knows the others by name only.
    selected = [name for name in sys.argv[1:2] if name in registry.NAMES]
    others = {name: variants for name, variants in registry.NAMES.items() if name not in selected}
    dependencies = Dependencies(
        registry=[registry.load(name) for name in selected or registry.NAMES],
        environment=os.environ,
        others=others if selected else {},
    )
    build(dependencies)()


def build(dependencies: Dependencies) -> typer.Typer:
    """Returns the command line for these dependencies."""
    app = typer.Typer(
        name=DISTRIBUTION,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )
    app.callback(help="Kubernetes controllers for Kubeflow Profiles.", epilog=_EXIT_CODES)(_root)
    for controller in dependencies.registry:
        _add_controller(app, dependencies, controller)
    _add_all(app, dependencies)
    _add_list(app, dependencies)
    _add_render(app, dependencies)
    _add_diff(app, dependencies)
    _add_status(app, dependencies)
    _add_permissions(app, dependencies)
    return app


def _print_version(requested: bool) -> None:  # noqa: FBT001 - typer's callback
    if requested:
        typer.echo(f"{DISTRIBUTION} {version()}")
        raise typer.Exit


def _root(
    *,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_print_version, help="Print the version."
        ),
    ] = False,
) -> None:
    """Does nothing: each command has its own function."""


def _add_controller(
    app: typer.Typer, dependencies: Dependencies, controller: AnyController
) -> None:
    name, summary = controller.name, controller.summary

    def command(**flags: Any) -> None:
        if flags.pop("webhook", None):
            _exit(dependencies, lambda: commands.serve(dependencies, name, flags))
        _exit(dependencies, lambda: commands.run(dependencies, [name], flags, LaunchSettings))

    list_settings = {
        setting: controller.settings.model_fields[setting] for setting in controller.command.flags
    }
    with_flags = _with_flags(command, LaunchSettings, _RUN_SETTINGS)
    if list_settings:
        with_flags = with_list_flags(with_flags, list_settings, prefix=env_prefix(name))
    if controller.command.webhook is not None:
        help_text = "Serve the webhook for Metacontroller instead of reconciling."
        with_flags = with_switch(with_flags, WEBHOOK, help_text)
    for label in (name, *controller.command.aliases):
        app.command(
            label,
            help=f"{summary}\n\n{_PRECEDENCE}",
            short_help=summary,
            epilog=_RUN_EXIT_CODES,
            hidden=label != name,
        )(with_flags)


def _add_all(app: typer.Typer, dependencies: Dependencies) -> None:
    summary = "Run all controllers in one process."

    def command(**flags: Any) -> None:
        _exit(dependencies, lambda: commands.run(dependencies, [ALL], flags, LaunchAllSettings))

    app.command(
        ALL, help=f"{summary}\n\n{_PRECEDENCE}", short_help=summary, epilog=_RUN_EXIT_CODES
    )(_with_flags(command, LaunchAllSettings, _RUN_SETTINGS))  # fmt: skip


def _add_list(app: typer.Typer, dependencies: Dependencies) -> None:
    @app.command("list", help="List the controllers.")
    def command(output: Output = OutputFormat.TABLE) -> None:
        print_document(documents.controllers_document(dependencies.registry), output)


def _add_render(app: typer.Typer, dependencies: Dependencies) -> None:
    summary = "Print the manifests of Profiles as YAML, without a cluster."

    def command(
        name: Name,
        file: Annotated[
            Path,
            typer.Option(
                "--filename", "-f", metavar="FILE", show_default=False,
                help="YAML file of Profiles; - reads standard input.",
            ),
        ],
        **flags: Any,
    ) -> None:  # fmt: skip
        _exit(dependencies, lambda: commands.render(dependencies, [name], file, flags))

    app.command(
        "render", help=f"{summary}\n\n{_PRECEDENCE}", short_help=summary, epilog=_RENDER_EXIT_CODES
    )(_with_flags(command, LaunchSettings, _LOG_SETTINGS))  # fmt: skip


def _add_diff(app: typer.Typer, dependencies: Dependencies) -> None:
    summary = "Print what a reconcile would change now, without writing."

    def command(
        name: Name,
        profiles: Profiles = None,
        **flags: Any,
    ) -> None:
        body = lambda: commands.diff(dependencies, [name], profiles or [], flags)  # noqa: E731
        _exit(dependencies, body, fatal=commands.ERROR)

    app.command(
        "diff", help=f"{summary}\n\n{_PRECEDENCE}", short_help=summary, epilog=_DIFF_EXIT_CODES
    )(_with_flags(command, LaunchSettings, _DIFF_SETTINGS))  # fmt: skip


def _add_status(app: typer.Typer, dependencies: Dependencies) -> None:
    summary = "Show the status of each profile for each installed controller."

    def command(
        profiles: Profiles = None,
        only: Annotated[
            str | None,
            typer.Option(
                "--only", metavar="NAME[,NAME...]", show_default="installed controllers",
                help="Show these controllers, also for Profiles without their condition.",
            ),
        ] = None,
        output: Output = OutputFormat.TABLE,
        *,
        unready: Annotated[
            bool, typer.Option("--unready", help="Show only NotReady and Unknown.")
        ] = False,
        watch: Annotated[
            bool, typer.Option("--watch", "-w", help="Keep running and show every change.")
        ] = False,
        drift: Annotated[
            bool, typer.Option(help="Compare objects with the settings of this command, as diff.")
        ] = True,
        **flags: Any,
    ) -> None:  # fmt: skip
        arguments = commands.StatusArguments(
            profiles=tuple(profiles or ()),
            only=types.split_names(only or ""),
            output=output,
            unready=unready,
            watch=watch,
            drift=drift,
        )
        body = lambda: commands.status(dependencies, arguments, flags)  # noqa: E731
        _exit(dependencies, body, fatal=commands.ERROR)

    app.command(
        commands.STATUS, help=f"{summary}\n\n{_STATUS_PERMISSIONS}\n\n{_PRECEDENCE}",
        short_help=summary, epilog=_STATUS_EXIT_CODES,
    )(_with_flags(command, LaunchSettings, _STATUS_SETTINGS))  # fmt: skip


def _add_permissions(app: typer.Typer, dependencies: Dependencies) -> None:
    summary = "Print the ClusterRole of a controller, of all, or of status, as YAML."

    def command(
        name: Annotated[
            str,
            typer.Argument(help="Name of a controller, all, or status.", show_default=False),
        ],
        **flags: Any,
    ) -> None:
        _exit(dependencies, lambda: commands.permissions(dependencies, name, flags))

    app.command(
        "permissions", help=f"{summary}\n\n{_PRECEDENCE}", short_help=summary, epilog=_EXIT_CODES
    )(_with_flags(command, LaunchSettings, _LOG_SETTINGS))  # fmt: skip


def _with_flags(
    command: Callable[..., None], launch: type[LaunchSettings], names: Iterable[str]
) -> Callable[..., None]:
    common = {name: CommonSettings.model_fields[name] for name in names}
    return with_setting_flags(command, launch.model_fields | common, prefix=PREFIX)


def _exit(
    dependencies: Dependencies, body: Callable[[], int], *, fatal: int = commands.FATAL
) -> None:
    raise typer.Exit(commands.guarded(dependencies, body, fatal=fatal))
