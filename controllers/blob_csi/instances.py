"""Platform instances: the list of containers that each profile has, and how it is parsed.

The older suite has a file ``instances.json`` of JSON objects one after the other, without a comma
or a bracket between them. A list in JSON or YAML is accepted as well.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails

from controllers import quantities
from controllers.blob_csi import names

_JSON_STARTS = ("{", "[")


def parse_capacity(value: object) -> str:
    """Return a capacity as a Kubernetes quantity. A bare number is terabytes: 10 gives ``10T``.

    Raises ValueError.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise ValueError(  # noqa: TRY004 - pydantic expects ValueError
            f"{value!r} is not a capacity; expected terabytes such as 10, or a quantity such as"
            " 100Gi"
        )
    text = value.strip()
    if text.replace(".", "", 1).isdecimal() and text.isascii():
        text += "T"
    quantity = quantities.canonicalize_amount(text)
    if quantities.parse(quantity) <= 0:
        raise ValueError(
            f"capacity {value!r} is not greater than 0; expected terabytes such as 10, or a"
            " quantity such as 100Gi"
        )
    return quantity


Capacity = Annotated[str, BeforeValidator(parse_capacity)]
Classification = Literal["unclassified", "protected-b"]


class SecretRef(BaseModel):
    """A reference to a Secret, written ``<secret>/<namespace>`` or ``<secret>``."""

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
    def _validate_names(self) -> SecretRef:
        if not (names.is_subdomain(self.name) and names.is_namespace(self.namespace)):
            raise ValueError(
                f"{str(self)!r} is not a valid Secret reference; expected SECRET or"
                " SECRET/NAMESPACE"
            )
        return self

    def __str__(self) -> str:
        """Return ``<secret>/<namespace>``."""
        return f"{self.name}/{self.namespace}"


class Instance(BaseModel):
    """One container for each profile. Several instances can use one storage account."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, validate_by_name=True
    )

    name: str
    """The name of the claim, and the last part of the volume's name."""
    classification: Classification
    secret_ref: SecretRef
    """The Secret with ``azurestorageaccountname`` and ``azurestorageaccountkey``."""
    capacity: Capacity
    read_only: bool = False
    owner: Literal["AAW"] = "AAW"

    @model_validator(mode="before")
    @classmethod
    def _normalize_keys(cls, data: Any) -> Any:
        """Accept keys in any case, as Go's decoder does.

        An ignored ``readonly`` would make the volume writable.
        """
        if not isinstance(data, Mapping):
            return data
        known = {to_camel(name).lower(): to_camel(name) for name in cls.model_fields}
        known |= {name: to_camel(name) for name in cls.model_fields}
        return {known.get(str(key).lower(), str(key)): value for key, value in data.items()}

    @model_validator(mode="after")
    def _validate_name(self) -> Instance:
        if not names.is_subdomain(self.name):
            raise ValueError(
                f"{self.name!r} is not a valid PersistentVolumeClaim name; expected lower-case"
                " letters, digits, '-' and '.', with starting and ending with a letter or digit"
            )
        if self.name.startswith(f"{names.SHARED_PREFIX}-"):
            raise ValueError(
                f"{self.name!r} begins with {names.SHARED_PREFIX}-, which is reserved for shared"
                " buckets; choose another name"
            )
        return self


def load(path: Path) -> tuple[Instance, ...]:
    """Return the instances of a file. Raises ValueError with one argument for each error."""
    try:
        objects = parse(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    try:
        return _INSTANCES.validate_python(objects)
    except ValidationError as error:
        raise ValueError(*(_message(path, one) for one in error.errors())) from None


def parse_setting(value: object) -> object:
    """Return the objects of the setting ``instances``: a text is parsed. Raises ValueError."""
    return parse(value) if isinstance(value, str) else value


def parse(text: str) -> list[Any]:
    """Return the objects of a file: one after the other, or in a JSON or YAML list.

    The objects are not validated. Raises ValueError if the text cannot be parsed.
    """
    if text.lstrip().startswith(_JSON_STARTS):
        return list(_flatten(_decode_stream(text)))
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"neither JSON nor YAML: {' '.join(str(error).split())}") from None
    if value is not None and not isinstance(value, list):
        raise ValueError(f"expected a list of instances, not {type(value).__name__}")
    return value or []


def duplicates(instances: Iterable[Instance]) -> list[str]:
    """Return the names that more than one instance has, sorted."""
    found = [one.name for one in instances]
    return sorted({name for name in found if found.count(name) > 1})


def _decode_stream(text: str) -> Iterable[Any]:
    decoder = json.JSONDecoder()
    rest = text.lstrip()
    while rest:
        try:
            value, end = decoder.raw_decode(rest)
        except (ValueError, RecursionError) as error:
            raise ValueError(
                f"invalid JSON after {len(text) - len(rest)} characters: {error}"
            ) from None
        yield value
        rest = rest[end:].lstrip()


def _flatten(values: Iterable[Any]) -> Iterable[Any]:
    for value in values:
        if isinstance(value, list):
            yield from value
        else:
            yield value


def _message(path: Path, error: ErrorDetails) -> str:
    index, *inside = error["loc"]
    where = ".".join(map(str, inside))
    number = int(index) + 1
    return f"{path}, instance {number}{' ' * bool(where)}{where}: {error['msg']}"


_INSTANCES: TypeAdapter[tuple[Instance, ...]] = TypeAdapter(tuple[Instance, ...])

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
"""The instances when none are configured."""
