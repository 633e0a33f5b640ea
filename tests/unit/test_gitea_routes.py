"""The routes of gitea, as Envoy goes through them: the first rule that matches answers.

Envoy decodes no parameter and takes the first value of each name; the order of different profiles'
VirtualServices is anyone's, so every order is tried.
"""

import itertools
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers.gitea import routes
from controllers.gitea.config import GiteaSettings
from controllers.manifests import Body
from tests.support.builders import registered

PREFIX = "/gitea-unclassified"
REQUIRED = {**registered.REQUIRED["gitea"], **registered.SECRETS["gitea"]}


def answer(url: str, *profiles: str, referer: str = "", **changes: Any) -> str:
    """Where a request ends, as Envoy has it: `host path`, `redirect path`, or nothing."""
    chosen = GiteaSettings.model_validate({**REQUIRED, **changes})
    found = set()
    for order in itertools.permutations(profiles):
        rules = [rule for name in order for rule in routes.http(name, chosen)]
        found.add(first_answer(rules, url, referer))
    (same,) = found
    return same


def first_answer(rules: Sequence[Body], url: str, referer: str) -> str:
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


def test_the_dashboards_page_leads_to_the_profiles_own_gitea() -> None:
    host = "gitea-unclassified-http.a.svc.cluster.local"

    assert f"redirect {PREFIX}/a/" == answer(f"{PREFIX}/?ns=a", "a", "ab", "b")
    assert f"{host} /" == answer(f"{PREFIX}/a/", "a", "ab", "b")
    assert f"{host} /assets/css/index.css" == answer(f"{PREFIX}/a/assets/css/index.css", "a", "ab")
    assert f"{host} /api/v1/version" == answer(f"{PREFIX}/a/api/v1/version", "a", "b")


CRAFTED = {
    "ns=c": "of no profile",
    "ns=b": "another profile's",
    "ns=%61": "a, encoded",
    "n%73=a": "the name, encoded",
    "ns=A": "in upper case",
    "ns=a%2F..%2Fb": "climbing, encoded",
    "ns=a/../b": "climbing",
    "ns=a%00": "with a NUL",
    "ns=a%20": "with a space",
    "ns=a+": "with a plus",
    "ns=": "empty",
    "ns": "without a value",
    "": "none",
    "NS=a": "another name",
    "ns[]=a": "a list's name",
    "ns=a/": "with a slash",
    "ns=aa": "a longer one",
    "ns=a;ns=b": "with the older separator",
    "ns=b&ns=a": "the other first",
    "x=ns=a": "within another value",
    "ns=*": "a star",
    "ns=a&": "with an end",
}


@pytest.mark.parametrize("query", CRAFTED)
@pytest.mark.parametrize("referer", [False, True])
def test_a_crafted_parameter_crosses_to_no_other_tenant(query: str, referer: bool) -> None:  # noqa: FBT001
    """With the referer of a's page: to a's Gitea or nowhere. Without it, to whom it names."""
    root = "https://kubeflow.example.ca" if referer else None
    page = f"{root}/_{PREFIX}/?ns=a" if referer else ""
    where = answer(f"{PREFIX}/?{query}", "a", "b", "ab", referer=page, kubeflow_root_url=root)

    exactly = {"ns=a&": "a"} if referer else {"ns=a&": "a", "ns=b": "b", "ns=b&ns=a": "b"}
    name = exactly.get(query)
    assert (f"redirect {PREFIX}/{name}/" if name else "") == where


@pytest.mark.parametrize(
    "path",
    ["/a", "/", "", "/a%2Fb/", "/%61/", "/A/", "/ab", "/a/../b", "//a/", "/c/", "/a./", "/a;/"],
)
def test_a_path_of_no_profile_leads_nowhere_or_to_the_one_that_it_begins_with(path: str) -> None:
    where = answer(f"{PREFIX}{path}", "a", "b", "ab")

    own = "gitea-unclassified-http.a.svc.cluster.local /../b" if path == "/a/../b" else ""
    assert own == where


def test_what_a_profile_asks_for_is_never_routed_by_another_profiles_rules() -> None:
    """One request, one rule, in whatever order the gateway has them."""
    names_ = ("a", "a-b", "ab", "b", "gitea")
    for name in names_:
        host = f"gitea-unclassified-http.{name}.svc.cluster.local"
        for path in ("", "assets/a/", "api/v1/repos/b/b", "b/?ns=b", "-/a/"):
            url = f"{PREFIX}/{name}/{path}"
            assert f"{host} /{urlsplit('/' + path).path[1:]}" == answer(url, *names_[:4], name)


def test_of_a_repeated_parameter_the_first_counts() -> None:
    assert f"redirect {PREFIX}/a/" == answer(f"{PREFIX}/?ns=a&ns=b", "a", "b")


def test_with_a_root_url_only_the_dashboards_own_page_leads_there() -> None:
    root = "https://kubeflow.example.ca"
    page = f"{root}/_{PREFIX}/?ns=a"

    def ask(query: str, referer: str) -> str:
        url = f"{PREFIX}/?{query}"
        return answer(url, "a", "b", referer=referer, kubeflow_root_url=root)

    assert f"redirect {PREFIX}/a/" == ask("ns=a", page)
    assert "" == ask("ns=b", page)
    assert "" == ask("ns=a", "https://elsewhere.example/")


@given(st.text(st.characters(codec="ascii", exclude_characters="#[]\n\r\t"), max_size=40))
def test_whatever_is_asked_a_request_ends_at_one_profile_whose_name_it_bears(text: str) -> None:
    for url in (f"{PREFIX}/?ns={text}", f"{PREFIX}/{text}"):
        where = answer(url, "a", "a-b", "ab")
        if where.startswith("redirect"):
            assert text.partition("&")[0] == where.removeprefix(f"redirect {PREFIX}/").rstrip("/")
        elif where:
            assert f".{text.partition('/')[0]}.svc" in where
