"""The routes of gitea as Envoy evaluates them: the first rule that matches a request applies.

Envoy does not decode parameters and uses the first value of each name. The order of the
VirtualServices of different profiles is undefined, so each test tries every order.
"""

import itertools
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers.gitea import desired
from controllers.gitea.config import GiteaSettings
from controllers.manifests import Body
from tests.support.builders import registered

PREFIX = "/gitea-unclassified"
REQUIRED = {**registered.REQUIRED["gitea"], **registered.SECRETS["gitea"]}


def route(url: str, *profiles: str, referer: str = "", **changes: Any) -> str:
    """Return the result of a request: `host path`, `redirect path`, or nothing."""
    chosen = GiteaSettings.model_validate({**REQUIRED, **changes})
    results = set()
    for order in itertools.permutations(profiles):
        rules = [rule for name in order for rule in desired.http_routes(name, chosen)]
        results.add(first_match(rules, url, referer))
    (result,) = results
    return result


def first_match(rules: Sequence[Body], url: str, referer: str) -> str:
    parts = urlsplit(url)
    for rule in rules:
        for match in rule["match"]:
            if not matches(match, parts.path, parts.query, referer):
                continue
            if "redirect" in rule:
                return f"redirect {rule['redirect']['uri']}"
            prefix = match["uri"]["prefix"]
            path = rule["rewrite"]["uri"] + parts.path.removeprefix(prefix)
            return f"{rule['route'][0]['destination']['host']} {path}"
    return ""


def matches(match: Body, path: str, query: str, referer: str) -> bool:
    uri = match["uri"]
    if not (path == uri.get("exact") or ("prefix" in uri and path.startswith(uri["prefix"]))):
        return False
    for name, rule in match.get("queryParams", {}).items():
        pairs = [pair.partition("=") for pair in query.split("&")]
        values = [value for key, _, value in pairs if key == name]
        if values[:1] != [rule["exact"]]:
            return False
    wanted_referer = match.get("headers", {}).get("referer")
    return wanted_referer is None or wanted_referer["exact"] == referer


def test_the_page_of_the_dashboard_leads_to_the_gitea_of_its_profile() -> None:
    host = "gitea-unclassified-http.a.svc.cluster.local"

    assert f"redirect {PREFIX}/a/" == route(f"{PREFIX}/?ns=a", "a", "ab", "b")
    assert f"{host} /" == route(f"{PREFIX}/a/", "a", "ab", "b")
    assert f"{host} /assets/css/index.css" == route(f"{PREFIX}/a/assets/css/index.css", "a", "ab")
    assert f"{host} /api/v1/version" == route(f"{PREFIX}/a/api/v1/version", "a", "b")


CRAFTED = {
    "ns=c": "no profile",
    "ns=b": "another profile",
    "ns=%61": "a, encoded",
    "n%73=a": "the name, encoded",
    "ns=A": "in upper case",
    "ns=a%2F..%2Fb": "parent folder, encoded",
    "ns=a/../b": "parent folder",
    "ns=a%00": "with a NUL",
    "ns=a%20": "with a space",
    "ns=a+": "with a plus",
    "ns=": "empty",
    "ns": "without a value",
    "": "no parameter",
    "NS=a": "another name",
    "ns[]=a": "the name of a list",
    "ns=a/": "with a slash",
    "ns=aa": "a longer name",
    "ns=a;ns=b": "with a semicolon as separator",
    "ns=b&ns=a": "the other profile first",
    "x=ns=a": "within another value",
    "ns=*": "an asterisk",
    "ns=a&": "with a trailing separator",
}


@pytest.mark.parametrize("query", CRAFTED)
@pytest.mark.parametrize("referer", [False, True])
def test_a_crafted_parameter_leads_to_no_other_tenant(query: str, referer: bool) -> None:  # noqa: FBT001
    """With the referer of a's page: to a's Gitea or nowhere. Without it: to the named profile."""
    root = "https://kubeflow.example.ca" if referer else None
    page = f"{root}/_{PREFIX}/?ns=a" if referer else ""
    result = route(f"{PREFIX}/?{query}", "a", "b", "ab", referer=page, kubeflow_root_url=root)

    exactly = {"ns=a&": "a"} if referer else {"ns=a&": "a", "ns=b": "b", "ns=b&ns=a": "b"}
    name = exactly.get(query)
    assert (f"redirect {PREFIX}/{name}/" if name else "") == result


@pytest.mark.parametrize(
    "path",
    ["/a", "/", "", "/a%2Fb/", "/%61/", "/A/", "/ab", "/a/../b", "//a/", "/c/", "/a./", "/a;/"],
)
def test_a_path_of_no_profile_leads_nowhere_or_to_the_profile_that_it_begins_with(
    path: str,
) -> None:
    result = route(f"{PREFIX}{path}", "a", "b", "ab")

    own = "gitea-unclassified-http.a.svc.cluster.local /../b" if path == "/a/../b" else ""
    assert own == result


def test_a_request_for_a_profile_is_never_routed_by_a_rule_of_another_profile() -> None:
    """One request matches one rule, in every order of the rules."""
    names_ = ("a", "a-b", "ab", "b", "gitea")
    for name in names_:
        host = f"gitea-unclassified-http.{name}.svc.cluster.local"
        for path in ("", "assets/a/", "api/v1/repos/b/b", "b/?ns=b", "-/a/"):
            url = f"{PREFIX}/{name}/{path}"
            assert f"{host} /{urlsplit('/' + path).path[1:]}" == route(url, *names_[:4], name)


def test_the_first_value_of_a_repeated_parameter_is_used() -> None:
    assert f"redirect {PREFIX}/a/" == route(f"{PREFIX}/?ns=a&ns=b", "a", "b")


def test_with_a_root_url_only_the_page_of_the_dashboard_is_redirected() -> None:
    root = "https://kubeflow.example.ca"
    page = f"{root}/_{PREFIX}/?ns=a"

    def result_of(query: str, referer: str) -> str:
        url = f"{PREFIX}/?{query}"
        return route(url, "a", "b", referer=referer, kubeflow_root_url=root)

    assert f"redirect {PREFIX}/a/" == result_of("ns=a", page)
    assert "" == result_of("ns=b", page)
    assert "" == result_of("ns=a", "https://elsewhere.example/")


@given(st.text(st.characters(codec="ascii", exclude_characters="#[]\n\r\t"), max_size=40))
def test_every_request_leads_nowhere_or_to_the_profile_that_it_names(text: str) -> None:
    for url in (f"{PREFIX}/?ns={text}", f"{PREFIX}/{text}"):
        result = route(url, "a", "a-b", "ab")
        if result.startswith("redirect"):
            assert text.partition("&")[0] == result.removeprefix(f"redirect {PREFIX}/").rstrip("/")
        elif result:
            assert f".{text.partition('/')[0]}.svc" in result
