"""Names of a setting: its command-line flag, its environment variables and its aliases."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pydantic import AliasChoices
from pydantic.fields import FieldInfo

from controllers.config_tables import Suffixed


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """The command-line flag of a setting.

    ``accepts`` completes the sentence "expected ...". ``default`` describes the default where the
    default value itself does not, such as ``the current context`` for None.
    """

    help: str
    accepts: str
    metavar: str = ""
    default: str = ""
    short: str = ""


def flag_of(field: FieldInfo) -> Flag | None:
    """Returns the Flag of a field, or None if the field has none."""
    return next((entry for entry in field.metadata if isinstance(entry, Flag)), None)


def flag_name(name: str) -> str:
    """Returns the flag of a setting: ``--log-format`` for ``log_format``."""
    return "--" + name.replace("_", "-")


def aliases(field: FieldInfo) -> tuple[str, ...]:
    """Returns the validation aliases of a field that are plain names."""
    given = field.validation_alias
    choices = given.choices if isinstance(given, AliasChoices) else (given,)
    return tuple(choice for choice in choices if isinstance(choice, str))


def environment_variables(name: str, field: FieldInfo, prefix: str) -> tuple[str, ...]:
    """Returns the environment variables of a setting, the one with the highest precedence first.

    First comes the program's own variable, then those of existing deployments, which are the
    aliases in upper case.
    """
    existing = (alias for alias in aliases(field) if alias.isupper())
    return tuple(dict.fromkeys((f"{prefix}{name}".upper(), *existing)))


def suffixed_variables(
    name: str, fields: Mapping[str, FieldInfo], prefix: str, environment: Iterable[str]
) -> dict[str, str]:
    """Returns the variables that each hold one entry of a table, by the name of the entry.

    Only a setting that is annotated with ``Suffixed`` has such variables. A variable that
    belongs to another setting is not an entry.
    """
    suffixes = [one.suffix for one in fields[name].metadata if isinstance(one, Suffixed)]
    if not suffixes:
        return {}
    reserved = {
        variable
        for other, field in fields.items()
        for variable in environment_variables(other, field, prefix)
    }
    return {
        variable.removesuffix(suffix): variable
        for suffix in suffixes
        for variable in environment
        if variable.endswith(suffix) and variable != suffix and variable not in reserved
    }
