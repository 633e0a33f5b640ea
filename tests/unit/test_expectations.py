"""Self-originated events are recognised before they are parsed, and no other event is skipped."""

import json

import hypothesis
import pytest
from hypothesis import strategies

from controllers.runtime.cache.expectations import WrittenVersions
from controllers.runtime.client.responses import resource_version


def line(kind: str = "MODIFIED", **metadata: object) -> bytes:
    body = {"metadata": {"name": "one", "resourceVersion": "17", **metadata}, "spec": {}}
    return json.dumps({"type": kind, "object": body}, separators=(",", ":")).encode()


@pytest.mark.parametrize("kind", ["ADDED", "MODIFIED", "BOOKMARK"])
def test_the_version_is_found_without_parsing(kind: str) -> None:
    assert resource_version(line(kind)) == "17"


def test_a_deletion_is_always_parsed() -> None:
    assert resource_version(line("DELETED")) is None


def test_a_line_with_two_versions_is_always_parsed() -> None:
    """In a custom resource the annotations come first, and a tenant can write them."""
    assert resource_version(line(annotations={"resourceVersion": "18"})) is None
    assert resource_version(line(annotations={"resourceVersion": "17"})) is None


def test_an_error_is_always_parsed() -> None:
    assert resource_version(b'{"type":"ERROR","object":{"code":410}}') is None


@hypothesis.given(strategies.dictionaries(strategies.text(), strategies.text()))
def test_no_annotation_is_taken_for_the_version(annotations: dict[str, str]) -> None:
    assert resource_version(line(annotations=annotations)) in {None, "17"}


@hypothesis.given(strategies.text())
def test_no_text_is_taken_for_the_version(text: str) -> None:
    hostile = text + '"resourceVersion":"18"' + text
    assert resource_version(line(annotations={"note": hostile}, labels={hostile: "18"})) == "17"


def test_only_the_latest_versions_are_skipped() -> None:
    versions = WrittenVersions()
    for version in range(5_000):
        versions.add(str(version))
    assert "4999" in versions
    assert "3000" in versions
    assert "2999" not in versions
    versions.suspend()
    assert "4999" not in versions
    assert 0 == len(versions)
    versions.resume()
    assert "4999" not in versions
