"""Strict parsers for the two documents that list shared buckets and their users. Pure.

A document is valid as a whole or not at all. A document that is parsed in part would remove the
volumes of the users in the other part, so the caller keeps the last valid document instead.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from controllers.blob_csi import names

POLICY_KEY = "httpapi"
"""A key of OPA's ``result`` that is the policy's own package, not a bucket."""

_PATH_SEGMENT = re.compile(r"\w[\w.=-]*")
_MAX_QUOTED = 80


class DocumentError(ValueError):
    """A document is invalid. The message has the place, the value and what is expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """One shared bucket, or one folder in it, and the namespaces that may use it.

    ``volume`` is the last part of its volumes' names. ``subfolder`` and ``principal`` are empty if
    the document has none. A namespace that is a writer only has no access.
    """

    container: str
    volume: str
    subfolder: str = ""
    principal: str = ""
    readers: frozenset[str] = frozenset()
    writers: frozenset[str] = frozenset()

    def lists(self, namespace: str) -> bool:
        """Return whether the namespace is among the readers or writers."""
        return namespace in self.readers or namespace in self.writers


Buckets = tuple[Bucket, ...]
"""The buckets of one source, sorted by volume name; each volume name occurs once."""


def parse_gateway(text: str | bytes) -> Buckets:
    """Parse the response of an OPA gateway: ``{"result": {"<bucket>": {"readers": [...]}}}``.

    A bucket is a container, or a container, a slash and a folder in it. Raises DocumentError.
    """
    document = _load(text)
    if not isinstance(document, Mapping):
        _fail("the response", document, "an object with the key 'result'")
    result = document.get("result")
    if not isinstance(result, Mapping):
        _fail("result", result, "an object of buckets")
    return _unique_volumes(
        _gateway_bucket(key, entry) for key, entry in result.items() if key != POLICY_KEY
    )


def parse_list(text: str | bytes) -> Buckets:
    """Parse a key of the ConfigMap: ``[{"bucketName": "...", "pvName": "...", "readers": [...]}]``.

    Raises DocumentError.
    """
    document = _load(text)
    if not isinstance(document, list):
        _fail("the document", document, "a list of buckets")
    return _unique_volumes(
        _listed_bucket(f"[{index}]", entry) for index, entry in enumerate(document)
    )


def invalid_namespaces(buckets: Buckets) -> Iterator[str]:
    """Yield each reader and writer that is not a valid namespace, sorted, for the log."""
    listed = {one for bucket in buckets for one in bucket.readers | bucket.writers}
    yield from sorted(one for one in listed if not names.is_namespace(one))


def _gateway_bucket(key: str, entry: Any) -> Bucket:
    place = f"result[{_quote(key)}]"
    entry = _object(place, entry)
    container, _, subfolder = key.partition("/")
    name = _text(place, entry, "name")
    return Bucket(
        container=_container(place, container),
        subfolder=_subfolder(place, subfolder),
        volume=_volume(place, name or names.default_volume_name(key)),
        principal=_principal(place, entry),
        readers=_namespaces(place, entry, "readers"),
        writers=_namespaces(place, entry, "writers"),
    )


def _listed_bucket(place: str, entry: Any) -> Bucket:
    entry = _object(place, entry)
    container, _, folder = _text(place, entry, "bucketName").partition("/")
    principal = _principal(place, entry)
    if not principal:
        _fail(f"{place}.spn", entry.get("spn"), "the name of a service principal")
    return Bucket(
        container=_container(f"{place}.bucketName", container),
        volume=_volume(f"{place}.pvName", _text(place, entry, "pvName")),
        subfolder=_subfolder(place, _text(place, entry, "subfolder") or folder),
        principal=principal,
        readers=_namespaces(place, entry, "readers"),
        writers=_namespaces(place, entry, "writers"),
    )


def _unique_volumes(buckets: Iterable[Bucket]) -> Buckets:
    found: dict[str, Bucket] = {}
    for bucket in buckets:
        other = found.setdefault(bucket.volume.lower(), bucket)
        if other is not bucket:
            raise DocumentError(
                f"buckets {other.container!r} and {bucket.container!r} have the same volume name"
                f" {bucket.volume!r}; expected a unique name for each"
            )
    return tuple(bucket for _, bucket in sorted(found.items()))


def _load(text: str | bytes) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_unique_keys, parse_constant=_reject_constant)
    except DocumentError:
        raise
    except (ValueError, RecursionError) as error:
        raise DocumentError(f"invalid JSON: {error}") from None


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        keys = [key for key, _ in pairs]
        duplicate = next(key for key in keys if keys.count(key) > 1)
        raise DocumentError(f"key {_quote(duplicate)} occurs more than once; expected it once")
    return result


def _reject_constant(text: str) -> NoReturn:
    raise DocumentError(f"invalid JSON: {text}")


def _object(place: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        _fail(place, value, "an object")
    return value


def _text(place: str, entry: Mapping[str, Any], key: str) -> str:
    value = entry.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        _fail(f"{place}.{key}", value, "a string")
    return value


def _namespaces(place: str, entry: Mapping[str, Any], key: str) -> frozenset[str]:
    """Return the listed names. An invalid namespace such as ``alice, bob`` matches no profile."""
    value = entry.get(key)
    if value is None:
        return frozenset()
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        _fail(f"{place}.{key}", value, "a list of namespaces")
    return frozenset(value)


def _container(place: str, text: str) -> str:
    expected = "a container name of 3 to 63 lower-case letters, digits and single dashes"
    return _check(place, text, names.is_container, expected)


def _volume(place: str, text: str) -> str:
    return _check(
        place,
        text,
        _has_valid_claim_names,
        "a name of lower-case letters, digits, '-' and '.' that makes a valid claim name",
    )


def _has_valid_claim_names(text: str) -> bool:
    """Return whether the claims have valid names. A volume name depends on the profile as well."""
    claims = (names.shared_claim_name(one, text) for one in names.CLASSIFICATIONS)
    return names.is_subdomain(text) and all(map(names.is_subdomain, claims))


def _principal(place: str, entry: Mapping[str, Any]) -> str:
    text = _text(place, entry, "spn")
    return _check(
        f"{place}.spn",
        text,
        lambda one: not one or names.is_subdomain(names.principal_secret_name(one)),
        "a service principal whose name makes a valid Secret name",
    )


def _subfolder(place: str, text: str) -> str:
    """Return a path in the container. It is part of a mount option, so characters are limited."""
    return _check(
        f"{place}.subfolder",
        text.strip("/"),
        lambda one: not one or all(_PATH_SEGMENT.fullmatch(part) for part in one.split("/")),
        "folders of letters, digits, '_', '.', '=' and '-' that begin with a letter or digit",
    )


def _check(place: str, text: str, is_valid: Callable[[str], bool], expected: str) -> str:
    if not is_valid(text):
        _fail(place, text, expected)
    return text


def _fail(place: str, value: Any, expected: str) -> NoReturn:
    raise DocumentError(f"{place} is {_quote(value)}; expected {expected}")


def _quote(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _MAX_QUOTED else f"{text[:_MAX_QUOTED]}..."
