"""Where a setting's value comes from: flag over environment over file over default.

pydantic-settings merges the layers; a mapping is merged key by key. What is added here is that
every layer can say where it found a value, so that a wrong one is named by its place.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from profiles_controller.cli.options import aliases, entries, flag_of, spelling, variables
from profiles_controller.config.errors import Fault, WrongSettingsError, depth, describe, suggestion

ModelT = TypeVar("ModelT", bound=BaseModel)
Steps = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """Everything that was given to the process: flags, environment and the file's content."""

    flags: Mapping[str, object] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    file: Path | None = None
    sections: Mapping[str, Any] = field(default_factory=dict)


class Layer(Protocol):
    """A source of pydantic-settings that knows where its values come from."""

    data: dict[str, Any]

    def __call__(self) -> dict[str, Any]: ...
    def origin(self, path: Steps) -> str:
        """Where the value at this path was given."""


class Bound(BaseSettings):
    """What a model becomes when its values come from layers."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True
    )
    layers: ClassVar[tuple[Any, ...]] = ()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic-settings' signature
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The layers, the strongest first."""
        assert issubclass(settings_cls, Bound)  # noqa: S101 - called on the class itself
        return settings_cls.layers


class _Given(PydanticBaseSettingsSource):
    """Values that were read already, under the fields' names."""

    def __init__(self, bound: type[Bound], data: Mapping[str, Any]) -> None:
        super().__init__(bound)
        self.data = dict(data)

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002 - its signature
        return self.data.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        return self.data


class Flags(_Given):
    """The command line."""

    def origin(self, path: Steps) -> str:
        return f"flag {spelling(str(path[0]))}"


class Section(_Given):
    """One section of the file, by the settings' names or as Helm's users spell them."""

    def __init__(self, bound: type[Bound], content: Any, *, name: str, file: Path | None) -> None:
        super().__init__(bound, {})
        self.name = name
        self.file = file
        self.faults: list[Fault] = []
        self._spelled: dict[str, str] = {}
        if isinstance(content, Mapping):
            self._take(content, names_of(bound))
        elif content is not None:
            problem = f"expected a mapping of settings, not {type(content).__name__}"
            self.faults.append(self._fault((), problem))

    def _take(self, content: Mapping[Any, Any], names: Mapping[str, str]) -> None:
        for key, value in content.items():
            name = names.get(key) if isinstance(key, str) else None
            if name is None:
                fields = dict.fromkeys(names.values())
                hint = suggestion(str(key), fields)
                self.faults.append(self._fault((str(key),), f"unknown key; {hint}"))
            elif name in self._spelled:
                self.faults.append(
                    self._fault((key,), f"the same setting as {name!r}, given twice")
                )
            else:
                self._spelled[name] = key
                if value is not None:
                    self.data[name] = value

    def _fault(self, path: Steps, problem: str) -> Fault:
        setting = ".".join((self.name, *map(str, path)))
        return Fault(setting=setting, origin=self.origin(path), problem=problem)

    def origin(self, path: Steps) -> str:
        steps = (self.name, *(self._spelled.get(str(step), step) for step in path[:1]), *path[1:])
        return f"{self.file}, key {'.'.join(map(str, steps))}"


