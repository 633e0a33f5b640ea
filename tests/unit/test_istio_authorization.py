"""The evaluator of Istio's policies, held against the examples of Istio's and Envoy's documents."""

import pytest

from tests.support.istio.authorization import (
    Policy,
    Request,
    is_allowed,
    path_matches,
    text_matches,
)


@pytest.mark.parametrize(
    ("template", "path", "expected"),
    [
        ("/foo/{*}", "/foo/bar", True),
        ("/foo/{*}", "/foo/bar/baz", False),
        ("/foo/{*}", "/foo/", False),
        ("/foo/{**}/", "/foo/bar/", None),
        ("/foo/{**}", "/foo/bar/baz.txt", True),
        ("/foo/{**}", "/foo/", True),
        ("/foo/{**}", "/foo", False),
        ("/foo/{*}/bar/{**}", "/foo/buzz/bar/", True),
        ("/foo/{*}/bar/{**}", "/foo/buzz/bar/baz", True),
        ("/foo/{*}/bar/{**}", "/foo/bar/baz", False),
        ("/foo/{**}", "/foo/a=b", False),
        ("/foo/{**}", "/foo/a*b", False),
        ("/foo/{**}", "/foo/a%3Db", True),
        ("/foo", "/foo", True),
        ("/foo*", "/foobar", True),
        ("*/bar", "/foo/bar", True),
        ("*/bar", "/foo/bar/baz", False),
    ],
)
def test_paths_match_as_istio_and_envoy_document(
    template: str, path: str, *, expected: bool | None
) -> None:
    if expected is None:
        with pytest.raises(AssertionError, match="last"):
            path_matches(template, path)
        return
    assert path_matches(template, path) is expected


@pytest.mark.parametrize(
    ("pattern", "value", "expected"),
    [
        ("abc", "abc", True),
        ("abc", "ABC", False),
        ("abc*", "abcd", True),
        ("*abc", "xabc", True),
        ("*", "x", True),
        ("*", "", False),
        ("a*c", "abc", False),
        ("*b*", "abc", False),
    ],
)
def test_values_match_exactly_by_beginning_end_or_presence_and_no_other_way(
    pattern: str, value: str, *, expected: bool
) -> None:
    assert text_matches(pattern, value) is expected


def test_a_denial_precedes_an_allowance_and_a_workload_without_policies_is_open() -> None:
    allow: Policy = {"action": "ALLOW", "rules": [{}]}
    deny: Policy = {"action": "DENY", "rules": [{"to": [{"operation": {"methods": ["PUT"]}}]}]}
    nobody: Policy = {"action": "ALLOW"}

    assert is_allowed([], Request())
    assert is_allowed([allow, deny], Request())
    assert not is_allowed([allow, deny], Request(method="PUT"))
    assert is_allowed([deny], Request())
    assert not is_allowed([nobody], Request())
    assert is_allowed([nobody, allow], Request())


def test_an_unknown_field_is_an_error_of_the_evaluator() -> None:
    policy: Policy = {"action": "ALLOW", "rules": [{"from": [{"source": {"ipBlocks": ["::"]}}]}]}

    with pytest.raises(AssertionError, match="ipBlocks"):
        is_allowed([policy], Request())
