"""Turns settings into command-line options that typer reads from a function's signature."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer
from pydantic.fields import FieldInfo

from profiles_controller.config.flags import Flag, environment_variables, flag_name, flag_of

Command = Callable[..., None]


def with_setting_flags(
    command: Command, fields: Mapping[str, FieldInfo], *, prefix: str
) -> Command:
    """Adds an option for each of these settings to the signature of a command.

    The command takes the options as ``**flags`` and keeps its own parameters. Each value is the
    text that was typed, or None where the option was not given: the settings validate it later, so
    that all errors are reported together.
    """
    signature = inspect.signature(command, eval_str=True)
    own = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in signature.parameters.values()
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD
    ]
    options = [_setting_option(name, field, prefix) for name, field in fields.items()]
    command.__signature__ = signature.replace(parameters=[*own, *options])  # type: ignore[attr-defined]
    return command


def with_list_flags(command: Command, fields: Mapping[str, FieldInfo], *, prefix: str) -> Command:
    """Adds a repeatable option for each of these settings that are lists of texts.

    The command gets the values joined by commas, or None where the option was not given.
    """

    def wrapper(**flags: Any) -> None:
        for name in fields:
            values = flags.get(name)
            flags[name] = ",".join(values) if values else None
        command(**flags)

    return _extended(
        wrapper, command, [_list_option(name, field, prefix) for name, field in fields.items()]
    )


def with_switch(command: Command, name: str, help_text: str) -> Command:
    """Adds a boolean option that is not a setting: it exists on the command line only."""

    def wrapper(**flags: Any) -> None:
        command(**flags)

    option = typer.Option(flag_name(name), help=help_text)
    parameter = inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Annotated[bool, option]
    )
    return _extended(wrapper, command, [parameter])


def sources_and_default(name: str, field: FieldInfo, flag: Flag, prefix: str) -> str:
    """Returns ``[env: VARIABLES | default: DEFAULT]``, which ends the help of each option."""
    value = field.default
    default = flag.default or (f"{value:g}" if isinstance(value, float) else str(value).lower())
    variables = ", ".join(environment_variables(name, field, prefix))
    # A bar, because a full stop behind the longest variable would wrap it in 80 columns.
    return f"[env: {variables} | default: {default}]"


def _extended(wrapper: Command, command: Command, added: list[inspect.Parameter]) -> Command:
    signature = inspect.signature(command)
    parameters = [*signature.parameters.values(), *added]
    wrapper.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return wrapper


def _list_option(name: str, field: FieldInfo, prefix: str) -> inspect.Parameter:
    flag = Flag(help=str(field.description), accepts="", default="none")
    option = typer.Option(
        flag_name(name),
        help=f"{flag.help}  {sources_and_default(name, field, flag, prefix)}",
        metavar="TEXT[,TEXT...]",
        show_default=False,
    )
    annotation = Annotated[list[str] | None, option]
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
    )


def _setting_option(name: str, field: FieldInfo, prefix: str) -> inspect.Parameter:
    flag = flag_of(field)
    assert flag is not None, f"setting {name} has no Flag"  # noqa: S101 - a programming error
    boolean = field.annotation is bool
    declarations = [flag_name(name)]
    if boolean:
        declarations = [f"{flag_name(name)}/--no-{flag_name(name)[2:]}"]
    elif flag.short:
        declarations.append(flag.short)
    option = typer.Option(
        *declarations,
        help=f"{flag.help}  {sources_and_default(name, field, flag, prefix)}",
        metavar=flag.metavar or None,
        show_default=False,
    )
    kind: Any = bool | None if boolean else str | None
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind, option]
    )
