"""Tables of amounts in settings: what is given is merged over a default, and null drops a key.

That is how Helm merges values: ``hard: {pods: 200}`` changes one key and keeps the others, and
``hard: {services.nodeports: null}`` takes one away. Every wrong entry is named, not just the first.
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
"""A quantity; numbers as YAML and JSON have them are taken as their text."""

Problem = InitErrorDetails
Table = dict[str, str]
T = TypeVar("T")

_WORDS = MappingProxyType(
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
    """Marks a setting, a table of texts, whose entries may be environment variables each.

    ``Annotated[Mapping[str, str], Suffixed("_TOKEN")]`` takes ``ANY_NAME_TOKEN=x`` as the entry
    ``ANY_NAME: x``. A variable that is a setting of its own is none of them.
    """

    suffix: str


def refusing(refusal: Callable[[str], str | None]) -> AfterValidator:
    """A validator of texts out of a rule that says why one is wrong, and None when it is right."""

    def check(text: str) -> str:
        if why := refusal(text):
            raise ValueError(why)
        return text

    return AfterValidator(check)


def problem(why: str, value: object, *where: str) -> Problem:
    """One wrong value; ``why`` names it and says what would be right."""
    # The text is handed over as a value, because pydantic reads braces in a template.
    kind = PydanticCustomError("wrong_value", "{why}", {"why": why})
    return InitErrorDetails(type=kind, loc=where, input=value)


def fail(title: str, problems: Iterable[Problem]) -> None:
    """Raises one ValidationError that names all problems, if there are any."""
    if found := list(problems):
        raise ValidationError.from_exception_data(title, found)


def together(title: str, problems: Iterable[Problem], make: Callable[[], T]) -> T:
    """What ``make`` gives. Raises one ValidationError that names these problems and its own."""
    found = list(problems)
    try:
        made = make()
    except ValidationError as error:
        fail(title, [*found, *(_again(each) for each in error.errors(include_url=False))])
        raise
    fail(title, found)
    return made


def words(error: ErrorDetails) -> str:
    """What pydantic found, on one line, in the words of those who write settings."""
    context = error.get("ctx", {})
    if error["type"] in {"literal_error", "enum"}:
        return f"expected {context['expected']}"
    return _WORDS.get(error["type"]) or " ".join(str(context.get("error", error["msg"])).split())


def _again(error: ErrorDetails) -> Problem:
    """The error in the form in which it can be raised once more."""
    kind: Any = error["type"]
    if kind == "wrong_value":
        return problem(error["msg"], error["input"], *map(str, error["loc"]))
    context = error.get("ctx", {})
    return InitErrorDetails(type=kind, loc=error["loc"], input=error["input"], ctx=context)


def merge(
    default: Mapping[str, str], given: object, where: str
) -> tuple[Table, Mapping[str, object], list[Problem]]:
    """The merged table, the entries that were given, and what is wrong with its shape."""
    if not isinstance(given, Mapping):
        why = f"{given!r} is not a table: expected a mapping of names to values"
        return dict(default), {}, [problem(why, given, where)]
    table, problems = dict(default), []
    for key, value in given.items():
        name, text = str(key), _text(value)
        if value is None:
            table.pop(name, None)
        elif text is None:
            why = f"{value!r} is not a value here: expected text, a number or null"
            problems.append(problem(why, value, where, name))
        else:
            table[name] = text
    return table, given, problems


def amount_problems(
    table: Mapping[str, str], where: str, name_refusal: Callable[[str], str | None]
) -> list[Problem]:
    """What is wrong with the names and the amounts of a table of resources."""
    return [
        problem(why, text, where, resource)
        for resource, text in table.items()
        for why in (name_refusal(resource), resource_names.amount_refusal(resource, text))
        if why
    ]


def unknown_problems(given: Mapping[Any, object], known: Iterable[str]) -> list[Problem]:
    """One problem for each setting that does not exist."""
    names = list(known)
    return [
        problem(f"{name!r} is no setting: expected {', '.join(names)}", value, str(name))
        for name, value in given.items()
        if name not in names
    ]


def _text(value: object) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return None
