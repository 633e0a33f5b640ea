"""Echoes: which lines of a watch need not be read, and which must never be passed over."""

import json

import hypothesis
import pytest
from hypothesis import strategies

from controllers.runtime.cache.expectations import Echoes, version_of


def line(kind: str = "MODIFIED", **metadata: object) -> bytes:
    body = {"metadata": {"name": "one", "resourceVersion": "17", **metadata}, "spec": {}}
    return json.dumps({"type": kind, "object": body}, separators=(",", ":")).encode()


@pytest.mark.parametrize("kind", ["ADDED", "MODIFIED", "BOOKMARK"])
def test_the_version_is_found_in_the_text(kind: str) -> None:
    assert version_of(line(kind)) == "17"


def test_the_end_of_an_object_is_always_read() -> None:
    assert version_of(line("DELETED")) is None


def test_a_line_that_names_two_versions_is_always_read() -> None:
    """Of a custom resource the annotations come first, and a tenant may write them."""
    assert version_of(line(annotations={"resourceVersion": "18"})) is None
    assert version_of(line(annotations={"resourceVersion": "17"})) is None


def test_an_error_is_always_read() -> None:
    assert version_of(b'{"type":"ERROR","object":{"code":410}}') is None


@hypothesis.given(strategies.dictionaries(strategies.text(), strategies.text()))
def test_no_annotation_can_pass_for_another_version(annotations: dict[str, str]) -> None:
    assert version_of(line(annotations=annotations)) in {None, "17"}


@hypothesis.given(strategies.text())
def test_no_text_can_pass_for_a_version(text: str) -> None:
    hostile = text + '"resourceVersion":"18"' + text
    assert version_of(line(annotations={"note": hostile}, labels={hostile: "18"})) == "17"


def test_only_the_latest_are_remembered() -> None:
    echoes = Echoes()
    for version in range(5_000):
        echoes.add(str(version))
    assert "4999" in echoes
    assert "3000" in echoes
    assert "2999" not in echoes
    echoes.clear()
    assert "4999" not in echoes
