"""The command line: one subcommand a controller, and those that are about controllers."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from controllers.runtime.controller import AnyController
from profiles_controller import DISTRIBUTION, version
from profiles_controller.cli import commands
from profiles_controller.cli.options import listed, signed, switched
from profiles_controller.config import selections
from profiles_controller.config.load import ALL, prefix_of
from profiles_controller.config.selections import Location, Selection
from profiles_controller.config.settings import PREFIX, Common
from profiles_controller.deps import World
from profiles_controller.printers import outputs
from profiles_controller.printers import status as printers_status

WEBHOOK = "webhook"
_LOGGING = ("log_format", "log_level")
_RUNNING = tuple(Common.model_fields)
_LOOKING = ("kubeconfig", "context", *_LOGGING, "allow_adopted_namespaces")
_DIFFING = ("kubeconfig", "context", *_LOGGING, "output", "allow_adopted_namespaces")

_PRECEDENCE = (
    "A flag counts before an environment variable, that before the file of --config, that before "
    "the default. An empty variable counts as not set."
)
_CODES = "Exit codes: 0 done; 1 a fatal error; 2 wrong usage or settings; more in each --help."
_RUN_CODES = (
    "Exit codes: 0 stopped in order, or --once without a failure; 1 leadership lost or a fatal "
    "error; 2 wrong usage or settings; 3 --once, and a profile failed."
)
_DIFF_CODES = "Exit codes: 0 nothing would change; 1 something would; 2 an error."
_RENDER_CODES = "Exit codes: 0 rendered; 1 a fatal error; 2 wrong settings, or no Profile."

_STATUS_CODES = "Exit codes: 0 all are ready or paused; 1 something is not ready; 2 an error."
_STATUS_RIGHTS = (
    "It reads alone. It must list Profiles, and for objects and drift list and watch what the "
    "controllers own: 'profiles-controller permissions status' prints these rights."
)

Name = Annotated[str, typer.Argument(help="A controller, or all.", show_default=False)]
Profiles = Annotated[
    list[str] | None,
    typer.Argument(metavar="PROFILE", help="Only these.", show_default="all profiles"),
]


class Form(StrEnum):
    """How a list is printed."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


def main() -> None:
    """The program ``profiles-controller``."""
    from controllers import registry  # noqa: PLC0415 - nothing is read at import

    # What runs one controller knows of the others no more than their names.
    alone = [name for name in sys.argv[1:2] if name in registry.NAMES]
    others = {name: variants for name, variants in registry.NAMES.items() if name not in alone}
    world = World(
        registry=[registry.load(name) for name in alone or registry.NAMES],
        environment=os.environ,
        others=others if alone else {},
    )
    build(world)()


def build(world: World) -> typer.Typer:
    """The command line of a world."""
    app = typer.Typer(
        name=DISTRIBUTION,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )
    app.callback(help="Kubernetes controllers over Kubeflow Profiles.", epilog=_CODES)(_root)
    for controller in world.registry:
        _add_controller(app, world, controller)
    _add_all(app, world)
    _add_list(app, world)
    _add_render(app, world)
    _add_diff(app, world)
    _add_status(app, world)
    _add_permissions(app, world)
    return app


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - typer's callback
    if wanted:
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
    """Nothing beside the commands."""


def _add_controller(app: typer.Typer, world: World, controller: AnyController) -> None:
    name, summary = controller.name, controller.summary

    def command(**flags: Any) -> None:
        if flags.pop("webhook", None):
            _leave(world, lambda: commands.serve(world, name, flags))
        _leave(world, lambda: commands.run(world, [name], flags, Location))

    own = {
        setting: controller.settings.model_fields[setting] for setting in controller.command.flags
    }
    flagged = _with_flags(command, Location, _RUNNING)
    if own:
        flagged = listed(flagged, own, prefix=prefix_of(name))
    if controller.command.webhook is not None:
        flagged = switched(flagged, WEBHOOK, "Serve Metacontroller instead of reconciling.")
    for label in (name, *controller.command.aliases):
        app.command(
            label,
            help=f"{summary}\n\n{_PRECEDENCE}",
            short_help=summary,
            epilog=_RUN_CODES,
            hidden=label != name,
        )(flagged)