class Environment(EnvSettingsSource):
    """The environment; an empty variable counts as unset, and JSON is read where it must be."""

    def __init__(self, bound: type[Bound], environment: Mapping[str, str], prefix: str) -> None:
        super().__init__(bound, case_sensitive=True, env_prefix=prefix)
        self.env_vars = {name: value for name, value in environment.items() if value}
        self.undecoded: set[str] = set()
        self.data: dict[str, Any] = {}

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        variable = self._variable(field, field_name)
        return self.env_vars.get(variable), field_name, False

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        try:
            return super().decode_complex_value(field_name, field, value)
        except (ValueError, RecursionError):
            self.undecoded.add(field_name)
            return value

    def __call__(self) -> dict[str, Any]:
        self.data = super().__call__()
        for name in self.settings_cls.model_fields:
            single = {entry: self.env_vars[each] for entry, each in self._entries(name).items()}
            given = self.data.get(name, {})
            if single and isinstance(given, Mapping):
                self.data[name] = {**single, **given}
        return self.data

    def origin(self, path: Steps) -> str:
        name = str(path[0])
        if len(path) > 1 and (single := self._entries(name).get(str(path[1]))):
            return f"environment variable {single}"
        inside = "".join(f", key {step}" for step in path[1:])
        variable = self._variable(self.settings_cls.model_fields[name], name)
        return f"environment variable {variable}{inside}"

    def _entries(self, name: str) -> dict[str, str]:
        return entries(name, self.settings_cls.model_fields, self.env_prefix, self.env_vars)

    def _variable(self, field: FieldInfo, name: str) -> str:
        candidates = variables(name, field, self.env_prefix)
        return next((each for each in candidates if each in self.env_vars), candidates[0])


def names_of(model: type[BaseModel]) -> dict[str, str]:
    """Every way to write a setting, to its name: the name, ``camelCase``, and its aliases."""
    spellings: dict[str, str] = {}
    for name, known in model.model_fields.items():
        spellings |= dict.fromkeys((name, to_camel(name), *aliases(known)), name)
    return spellings


def resolve(model: type[ModelT], inputs: Inputs, *, section: str, prefix: str) -> ModelT:
    """The model, filled from the layers. Raises WrongSettingsError with every fault there is."""
    bound = types.new_class(model.__name__, (model, Bound))
    assert issubclass(bound, Bound)  # noqa: S101 - made so in the line above
    written = Section(bound, inputs.sections.get(section), name=section, file=inputs.file)
    environment = Environment(bound, inputs.environment, prefix)
    bound.layers = (Flags(bound, inputs.flags), environment, written)
    try:
        filled = bound()
    except ValidationError as error:
        found = _explain(bound, error, section, environment.undecoded)
        raise WrongSettingsError([*written.faults, *found]) from None
    if written.faults:
        raise WrongSettingsError(written.faults)
    values = {name: getattr(filled, name) for name in model.model_fields}
    return model.model_construct(_fields_set=filled.model_fields_set, **values)


def _explain(
    bound: type[Bound], error: ValidationError, section: str, undecoded: set[str]
) -> list[Fault]:
    names = names_of(bound)
    faults = []
    for entry in error.errors(include_url=False):
        head, rest = entry["loc"][:1], entry["loc"][1:]
        path = (*(names.get(str(step), step) for step in head), *rest)
        value, problem = describe(bound, path, entry, undecoded=not undecoded.isdisjoint(path[:1]))
        if entry["type"] == "missing" and len(path) == 1:
            problem = _ways(bound, section, str(path[0]))
        setting = _setting(bound, section, path)
        faults.append(
            Fault(setting=setting, origin=_origin(bound, path), value=value, problem=problem)
        )
    return faults


def _ways(bound: type[Bound], section: str, name: str) -> str:
    prefix = bound.layers[1].env_prefix
    given = " or ".join(variables(name, bound.model_fields[name], prefix))
    return f"required: the environment variable {given}, or key {section}.{name} of --config's file"


def _setting(bound: type[Bound], section: str, path: Steps) -> str:
    field = bound.model_fields.get(str(path[0])) if path else None
    if field is not None and flag_of(field) is not None:
        return spelling(str(path[0]))
    return ".".join((section, *map(str, path)))


def _origin(bound: type[Bound], path: Steps) -> str:
    layer: Layer = max(bound.layers, key=lambda each: depth(each.data, path))
    found = depth(layer.data, path)
    if found:
        return layer.origin(path[:found])
    field = bound.model_fields.get(str(path[0])) if path else None
    return "not given" if field is not None and field.is_required() else "default"
