"""What the command line shows of a setting, and the command's signature that follows from it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from pydantic import AliasChoices
from pydantic.fields import FieldInfo

from controllers.config_tables import Suffixed


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """A setting of the process as people meet it.

    ``accepts`` completes "expected ...". ``default`` says in words what happens when it is not
    given, where the default value does not.
    """

    help: str
    accepts: str
    metavar: str = ""
    default: str = ""
    short: str = ""


def flag_of(field: FieldInfo) -> Flag | None:
    """The field's Flag, if it has one."""
    return next((entry for entry in field.metadata if isinstance(entry, Flag)), None)


def spelling(name: str) -> str:
    """The flag of a setting: ``--log-format`` of ``log_format``."""
    return "--" + name.replace("_", "-")


def aliases(field: FieldInfo) -> tuple[str, ...]:
    """The field's validation aliases, as far as they are names."""
    given = field.validation_alias
    choices = given.choices if isinstance(given, AliasChoices) else (given,)
    return tuple(choice for choice in choices if isinstance(choice, str))


def variables(name: str, field: FieldInfo, prefix: str) -> tuple[str, ...]:
    """The environment variables of a setting, the one that counts first in front.

    The program's own name, then those that existing deployments use: the aliases in upper case.
    """
    existing = (alias for alias in aliases(field) if alias.isupper())
    return tuple(dict.fromkeys((f"{prefix}{name}".upper(), *existing)))


def entries(
    name: str, fields: Mapping[str, FieldInfo], prefix: str, environment: Iterable[str]
) -> dict[str, str]:
    """The entries of a table that are variables each (``tables.Suffixed``), and those variables."""
    suffixes = [one.suffix for one in fields[name].metadata if isinstance(one, Suffixed)]
    if not suffixes:
        return {}
    own = {each for other, field in fields.items() for each in variables(other, field, prefix)}
    return {
        variable.removesuffix(suffix): variable
        for suffix in suffixes
        for variable in environment
        if variable.endswith(suffix) and variable != suffix and variable not in own
    }


def signed(
    function: Callable[..., None], fields: Mapping[str, FieldInfo], *, prefix: str
) -> Callable[..., None]:
    """Gives a command's function a flag for each of these settings, for typer to read.

    The function takes them as ``**flags``; its own parameters stay. Every value arrives as it was
    typed, None where it was not given: what is right is for the settings to say, all at once.
    """
    signature = inspect.signature(function, eval_str=True)
    kept = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in signature.parameters.values()
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD
    ]
    added = [_parameter(name, field, prefix) for name, field in fields.items()]
    function.__signature__ = signature.replace(parameters=[*kept, *added])  # type: ignore[attr-defined]
    return function


def listed(
    function: Callable[..., None], fields: Mapping[str, FieldInfo], *, prefix: str
) -> Callable[..., None]:
    """Gives a command's function a flag, too, for each of these settings that are lists of texts.

    Each may be given several times; the values arrive joined by commas, None where none was given.
    """

    def command(**flags: Any) -> None:
        for name in fields:
            given = flags.get(name)
            flags[name] = ",".join(given) if given else None
        function(**flags)

    signature = inspect.signature(function)
    added = [_list_parameter(name, field, prefix) for name, field in fields.items()]
    parameters = [*signature.parameters.values(), *added]
    command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return command


def switched(function: Callable[..., None], name: str, sentence: str) -> Callable[..., None]:
    """Gives a command's function a switch, too, that is no setting: on the command line alone."""

    def command(**flags: Any) -> None:
        function(**flags)

    signature = inspect.signature(function)
    option = typer.Option(spelling(name), help=sentence)
    added = inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Annotated[bool, option]
    )
    parameters = [*signature.parameters.values(), added]
    command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return command


def _list_parameter(name: str, field: FieldInfo, prefix: str) -> inspect.Parameter:
    described = Flag(help=str(field.description), accepts="", default="none")
    option = typer.Option(
        spelling(name),
        help=f"{described.help}  {_facts(name, field, described, prefix)}",
        metavar="TEXT[,TEXT...]",
        show_default=False,
    )
    annotation = Annotated[list[str] | None, option]
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
    )


def _parameter(name: str, field: FieldInfo, prefix: str) -> inspect.Parameter:
    flag = flag_of(field)
    assert flag is not None, f"setting {name} has no Flag"  # noqa: S101 - a fault of the program
    switch = field.annotation is bool
    declarations = [spelling(name)]
    if switch:
        declarations = [f"{spelling(name)}/--no-{spelling(name)[2:]}"]
    elif flag.short:
        declarations.append(flag.short)
    option = typer.Option(
        *declarations,
        help=f"{flag.help}  {_facts(name, field, flag, prefix)}",
        metavar=flag.metavar or None,
        show_default=False,
    )
    kind: Any = bool | None if switch else str | None
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind, option]
    )


def _facts(name: str, field: FieldInfo, flag: Flag, prefix: str) -> str:
    value = field.default
    default = flag.default or (f"{value:g}" if isinstance(value, float) else str(value).lower())
    # A bar, as a full stop or bracket behind the longest name would break it on 80 columns.
    return f"[env: {', '.join(variables(name, field, prefix))} | default: {default}]"
