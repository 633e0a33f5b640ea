"""Who may use which shared bucket: the two documents that say it, read strictly. Pure.

An answer is good as a whole or not at all. One that is half understood would withdraw volumes
from those whom the other half names, so whoever asked keeps the last good one instead.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from controllers.blob_csi import names

NO_BUCKET = "httpapi"
"""A key of OPA's ``result`` that is the policy's own package and not a bucket."""

_SEGMENT = re.compile(r"\w[\w.=-]*")
_SHOWN = 80


class DocumentError(ValueError):
    """Why an answer cannot be taken: names the place, the value and what would be right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """One shared bucket, or one folder in it, and who may use it.

    ``volume`` is what its volumes are called. ``subfolder`` and ``principal`` are empty where the
    document says nothing of them. Who only writes has no access.
    """

    container: str
    volume: str
    subfolder: str = ""
    principal: str = ""
    readers: frozenset[str] = frozenset()
    writers: frozenset[str] = frozenset()


Answer = tuple[Bucket, ...]
"""The buckets of one source, by the names of their volumes; no name occurs twice."""


def parse_gateway(text: str | bytes) -> Answer:
    """The reply of an OPA gateway: ``{"result": {"<bucket>": {"readers": [...], ...}}}``.

    A bucket is a container, or a container, a slash and a folder in it. Raises DocumentError.
    """
    document = _load(text)
    if not isinstance(document, Mapping):
        _refuse("the answer", document, "an object with the key 'result'")
    result = document.get("result")
    if not isinstance(result, Mapping):
        _refuse("result", result, "an object of buckets")
    return _answer(_gateway_bucket(key, entry) for key, entry in result.items() if key != NO_BUCKET)


def parse_list(text: str | bytes) -> Answer:
    """A key of the ConfigMap: ``[{"bucketName": "...", "pvName": "...", "readers": [...], ...}]``.

    Raises DocumentError.
    """
    document = _load(text)
    if not isinstance(document, list):
        _refuse("the list", document, "a list of buckets")
    return _answer(_listed_bucket(f"[{index}]", entry) for index, entry in enumerate(document))


def _gateway_bucket(key: str, entry: Any) -> Bucket:
    place = f"result[{_shown(key)}]"
    entry = _object(place, entry)
    container, _, subfolder = key.partition("/")
    named = _text(place, entry, "name")
    return Bucket(
        container=_container(place, container),
        subfolder=_subfolder(place, subfolder),
        volume=_volume(place, named or names.derived_volume(key)),
        principal=_principal(place, entry),
        readers=_namespaces(place, entry, "readers"),
        writers=_namespaces(place, entry, "writers"),
    )


def _listed_bucket(place: str, entry: Any) -> Bucket:
    entry = _object(place, entry)
    container, _, inside = _text(place, entry, "bucketName").partition("/")
    principal = _principal(place, entry)
    if not principal:
        _refuse(f"{place}.spn", entry.get("spn"), "the name of a service principal")
    return Bucket(
        container=_container(f"{place}.bucketName", container),
        volume=_volume(f"{place}.pvName", _text(place, entry, "pvName")),
        subfolder=_subfolder(place, _text(place, entry, "subfolder") or inside),
        principal=principal,
        readers=_namespaces(place, entry, "readers"),
        writers=_namespaces(place, entry, "writers"),
    )


def _answer(buckets: Iterable[Bucket]) -> Answer:
    found: dict[str, Bucket] = {}
    for bucket in buckets:
        other = found.setdefault(bucket.volume.lower(), bucket)
        if other is not bucket:
            raise DocumentError(
                f"buckets {other.container!r} and {bucket.container!r} both make volumes"
                f" {bucket.volume!r}: expected a name of its own for each"
            )
    return tuple(bucket for _, bucket in sorted(found.items()))


def _load(text: str | bytes) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_no_number)
    except DocumentError:
        raise
    except (ValueError, RecursionError) as error:
        raise DocumentError(f"not JSON: {error}") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise DocumentError(f"key {_shown(twice)} is there twice: expected once")
    return result


def _no_number(text: str) -> NoReturn:
    raise DocumentError(f"not JSON: {text}")


def _object(place: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        _refuse(place, value, "an object")
    return value


def _text(place: str, entry: Mapping[str, Any], key: str) -> str:
    value = entry.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        _refuse(f"{place}.{key}", value, "a text")
    return value


def _namespaces(place: str, entry: Mapping[str, Any], key: str) -> frozenset[str]:
    """Who is listed; what can be no namespace, such as ``alice, bob``, grants nobody anything."""
    value = entry.get(key)
    if value is None:
        return frozenset()
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        _refuse(f"{place}.{key}", value, "a list of namespaces")
    return frozenset(value)


def _container(place: str, text: str) -> str:
    expected = "a container's name, 3 to 63 lower-case letters, digits and single dashes"
    return _checked(place, text, names.is_container, expected)


def _volume(place: str, text: str) -> str:
    return _checked(
        place,
        text,
        _makes_names,
        "a name of lower-case letters, digits, '-' and '.' that makes a claim's name",
    )


def _makes_names(text: str) -> bool:
    """Whether its claims have valid names; so have its volumes, but for a profile's long name."""
    claims = (names.shared_claim(one, text) for one in names.CLASSIFICATIONS)
    return names.is_subdomain(text) and all(map(names.is_subdomain, claims))


def _principal(place: str, entry: Mapping[str, Any]) -> str:
    text = _text(place, entry, "spn")
    expected = "a service principal whose name makes a Secret's name"
    return _checked(
        f"{place}.spn",
        text,
        lambda one: not one or names.is_subdomain(names.principal_secret(one)),
        expected,
    )


def _subfolder(place: str, text: str) -> str:
    """A path in the container; it becomes part of a mount option, so nothing may end that early."""
    expected = "folders of letters, digits, '_', '.', '=' and '-', each beginning with a letter"
    bare = text.strip("/")
    return _checked(
        f"{place}.subfolder",
        bare,
        lambda one: not one or all(_SEGMENT.fullmatch(part) for part in one.split("/")),
        f"{expected} or digit",
    )


def _checked(place: str, text: str, is_right: Callable[[str], bool], expected: str) -> str:
    if not is_right(text):
        _refuse(place, text, expected)
    return text


def _refuse(place: str, value: Any, expected: str) -> NoReturn:
    raise DocumentError(f"{place} is {_shown(value)}: expected {expected}")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def strangers(answer: Answer) -> Iterator[str]:
    """What stands among readers and writers and can be no namespace, for the log; once each."""
    listed = {one for bucket in answer for one in bucket.readers | bucket.writers}
    yield from sorted(one for one in listed if not names.is_namespace(one))
