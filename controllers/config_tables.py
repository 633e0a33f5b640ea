"""Tables in settings: entries are merged into a default table, and null removes a key.

Helm merges values in the same way: ``hard: {pods: 200}`` changes one key and
``hard: {services.nodeports: null}`` removes one. All invalid entries are reported together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, ValidationError, WithJsonSchema
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from controllers import resource_names

Amount = Annotated[str, WithJsonSchema({"type": ["string", "number", "null"]})]
"""A quantity; a number in YAML or JSON is converted to text."""

Problem = InitErrorDetails
Table = dict[str, str]
T = TypeVar("T")

_MESSAGES = MappingProxyType(
    {
        "bool_type": "expected true or false",
        "bool_parsing": "expected true or false",
        "string_type": "expected text",
        "tuple_type": "expected a list",
        "list_type": "expected a list",
        "dict_type": "expected a table of names and values",
        "mapping_type": "expected a table of names and values",
        "model_type": "expected a table of names and values",
        "int_type": "expected a whole number",
        "int_parsing": "expected a whole number",
        "int_from_float": "expected a whole number",
        "missing": "required",
        "extra_forbidden": "unknown field",
    }
)


@dataclass(frozen=True, slots=True)
class Suffixed:
    """Marks a table of texts whose entries may each be an environment variable.

    With ``Annotated[Mapping[str, str], Suffixed("_TOKEN")]`` the variable ``ANY_NAME_TOKEN=x`` is
    the entry ``ANY_NAME: x``. A variable of another setting is not an entry.
    """

    suffix: str


def validator(rule: Callable[[str], str | None]) -> AfterValidator:
    """Return a validator from a rule that returns why a text is invalid, or None."""

    def check(text: str) -> str:
        if why := rule(text):
            raise ValueError(why)
        return text

    return AfterValidator(check)


def problem(why: str, value: object, *where: str) -> Problem:
    """Return one invalid value; ``why`` contains the value and what is accepted."""
    # The text is a parameter, because pydantic interprets braces in a template.
    kind = PydanticCustomError("wrong_value", "{why}", {"why": why})
    return InitErrorDetails(type=kind, loc=where, input=value)


def raise_problems(title: str, problems: Iterable[Problem]) -> None:
    """Raise one ValidationError for all problems, if there are any."""
    if found := list(problems):
        raise ValidationError.from_exception_data(title, found)


def validate_together(title: str, problems: Iterable[Problem], make: Callable[[], T]) -> T:
    """Return the result of ``make``. Raises one ValidationError for these problems and its own."""
    found = list(problems)
    try:
        made = make()
    except ValidationError as error:
        raise_problems(
            title, [*found, *(_raisable(each) for each in error.errors(include_url=False))]
        )
        raise
    raise_problems(title, found)
    return made


def message_of(error: ErrorDetails) -> str:
    """Return the message of a validation error on one line, in the terms of the settings."""
    context = error.get("ctx", {})
    if error["type"] in {"literal_error", "enum"}:
        return f"expected {context['expected']}"
    return _MESSAGES.get(error["type"]) or " ".join(str(context.get("error", error["msg"])).split())


def _raisable(error: ErrorDetails) -> Problem:
    """Return the error in the form in which it can be raised again."""
    kind: Any = error["type"]
    if kind == "wrong_value":
        return problem(error["msg"], error["input"], *map(str, error["loc"]))
    context = error.get("ctx", {})
    return InitErrorDetails(type=kind, loc=error["loc"], input=error["input"], ctx=context)


def merge(
    default: Mapping[str, str], given: object, where: str
) -> tuple[Table, Mapping[str, object], list[Problem]]:
    """Return the merged table, the given entries, and the problems of its structure."""
    if not isinstance(given, Mapping):
        why = f"{given!r} is not a table; expected a mapping of names to values"
        return dict(default), {}, [problem(why, given, where)]
    table, problems = dict(default), []
    for key, value in given.items():
        name, text = str(key), _text(value)
        if value is None:
            table.pop(name, None)
        elif text is None:
            why = f"{value!r} is not a valid value; expected text, a number or null"
            problems.append(problem(why, value, where, name))
        else:
            table[name] = text
    return table, given, problems


def amount_problems(
    table: Mapping[str, str], where: str, name_error: Callable[[str], str | None]
) -> list[Problem]:
    """Return the problems of the names and amounts in a table of resources."""
    return [
        problem(why, text, where, resource)
        for resource, text in table.items()
        for why in (name_error(resource), resource_names.amount_error(resource, text))
        if why
    ]


def unknown_problems(given: Mapping[Any, object], valid: Iterable[str]) -> list[Problem]:
    """Return a problem for each setting that does not exist."""
    names = list(valid)
    return [
        problem(f"unknown setting {name!r}; expected one of {', '.join(names)}", value, str(name))
        for name, value in given.items()
        if name not in names
    ]


def _text(value: object) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return None
