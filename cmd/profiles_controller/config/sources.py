"""Sources of settings: flags, environment variables, the file, defaults, in this precedence.

pydantic-settings merges the sources; it merges a mapping key by key. The sources here also report
where they found a value, so that an error can name the place.
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

from profiles_controller.config.errors import (
    InvalidSettingsError,
    SettingError,
    depth,
    describe,
    suggestion,
)
from profiles_controller.config.flags import (
    aliases,
    environment_variables,
    flag_name,
    flag_of,
    suffixed_variables,
)

ModelT = TypeVar("ModelT", bound=BaseModel)
FieldPath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """All inputs of the process: flags, environment, and the sections of the file."""

    flags: Mapping[str, object] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    file: Path | None = None
    sections: Mapping[str, Any] = field(default_factory=dict)


class Source(Protocol):
    """A source of pydantic-settings that reports the origin of a value."""

    data: dict[str, Any]

    def __call__(self) -> dict[str, Any]: ...
    def origin(self, path: FieldPath) -> str:
        """Returns where the value at this path was set."""


class SourcedSettings(BaseSettings):
    """Base of a model that is filled from sources."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True
    )
    sources: ClassVar[tuple[Any, ...]] = ()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic-settings' signature
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Returns the sources, the one with the highest precedence first."""
        assert issubclass(settings_cls, SourcedSettings)  # noqa: S101 - called on the class itself
        return settings_cls.sources


class _DataSource(PydanticBaseSettingsSource):
    """Values under the names of the fields."""

    def __init__(self, model: type[SourcedSettings], data: Mapping[str, Any]) -> None:
        super().__init__(model)
        self.data = dict(data)

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002 - its signature
        return self.data.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        return self.data


class FlagSource(_DataSource):
    """Flags of the command line."""

    def origin(self, path: FieldPath) -> str:
        return f"flag {flag_name(str(path[0]))}"


class FileSource(_DataSource):
    """One section of the file. Keys are names of settings, in snake_case or camelCase."""

    def __init__(
        self, model: type[SourcedSettings], content: Any, *, name: str, file: Path | None
    ) -> None:
        super().__init__(model, {})
        self.name = name
        self.file = file
        self.errors: list[SettingError] = []
        self._keys: dict[str, str] = {}
        if isinstance(content, Mapping):
            self._read(content, accepted_keys(model))
        elif content is not None:
            problem = f"expected a mapping of settings, not {type(content).__name__}"
            self.errors.append(self._error((), problem))

    def _read(self, content: Mapping[Any, Any], accepted: Mapping[str, str]) -> None:
        for key, value in content.items():
            name = accepted.get(key) if isinstance(key, str) else None
            if name is None:
                hint = suggestion(str(key), dict.fromkeys(accepted.values()))
                self.errors.append(self._error((str(key),), f"unknown key; {hint}"))
            elif name in self._keys:
                problem = f"duplicate of key {self._keys[name]!r}; remove one of the two"
                self.errors.append(self._error((key,), problem))
            else:
                self._keys[name] = key
                if value is not None:
                    self.data[name] = value

    def _error(self, path: FieldPath, problem: str) -> SettingError:
        setting = ".".join((self.name, *map(str, path)))
        return SettingError(setting=setting, origin=self.origin(path), problem=problem)

    def origin(self, path: FieldPath) -> str:
        steps = (self.name, *(self._keys.get(str(step), step) for step in path[:1]), *path[1:])
        return f"{self.file}, key {'.'.join(map(str, steps))}"


class EnvironmentSource(EnvSettingsSource):
    """Environment variables. An empty variable is unset; values of complex types are JSON."""

    def __init__(
        self, model: type[SourcedSettings], environment: Mapping[str, str], prefix: str
    ) -> None:
        super().__init__(model, case_sensitive=True, env_prefix=prefix)
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
            entries = {entry: self.env_vars[each] for entry, each in self._suffixed(name).items()}
            table = self.data.get(name, {})
            if entries and isinstance(table, Mapping):
                self.data[name] = {**entries, **table}
        return self.data

    def origin(self, path: FieldPath) -> str:
        name = str(path[0])
        if len(path) > 1 and (variable := self._suffixed(name).get(str(path[1]))):
            return f"environment variable {variable}"
        keys = "".join(f", key {step}" for step in path[1:])
        variable = self._variable(self.settings_cls.model_fields[name], name)
        return f"environment variable {variable}{keys}"

    def _suffixed(self, name: str) -> dict[str, str]:
        fields = self.settings_cls.model_fields
        return suffixed_variables(name, fields, self.env_prefix, self.env_vars)

    def _variable(self, field: FieldInfo, name: str) -> str:
        candidates = environment_variables(name, field, self.env_prefix)
        return next((each for each in candidates if each in self.env_vars), candidates[0])


def accepted_keys(model: type[BaseModel]) -> dict[str, str]:
    """Returns every key that sets a setting, with its name: the name, camelCase and aliases."""
    keys: dict[str, str] = {}
    for name, field_info in model.model_fields.items():
        keys |= dict.fromkeys((name, to_camel(name), *aliases(field_info)), name)
    return keys


def resolve(model: type[ModelT], inputs: Inputs, *, section: str, prefix: str) -> ModelT:
    """Returns the model filled from the inputs. Raises InvalidSettingsError with all errors."""
    sourced = types.new_class(model.__name__, (model, SourcedSettings))
    assert issubclass(sourced, SourcedSettings)  # noqa: S101 - by the bases of the line above
    file = FileSource(sourced, inputs.sections.get(section), name=section, file=inputs.file)
    environment = EnvironmentSource(sourced, inputs.environment, prefix)
    sourced.sources = (FlagSource(sourced, inputs.flags), environment, file)
    try:
        filled = sourced()
    except ValidationError as error:
        errors = _setting_errors(sourced, error, section, environment.undecoded)
        raise InvalidSettingsError([*file.errors, *errors]) from None
    if file.errors:
        raise InvalidSettingsError(file.errors)
    values = {name: getattr(filled, name) for name in model.model_fields}
    return model.model_construct(_fields_set=filled.model_fields_set, **values)


def _setting_errors(
    model: type[SourcedSettings], error: ValidationError, section: str, undecoded: set[str]
) -> list[SettingError]:
    accepted = accepted_keys(model)
    errors = []
    for details in error.errors(include_url=False):
        head, rest = details["loc"][:1], details["loc"][1:]
        path = (*(accepted.get(str(step), step) for step in head), *rest)
        not_json = not undecoded.isdisjoint(path[:1])
        value, problem = describe(model, path, details, undecoded=not_json)
        if details["type"] == "missing" and len(path) == 1:
            problem = _how_to_set(model, section, str(path[0]))
        setting, origin = _setting(model, section, path), _origin(model, path)
        errors.append(SettingError(setting=setting, origin=origin, value=value, problem=problem))
    return errors


def _how_to_set(model: type[SourcedSettings], section: str, name: str) -> str:
    prefix = model.sources[1].env_prefix
    variables = " or ".join(environment_variables(name, model.model_fields[name], prefix))
    return (
        f"required; set the environment variable {variables}, or the key {section}.{name} in the "
        "--config file"
    )


def _setting(model: type[SourcedSettings], section: str, path: FieldPath) -> str:
    field_info = model.model_fields.get(str(path[0])) if path else None
    if field_info is not None and flag_of(field_info) is not None:
        return flag_name(str(path[0]))
    return ".".join((section, *map(str, path)))


def _origin(model: type[SourcedSettings], path: FieldPath) -> str:
    source: Source = max(model.sources, key=lambda each: depth(each.data, path))
    found = depth(source.data, path)
    if found:
        return source.origin(path[:found])
    field_info = model.model_fields.get(str(path[0])) if path else None
    return "not set" if field_info is not None and field_info.is_required() else "default"
