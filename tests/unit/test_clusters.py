"""What the API server is sent, byte by byte, and what an answer of its becomes."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from controllers.runtime.client import client
from controllers.runtime.client.client import KubeCluster, Limits
from controllers.runtime.client.config import ConfigurationError
from controllers.runtime.client.routes import Route
from controllers.runtime.errors import ApiError, UnreachableError
from controllers.runtime.options import Connection
from tests.support.http import scripted
from tests.support.http.scripted import Caller, answer

PATH = "/api/v1/namespaces/a/configmaps"


def config(cluster: dict[str, Any], **user: str) -> str:
    return yaml.safe_dump(
        {
            "current-context": "here",
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
            "clusters": [{"name": "here", "cluster": cluster}],
            "users": [{"name": "me", "user": user}],
        }
    )


class Asked:
    """A cluster whose server answers one thing to everything, and what it was asked."""

    def __init__(self, cluster: KubeCluster, requests: list[str]) -> None:
        self.cluster = cluster
        self.requests = requests


@asynccontextmanager
async def cluster(
    tmp_path: Path, said: bytes, *, base: str = "", **user: str
) -> AsyncIterator[Asked]:
    requests: list[str] = []

    async def script(caller: Caller) -> None:
        while request := await caller.request():
            requests.append(request)
            await caller.say(said)

    async with scripted.serving(script) as server:
        file = tmp_path / "kubeconfig"
        url = f"http://{scripted.HOST}:{server.port}{base}"
        file.write_text(config({"server": url}, **(user or {"token": "a-token"})))
        made = await client.connect(Connection(kubeconfig=file), Limits())
        try:
            yield Asked(made, requests)
        finally:
            await made.close()


async def test_a_read_is_as_small_as_it_can_be(tmp_path: Path) -> None:
    async with cluster(tmp_path, answer(b'{"a":1}')) as asked:
        assert await asked.cluster.get(PATH, {"limit": "1"}) == {"a": 1}
        host = asked.cluster.credentials.route.netloc
    (request,) = asked.requests
    assert request.splitlines() == [
        f"GET {PATH}?limit=1 HTTP/1.1",
        f"Host: {host}",
        "User-Agent: profiles-controller",
        "Accept: application/json",
        "Accept-Encoding: identity",
        "Authorization: Bearer a-token",
        "",
    ]


async def test_a_write_names_its_type_and_length(tmp_path: Path) -> None:
    async with cluster(tmp_path, answer(b"{}", "201 Created")) as asked:
        await asked.cluster.write("POST", PATH, {"é": 1}, content_type="application/x")
    head, _, body = asked.requests[0].partition("\r\n\r\n")
    assert head.endswith("Content-Type: application/x\r\nContent-Length: 8")
    assert body == '{"é":1}'


async def test_a_path_before_the_api_is_kept(tmp_path: Path) -> None:
    async with cluster(tmp_path, answer(b"{}"), base="/k8s/clusters/c-1") as asked:
        await asked.cluster.get(PATH)
    assert asked.requests[0].startswith(f"GET /k8s/clusters/c-1{PATH} HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("system:node:a", "system:node:a"),
        ("a b", "a%20b"),
        ("a\r\nHost: b", "a%0D%0AHost:%20b"),
        ("a?b#c%d", "a%3Fb%23c%25d"),
        ("é", "%C3%A9"),
    ],
)
async def test_no_name_gets_out_of_its_place_in_the_request(
    tmp_path: Path, name: str, sent: str
) -> None:
    async with cluster(tmp_path, answer(b"{}")) as asked:
        await asked.cluster.get(f"{PATH}/{name}", {"labelSelector": "a=b\r\nc"})
    line, *fields = asked.requests[0].splitlines()
    assert line == f"GET {PATH}/{sent}?labelSelector=a%3Db%0D%0Ac HTTP/1.1"
    assert len(fields) == 6


@pytest.mark.parametrize("token", ["two\r\nX-Remote-User: admin", "t\u00f6ken", "a\x00b"])
async def test_a_token_that_no_header_may_hold_is_never_sent(tmp_path: Path, token: str) -> None:
    async with cluster(tmp_path, answer(b"{}"), token=token) as asked:
        with pytest.raises(UnreachableError, match="characters that no header may") as caught:
            await asked.cluster.get(PATH)
    assert asked.requests == []
    assert "admin" not in str(caught.value)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (answer(b'{"kind":"Status","code":404,"message":"gone"}', "404 Not Found"), "gone"),
        (answer(b"<html>a gateway</html>", "502 Bad Gateway"), "a gateway"),
        (answer(b"", "500 Internal"), "no message"),
    ],
)
async def test_an_answer_of_failure_is_told_in_its_own_words(
    tmp_path: Path, said: bytes, expected: str
) -> None:
    async with cluster(tmp_path, said) as asked:
        with pytest.raises(ApiError, match=expected):
            await asked.cluster.get(PATH)


@pytest.mark.parametrize(
    "said", [answer(b"", "302 Found", "Location: https://login.example"), answer(b"", "304 No")]
)
async def test_a_redirect_is_no_success(tmp_path: Path, said: bytes) -> None:
    async with cluster(tmp_path, said) as asked:
        with pytest.raises(ApiError, match="no API server answers so"):
            await asked.cluster.write("DELETE", PATH, {})
        with pytest.raises(ApiError, match="no API server answers so"):
            await asked.cluster.get(PATH)


@pytest.mark.parametrize("said", [answer(b""), answer(b"", "204 No Content"), answer(b"[]")])
async def test_a_success_that_tells_nothing_is_an_outage(tmp_path: Path, said: bytes) -> None:
    async with cluster(tmp_path, said) as asked:
        with pytest.raises(UnreachableError):
            await asked.cluster.get(PATH)


async def test_a_token_file_may_end_its_line(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("from-a-file\n")
    async with cluster(tmp_path, answer(b"{}"), tokenFile=str(token)) as asked:
        await asked.cluster.get(PATH)
    assert "Authorization: Bearer from-a-file\r\n" in asked.requests[0]


async def test_an_answer_that_asks_to_wait_is_waited_for(tmp_path: Path) -> None:
    said = iter([answer(b"{}", "429 Too Many Requests", "Retry-After: 0"), answer(b'{"a":1}')])
    taken: list[str] = []

    async def script(caller: Caller) -> None:
        while request := await caller.request():
            taken.append(request)
            await caller.say(next(said))

    async with scripted.serving(script) as server:
        file = tmp_path / "kubeconfig"
        url = f"http://{scripted.HOST}:{server.port}"
        file.write_text(config({"server": url}, token="a-token"))
        made = await client.connect(Connection(kubeconfig=file), Limits())
        try:
            assert await made.get(PATH) == {"a": 1}
        finally:
            await made.close()
    assert len(taken) == 2


@pytest.mark.parametrize(
    ("cluster", "message"),
    [
        ({"server": "api.example"}, r"'api.example' must be https://HOST:PORT"),
        ({"server": "https://api..example"}, r"must be https://HOST:PORT"),
        (
            {"server": "https://a.example", "proxy-url": "socks5://p:1"},
            r"the proxy socks5://p cannot be used: it must be http://HOST:PORT",
        ),
    ],
)
async def test_a_way_that_is_none_is_a_wrong_setting(
    tmp_path: Path, cluster: dict[str, Any], message: str
) -> None:
    file = tmp_path / "kubeconfig"
    file.write_text(config(cluster, token="a-token"))
    with pytest.raises(ConfigurationError, match=message):
        await client.connect(Connection(kubeconfig=file), Limits())


async def test_the_name_on_the_certificate_and_the_proxy_are_the_kubeconfigs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://outer.example:3128")
    file = tmp_path / "kubeconfig"
    named = {"server": "https://10.0.0.1:6443", "tls-server-name": "api.internal"}
    file.write_text(config(named, token="a-token"))
    found = await client.connect(Connection(kubeconfig=file), Limits())
    await found.close()
    route = found.credentials.route
    assert isinstance(route, Route)
    assert isinstance(route.tls, ssl.SSLContext)
    assert (route.server_name, route.proxy and route.proxy.host) == (
        "api.internal",
        "outer.example",
    )