def _add_all(app: typer.Typer, world: World) -> None:
    summary = "Run all controllers in one process."

    def command(**flags: Any) -> None:
        _leave(world, lambda: commands.run(world, [ALL], flags, Selection))

    app.command(
        ALL, help=f"{summary}\n\n{_PRECEDENCE}", short_help=summary, epilog=_RUN_CODES
    )(_with_flags(command, Selection, _RUNNING))  # fmt: skip


def _add_list(app: typer.Typer, world: World) -> None:
    @app.command("list", help="List the controllers.")
    def command(
        output: Annotated[Form, typer.Option("--output", "-o", help="How.")] = Form.TABLE,
    ) -> None:
        outputs.print_controllers(world.registry, output.value)


def _add_render(app: typer.Typer, world: World) -> None:
    summary = "Print the manifests of a Profile as YAML, without a cluster."

    def command(
        name: Name,
        file: Annotated[
            Path,
            typer.Option(
                "--filename", "-f", metavar="FILE", show_default=False,
                help="Profiles in YAML, one document each; - is standard input.",
            ),
        ],
        **flags: Any,
    ) -> None:  # fmt: skip
        _leave(world, lambda: commands.render(world, [name], file, flags))

    app.command(
        "render", help=f"{summary}\n\n{_PRECEDENCE}", short_help=summary, epilog=_RENDER_CODES
    )(_with_flags(command, Location, _LOGGING))  # fmt: skip


def _add_diff(app: typer.Typer, world: World) -> None:
    summary = "Print what a reconcile would change now; write nothing."

    def command(
        name: Name,
        profiles: Profiles = None,
        **flags: Any,
    ) -> None:
        body = lambda: commands.diff(world, [name], profiles or [], flags)  # noqa: E731
        _leave(world, body, fatal=commands.WRONG)

    app.command(
        "diff", help=f"{summary}\n\n{_PRECEDENCE}", short_help=summary, epilog=_DIFF_CODES
    )(_with_flags(command, Location, _DIFFING))  # fmt: skip


def _add_status(app: typer.Typer, world: World) -> None:
    summary = "Show how every profile fares with every controller that is installed."

    def command(
        profiles: Profiles = None,
        only: Annotated[
            str | None,
            typer.Option(
                "--only", metavar="NAME[,NAME...]", show_default="those that have left a trace",
                help="These controllers, which must have said something of every profile.",
            ),
        ] = None,
        form: Annotated[
            printers_status.Form, typer.Option("--output", "-o", help="How it is printed.")
        ] = printers_status.Form.TABLE,
        *,
        unready: Annotated[
            bool, typer.Option("--unready", help="Only what is not ready.")
        ] = False,
        watch: Annotated[
            bool, typer.Option("--watch", "-w", help="Go on, and show every change.")
        ] = False,
        drift: Annotated[
            bool,
            typer.Option(help="Compare with what the settings given here want, as diff does."),
        ] = True,
        **flags: Any,
    ) -> None:  # fmt: skip
        asked = commands.Asked(
            profiles=tuple(profiles or ()),
            only=selections.names(only or ""),
            form=form,
            unready=unready,
            watch=watch,
            drift=drift,
        )
        _leave(world, lambda: commands.status(world, asked, flags), fatal=commands.WRONG)

    app.command(
        commands.STATUS, help=f"{summary}\n\n{_STATUS_RIGHTS}\n\n{_PRECEDENCE}",
        short_help=summary, epilog=_STATUS_CODES,
    )(_with_flags(command, Location, _LOOKING))  # fmt: skip


def _add_permissions(app: typer.Typer, world: World) -> None:
    summary = "Print the ClusterRole that a controller, or status, needs, as YAML."

    def command(name: Name, **flags: Any) -> None:
        _leave(world, lambda: commands.permissions(world, name, flags))

    app.command(
        "permissions", help=f"{summary}\n\n{_PRECEDENCE}", short_help=summary, epilog=_CODES
    )(_with_flags(command, Location, _LOGGING))  # fmt: skip


def _with_flags(
    command: Callable[..., None], location: type[Location], names: Iterable[str]
) -> Callable[..., None]:
    fields = location.model_fields | {name: Common.model_fields[name] for name in names}
    return signed(command, fields, prefix=PREFIX)


def _leave(world: World, body: Callable[[], int], *, fatal: int = commands.FATAL) -> None:
    raise typer.Exit(commands.guarded(world, body, fatal=fatal))
