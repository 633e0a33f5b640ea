"""Settings of the notebook controller. Parsing reports all errors together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from controllers import config_tables, resource_names
from controllers.notebook import names

_BOOLEAN = TypeAdapter(bool)
_LABEL = "is not a valid label: expected NAME or DOMAIN/NAME"
_NAME = (
    "is not a valid object name: expected at most 253 of a-z, 0-9, '-' and '.', each part"
    " starting and ending with a letter or digit"
)
_VALUE = (
    "is not a valid label value: expected at most 63 letters, digits, '-', '_' and '.', starting"
    " and ending with a letter or digit"
)


class NotebookSettings(BaseModel):
    """The PodDefault that users select for a Protected B notebook, and the labels that it adds.

    ``labels`` is merged into its default: an entry changes or adds one label, null removes one. At
    least one must remain.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    protected_b: bool = Field(default=True, description="whether to create the PodDefault")
    name: str = Field(default=names.POD_DEFAULT, description="name of the PodDefault")
    description: str = Field(
        default=names.DESCRIPTION, description="text of the option in the form for notebooks"
    )
    selector_label: str = Field(
        default=names.SELECTOR_LABEL,
        description=f'label that selects the PodDefault, with value "{names.SELECTOR_VALUE}"',
    )
    labels: Mapping[str, config_tables.Amount] = Field(
        default=dict(names.LABELS),
        description="labels that the PodDefault adds; merged into the default, null removes one",
    )

    @model_validator(mode="before")
    @classmethod
    def _checked(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        labels, _, problems = config_tables.merge(names.LABELS, data.get("labels", {}), "labels")
        selector = data.get("selector_label", names.SELECTOR_LABEL)
        problems += _text_problems(data)
        problems += _label_problems(labels, selector)
        problems += _boolean_problems(data)
        problems += config_tables.unknown_problems(data, cls.model_fields)
        config_tables.raise_problems(cls.__name__, problems)
        return {**data, "labels": labels}


def _text_problems(data: Mapping[str, object]) -> Iterator[config_tables.Problem]:
    for setting, check in _TEXTS.items():
        value = data.get(setting)
        if setting not in data:
            continue
        if not isinstance(value, str):
            yield config_tables.problem(f"{value!r} is not text: expected text", value, setting)
        elif why := check(value):
            yield config_tables.problem(f"{value!r} {why}", value, setting)


def _name_error(text: str) -> str:
    return "" if resource_names.is_dns_subdomain(text) else _NAME


def _description_error(text: str) -> str:
    return "" if text.strip() else "is empty: expected the text that users see in the form"


def _selector_error(text: str) -> str:
    return "" if resource_names.is_qualified_name(text) else _LABEL


_TEXTS = {
    "name": _name_error,
    "description": _description_error,
    "selector_label": _selector_error,
}


def _boolean_problems(data: Mapping[str, object]) -> Iterator[config_tables.Problem]:
    value = data.get("protected_b", True)
    try:
        _BOOLEAN.validate_python(value)
    except ValidationError:
        yield config_tables.problem(
            f"{value!r} is not a boolean: expected true or false", value, "protected_b"
        )


def _label_problems(labels: Mapping[str, str], selector: object) -> Iterator[config_tables.Problem]:
    if not labels:
        why = "no label remains: expected at least one, or protected_b: false"
        yield config_tables.problem(why, labels, "labels")
    for key, value in labels.items():
        if not resource_names.is_qualified_name(key):
            yield config_tables.problem(f"{key!r} {_LABEL}", value, "labels", key)
        elif value and not resource_names.is_name_part(value):
            yield config_tables.problem(f"{value!r} {_VALUE}", value, "labels", key)
        elif key == selector and value != names.SELECTOR_VALUE:
            # Kubeflow's webhook rejects a pod whose labels conflict with the PodDefault.
            why = f"{key!r} selects the PodDefault: expected other labels"
            yield config_tables.problem(why, value, "labels", key)
