"""Errors of settings: one line for each, with the setting, the value, its source and the fix."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel, SecretBytes, SecretStr
from pydantic_core import ErrorDetails

from controllers import config_tables
from profiles_controller.config.flags import flag_of

_MASK = "'**********'"
_SHORTENED = reprlib.Repr()
_SHORTENED.maxstring = _SHORTENED.maxother = _SHORTENED.maxlong = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingError:
    """One invalid setting.

    ``origin`` is where the value was set. ``value`` is empty where there is no value to show.
    ``problem`` states what is wrong and what is accepted.
    """

    setting: str
    origin: str
    problem: str
    value: str = ""

    def __str__(self) -> str:
        """One line: ``--resync = 'five' (environment variable REQUEUE_TIME): expected ...``."""
        value = f" = {self.value}" if self.value else ""
        return f"{self.setting}{value} ({self.origin}): {self.problem}"


class InvalidSettingsError(Exception):
    """All errors of all settings."""

    def __init__(self, errors: Iterable[SettingError]) -> None:
        """Stores the errors in their order, without duplicates."""
        self.errors = tuple(dict.fromkeys(errors))
        super().__init__("\n".join(str(error) for error in self.errors))


def suggestion(word: str, valid: Iterable[str]) -> str:
    """Returns ``did you mean 'x'?`` where a valid name is similar, otherwise all valid names."""
    names = list(valid)
    close = difflib.get_close_matches(word, names, n=1)
    return f"did you mean {close[0]!r}?" if close else f"expected one of {', '.join(names)}"


def shortened(value: object) -> str:
    """Returns a value on one line, shortened where it is long."""
    return _SHORTENED.repr(value)


def describe(
    model: type[BaseModel], path: tuple[str | int, ...], error: ErrorDetails, *, undecoded: bool
) -> tuple[str, str]:
    """Returns the value and the problem of one validation error.

    ``path`` starts with the name of the field. ``undecoded`` states that the value is the text of
    an environment variable that is not valid JSON.
    """
    field = model.model_fields.get(str(path[0])) if path else None
    if error["type"] == "missing":
        return "", "required"
    if field is None or error["type"] == "extra_forbidden":
        nested = _model_at(model, path[:-1]) if path else None
        hint = suggestion(str(path[-1]), nested.model_fields) if nested else ""
        return "", f"unknown key; {hint}" if hint else config_tables.message_of(error)
    value = _MASK if holds_secret(field.annotation) else shortened(error["input"])
    flag = flag_of(field)
    if flag is not None and error["type"] != "value_error":
        return value, f"expected {flag.accepts}"
    problem = (
        f"expected {config_tables.message_of(error)}" if flag else config_tables.message_of(error)
    )
    return value, f"{problem}, written as JSON" if undecoded else problem


def holds_secret(annotation: Any, seen: frozenset[Any] = frozenset()) -> bool:
    """Returns whether a value of this type can contain a secret at any depth."""
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
    """Returns how many steps of the path exist in the data."""
    value: Any = data
    for steps, key in enumerate(path):
        in_list = isinstance(value, list) and isinstance(key, int) and key < len(value)
        if not in_list and not (isinstance(value, Mapping) and key in value):
            return steps
        value = value[key]
    return len(path)


def _model_at(model: type[BaseModel], path: tuple[str | int, ...]) -> type[BaseModel] | None:
    current: Any = model
    for step in path:
        if isinstance(step, int):
            continue  # the annotation of a list already names the type of its items
        field = current.model_fields.get(str(step))
        parts = (field.annotation, *get_args(field.annotation)) if field else ()
        current = next((part for part in parts if _is_model(part)), None)
        if current is None:
            return None
    found: type[BaseModel] = current
    return found


def _is_model(part: Any) -> bool:
    return isinstance(part, type) and issubclass(part, BaseModel)
