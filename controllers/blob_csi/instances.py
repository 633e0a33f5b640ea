"""The profiles' own containers, as operators list them: ``instances.json`` and its other spellings.

Deployments of the older suite have a file of JSON objects one after the other, without a comma or
a bracket; a list in JSON or YAML is taken as well.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails

from controllers.blob_csi import config_fields, names

_FILE_STARTS = ("{", "[")


class SecretRef(BaseModel):
    """A Secret by name and namespace; written ``<secret>/<namespace>``, or ``<secret>`` alone."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    namespace: str = names.AZURE_NAMESPACE

    @model_validator(mode="before")
    @classmethod
    def _split(cls, data: Any) -> Any:
        if not isinstance(data, str):
            return data
        name, slash, namespace = data.partition("/")
        return {"name": name, "namespace": namespace if slash else names.AZURE_NAMESPACE}

    @model_validator(mode="after")
    def _checked(self) -> SecretRef:
        if not (names.is_subdomain(self.name) and names.is_namespace(self.namespace)):
            raise ValueError(f"{str(self)!r} is no Secret: expected SECRET or SECRET/NAMESPACE")
        return self

    def __str__(self) -> str:
        """As it is written."""
        return f"{self.name}/{self.namespace}"


class Instance(BaseModel):
    """One container for each profile. Several instances can be of one storage account."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, validate_by_name=True
    )

    name: str
    """Of the claim, and after the namespace of the volume."""
    classification: config_fields.Classification
    secret_ref: SecretRef
    """Holds ``azurestorageaccountname`` and ``azurestorageaccountkey``."""
    capacity: config_fields.Capacity
    read_only: bool = False
    owner: Literal["AAW"] = "AAW"

    @model_validator(mode="before")
    @classmethod
    def _in_any_case(cls, data: Any) -> Any:
        """Go's decoder takes ``readonly`` for ``readOnly``: a lost one would let people write."""
        if not isinstance(data, Mapping):
            return data
        known = {to_camel(name).lower(): to_camel(name) for name in cls.model_fields}
        known |= {name: to_camel(name) for name in cls.model_fields}
        return {known.get(str(key).lower(), str(key)): value for key, value in data.items()}

    @model_validator(mode="after")
    def _named(self) -> Instance:
        if not names.is_subdomain(self.name):
            raise ValueError(
                f"name {self.name!r} makes no claim's name: expected lower-case letters, digits,"
                " '-' and '.', a letter or digit at both ends"
            )
        if self.name.startswith(f"{names.SHARED}-"):
            raise ValueError(
                f"name {self.name!r} could be a shared bucket's: expected none that begins with"
                f" {names.SHARED}-"
            )
        return self


def load(path: Path) -> tuple[Instance, ...]:
    """The instances of a file. Raises ValueError with one argument for each thing that is wrong."""
    try:
        objects = parse(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    try:
        return _LISTED.validate_python(objects)
    except ValidationError as error:
        raise ValueError(*(_told(path, one) for one in error.errors())) from None


def read_instances(value: object) -> object:
    """What a list of instances is made of: a text is parsed. Raises ValueError."""
    return parse(value) if isinstance(value, str) else value


def parse(text: str) -> list[Any]:
    """The objects of a file: one after the other, or in a list of JSON or YAML.

    Raises ValueError with what is wrong with the text; the objects are not looked at.
    """
    if text.lstrip().startswith(_FILE_STARTS):
        return list(_flattened(_stream(text)))
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"neither JSON nor YAML: {' '.join(str(error).split())}") from None
    if value is not None and not isinstance(value, list):
        raise ValueError(f"a list of instances was expected, not {type(value).__name__}")
    return value or []


def duplicates(instances: Iterable[Instance]) -> list[str]:
    """Names that more than one instance has."""
    seen = [one.name for one in instances]
    return sorted({name for name in seen if seen.count(name) > 1})


def _stream(text: str) -> Iterable[Any]:
    decoder = json.JSONDecoder()
    rest = text.lstrip()
    while rest:
        try:
            value, end = decoder.raw_decode(rest)
        except (ValueError, RecursionError) as error:
            raise ValueError(
                f"not JSON after {len(text) - len(rest)} characters: {error}"
            ) from None
        yield value
        rest = rest[end:].lstrip()


def _flattened(values: Iterable[Any]) -> Iterable[Any]:
    for value in values:
        if isinstance(value, list):
            yield from value
        else:
            yield value


def _told(path: Path, error: ErrorDetails) -> str:
    place, *inside = error["loc"]
    where = ".".join(map(str, inside))
    number = int(place) + 1
    return f"{path}, instance {number}{' ' * bool(where)}{where}: {error['msg']}"


_LISTED: TypeAdapter[tuple[Instance, ...]] = TypeAdapter(tuple[Instance, ...])

DEFAULT = (
    Instance(
        name="standard",
        classification="unclassified",
        secret_ref=SecretRef(name="azure-secret"),
        capacity="10T",
    ),
    Instance(
        name="aaw-unclassified-ro",
        classification="protected-b",
        secret_ref=SecretRef(name="azure-secret"),
        capacity="10T",
        read_only=True,
    ),
    Instance(
        name="aaw-protected-b",
        classification="protected-b",
        secret_ref=SecretRef(name="aawdevcc00samgprotb"),
        capacity="10T",
    ),
)
"""What there is when nothing is configured."""
