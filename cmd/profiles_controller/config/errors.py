"""Wrong settings: every one on a line of its own, with its origin and what would be right."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel, SecretBytes, SecretStr
from pydantic_core import ErrorDetails

from controllers import config_tables
from profiles_controller.cli.options import flag_of

_MASK = "'**********'"
_SHOWN = reprlib.Repr()
_SHOWN.maxstring = _SHOWN.maxother = _SHOWN.maxlong = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One wrong setting.

    ``setting`` is its name, ``origin`` where the value came from, ``value`` how it reads there
    (empty where there is nothing to show) and ``problem`` says what is accepted.
    """

    setting: str
    origin: str
    problem: str
    value: str = ""

    def __str__(self) -> str:
        """One line: ``--resync = 'five' (environment variable REQUEUE_TIME): expected ...``."""
        value = f" = {self.value}" if self.value else ""
        return f"{self.setting}{value} ({self.origin}): {self.problem}"


class WrongSettingsError(Exception):
    """All the faults of all settings."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        """Keeps the faults in their order, each once."""
        self.faults = tuple(dict.fromkeys(faults))
        super().__init__("\n".join(str(fault) for fault in self.faults))


def suggestion(word: str, known: Iterable[str]) -> str:
    """``; did you mean 'x'?``, or the names that there are."""
    names = list(known)
    close = difflib.get_close_matches(word, names, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known are {', '.join(names)}"


def shown(value: object) -> str:
    """A value on one line, shortened where it is long."""
    return _SHOWN.repr(value)


def describe(
    model: type[BaseModel], path: tuple[str | int, ...], error: ErrorDetails, *, undecoded: bool
) -> tuple[str, str]:
    """The value and the problem of one validation error.

    ``path`` is the error's, with the field's name in front; ``undecoded`` says that the value is
    the text of a variable that should have been JSON.
    """
    field = model.model_fields.get(str(path[0])) if path else None
    if error["type"] == "missing":
        return "", "required"
    if field is None or error["type"] == "extra_forbidden":
        nested = _model_at(model, path[:-1]) if path else None
        hint = suggestion(str(path[-1]), nested.model_fields) if nested else ""
        return "", f"unknown key; {hint}" if hint else config_tables.words(error)
    value = _MASK if holds_secret(field.annotation) else shown(error["input"])
    flag = flag_of(field)
    if flag is not None and error["type"] != "value_error":
        return value, f"expected {flag.accepts}"
    problem = f"expected {config_tables.words(error)}" if flag else config_tables.words(error)
    return value, f"{problem}, written as JSON" if undecoded else problem


def holds_secret(annotation: Any, seen: frozenset[Any] = frozenset()) -> bool:
    """Whether a value of this type can hold a secret anywhere in it."""
    if annotation in (SecretStr, SecretBytes):
        return True
    inner = list(get_args(annotation)) if not isinstance(annotation, list) else annotation
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if annotation in seen:
            return False
        seen |= {annotation}
        inner = [field.annotation for field in annotation.model_fields.values()]
    return any(holds_secret(part, seen) for part in inner)


def depth(data: Mapping[str, Any], path: tuple[str | int, ...]) -> int:
    """How many steps of the path exist in the data."""
    value: Any = data
    for steps, key in enumerate(path):
        listed = isinstance(value, list) and isinstance(key, int) and key < len(value)
        if not listed and not (isinstance(value, Mapping) and key in value):
            return steps
        value = value[key]
    return len(path)


def _model_at(model: type[BaseModel], path: tuple[str | int, ...]) -> type[BaseModel] | None:
    here: Any = model
    for step in path:
        if isinstance(step, int):
            continue  # an item of a list is what the list is of
        field = here.model_fields.get(str(step))
        parts = (field.annotation, *get_args(field.annotation)) if field else ()
        here = next((part for part in parts if _is_model(part)), None)
        if here is None:
            return None
    found: type[BaseModel] = here
    return found


def _is_model(part: Any) -> bool:
    return isinstance(part, type) and issubclass(part, BaseModel)
