"""The configuration from a kubeconfig: tokens that are rotated, TLS, proxies, sessions."""

import asyncio
import base64
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from controllers.runtime.client import client, config
from controllers.runtime.client.client import ClientOptions
from controllers.runtime.client.config import ConfigurationError, RestConfig
from controllers.runtime.errors import ApiError, UnreachableError
from controllers.runtime.options import Connection
from tests.support.controlplane import certificates, ports
from tests.support.http import kubeconfigs, scripted
from tests.support.http.kubeconfigs import connected
from tests.support.http.scripted import echoing

HOST = scripted.HOST
SERVER = "https://api.example:6443"
PATH = "/api/v1/namespaces"
EXPECTED = {"request": f"GET {PATH} HTTP/1.1"}


@asynccontextmanager
async def loaded(connection: Connection) -> AsyncIterator[RestConfig]:
    found = await config.load(connection)
    try:
        yield found
    finally:
        await found.close()


# -- tokens ----------------------------------------------------------------------------------------


async def sent(found: RestConfig) -> str:
    """The header once the cached one has expired."""
    return (await found.current_headers())["Authorization"]


@pytest.mark.virtual_time
async def test_a_token_that_is_rotated_in_the_kubeconfig_is_used_within_a_minute(
    tmp_path: Path,
) -> None:
    connection = kubeconfigs.write(tmp_path, {"server": SERVER}, token="one")
    async with loaded(connection) as found:
        assert await sent(found) == "Bearer one"

        kubeconfigs.write(tmp_path, {"server": SERVER}, token="two")
        await asyncio.sleep(config.REFRESH_INTERVAL + 1)

        assert await sent(found) == "Bearer two"


@pytest.mark.virtual_time
async def test_a_token_file_of_a_kubeconfig_is_read_again(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("one")
    connection = kubeconfigs.write(tmp_path, {"server": SERVER}, tokenFile=str(token))
    async with loaded(connection) as found:
        token.write_text("two")
        await asyncio.sleep(config.REFRESH_INTERVAL + 1)

        assert await sent(found) == "Bearer two"


@pytest.mark.virtual_time
@pytest.mark.parametrize("text", ["", "users: [", "kind: Config"])
async def test_an_incomplete_kubeconfig_leaves_the_last_token_in_use(
    tmp_path: Path, text: str
) -> None:
    connection = kubeconfigs.write(tmp_path, {"server": SERVER}, token="one")
    async with loaded(connection) as found:
        (tmp_path / "kubeconfig").write_text(text)
        await asyncio.sleep(config.REFRESH_INTERVAL + 1)
        assert await sent(found) == "Bearer one"

        kubeconfigs.write(tmp_path, {"server": SERVER}, token="two")
        await asyncio.sleep(3 * config.REFRESH_INTERVAL)
        assert await sent(found) == "Bearer two"


async def test_the_same_headers_are_returned_until_the_token_changes(tmp_path: Path) -> None:
    connection = kubeconfigs.write(tmp_path, {"server": SERVER}, token="one")
    async with loaded(connection) as found:
        assert await found.headers() is await found.headers()


# -- connections -----------------------------------------------------------------------------------


async def test_idle_connections_are_closed_before_the_api_server_closes_them(
    tmp_path: Path,
) -> None:
    async with loaded(kubeconfigs.write(tmp_path, {"server": SERVER})) as found:
        assert found.timeouts.idle < 90


async def test_tcp_finds_a_peer_that_is_gone_within_90_seconds() -> None:
    address = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", 1))
    with config.keepalive_socket(address) as connection:
        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        options = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        idle, pause, count = (connection.getsockopt(socket.IPPROTO_TCP, one) for one in options)
    assert idle + pause * count <= 90


@pytest.mark.parametrize(
    ("server", "url", "host"),
    [
        ("https://rancher.example/k8s/c-1/", "https://rancher.example/k8s/c-1", "rancher.example"),
        ("https://me:secret@api.example:6443", SERVER, "api.example:6443"),
        ("http://[::1]", "http://[::1]", "[::1]"),
    ],
)
async def test_the_url_of_the_server_is_normalized(
    tmp_path: Path, server: str, url: str, host: str
) -> None:
    async with loaded(kubeconfigs.write(tmp_path, {"server": server})) as found:
        assert (found.server, found.host) == (url, host)


@pytest.mark.parametrize(
    ("cluster", "message"),
    [
        ({"server": "api.example"}, r"'api.example' must be https://HOST:PORT"),
        ({"server": "https://api..example"}, r"must be https://HOST:PORT"),
        ({"server": "ftp://api.example"}, r"must be https://HOST:PORT"),
        ({"server": "https://"}, r"must be https://HOST:PORT"),
        ({"server": ""}, r"must be https://HOST:PORT"),
        (
            {"server": "https://a.example", "proxy-url": "socks5://p:1"},
            r"the proxy socks5://p is not supported: it must be http://HOST:PORT",
        ),
    ],
)
async def test_an_address_that_is_not_valid_is_a_configuration_error(
    tmp_path: Path, cluster: dict[str, Any], message: str
) -> None:
    connection = kubeconfigs.write(tmp_path, cluster)
    with pytest.raises(ConfigurationError, match=message):
        await client.connect(connection, ClientOptions())


# -- TLS -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> certificates.Files:
    return certificates.create(tmp_path_factory.mktemp("certificates"))


def serving(files: certificates.Files) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.serving_certificate, files.serving_key)
    return context


def trusting(files: certificates.Files, **cluster: str) -> dict[str, Any]:
    return {"certificate-authority": str(files.ca), **cluster}


async def test_a_server_is_reached_by_tls(files: certificates.Files, tmp_path: Path) -> None:
    async with connected(tmp_path, echoing(), tls=serving(files), cluster=trusting(files)) as found:
        assert await found.client.get(PATH) == EXPECTED


async def test_an_unknown_authority_is_reported_with_the_reason(
    files: certificates.Files, tmp_path: Path
) -> None:
    async with connected(tmp_path, echoing(), tls=serving(files)) as found:
        message = f"cannot connect to {found.client.config.host}: .*CERTIFICATE_VERIFY"
        with pytest.raises(UnreachableError, match=message):
            await found.client.get(PATH)


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
async def test_the_certificate_can_have_the_name_that_the_kubeconfig_states(
    files: certificates.Files, tmp_path: Path, name: str
) -> None:
    cluster = trusting(files, **{"tls-server-name": name})
    async with connected(tmp_path, echoing(), tls=serving(files), cluster=cluster) as found:
        assert await found.client.get(PATH) == EXPECTED


async def test_a_certificate_without_the_name_that_the_kubeconfig_states_is_refused(
    files: certificates.Files, tmp_path: Path
) -> None:
    cluster = trusting(files, **{"tls-server-name": "other.example"})
    async with connected(tmp_path, echoing(), tls=serving(files), cluster=cluster) as found:
        with pytest.raises(UnreachableError, match=r"other\.example"):
            await found.client.get(PATH)


async def test_the_sessions_of_libraries_expect_the_same_name_on_the_certificate(
    files: certificates.Files, tmp_path: Path
) -> None:
    cluster = trusting(files, **{"tls-server-name": "localhost"})
    async with (
        connected(tmp_path, echoing(), tls=serving(files), cluster=cluster) as found,
        found.client.config.session() as session,
        session.get(found.client.config.server + PATH) as answered,
    ):
        assert await answered.json(content_type=None) == EXPECTED


async def test_a_server_that_does_not_listen_is_reported_with_the_reason(tmp_path: Path) -> None:
    host = f"{HOST}:{ports.free()}"
    connection = kubeconfigs.write(tmp_path, {"server": f"https://{host}"})
    made = await client.connect(connection, ClientOptions())
    with pytest.raises(UnreachableError, match=f"cannot connect to {host}: .*Connect call failed"):
        await made.get(PATH)
    await made.close()


async def test_a_name_without_an_address_is_reported_with_the_reason(tmp_path: Path) -> None:
    connection = kubeconfigs.write(tmp_path, {"server": "https://api.invalid:6443"})
    made = await client.connect(connection, ClientOptions())
    with pytest.raises(UnreachableError, match=r"cannot connect to api\.invalid:6443: .*\w+"):
        await made.get(PATH)
    await made.close()


# -- proxies ---------------------------------------------------------------------------------------


class Proxy:
    """Opens a tunnel for each CONNECT request, or refuses it."""

    def __init__(self, refusal: bytes = b"") -> None:
        self.requests: list[str] = []
        self._refusal = refusal

    async def serve(self, connection: scripted.Connection) -> None:
        self.requests.append(head := await connection.request())
        if self._refusal:
            await connection.send(self._refusal)
            return
        host, _, port = head.split(" ")[1].rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        await connection.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        async with asyncio.TaskGroup() as group:
            group.create_task(pump(connection.reader, writer))
            group.create_task(pump(reader, connection.writer))


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
    writer.close()


async def test_a_tls_server_is_reached_through_a_tunnel_of_the_proxy(
    files: certificates.Files, tmp_path: Path
) -> None:
    proxy = Proxy()
    async with scripted.serving(proxy.serve) as listener:
        url = f"http://me:s%40cret@{HOST}:{listener.port}"
        cluster = trusting(files, **{"proxy-url": url})
        async with connected(tmp_path, echoing(), tls=serving(files), cluster=cluster) as found:
            assert await found.client.get(PATH) == EXPECTED
            host = found.client.config.host
    secret = base64.b64encode(b"me:s@cret").decode()
    (request,) = proxy.requests
    line, *headers = request.splitlines()
    assert line == f"CONNECT {host} HTTP/1.1"
    assert f"Host: {host}" in headers
    assert f"Proxy-Authorization: Basic {secret}" in headers
    assert "Bearer" not in request


@pytest.mark.parametrize(
    ("refusal", "message"),
    [
        (
            b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
            r"the proxy 127\.0\.0\.1:\d+ does not connect to api\.example:6443: 407 Proxy Auth",
        ),
        (b"SSH-2.0-me\r\n\r\n", "the response is not valid HTTP"),
        (b"HTTP", "the connection ended before the response did"),
        (b"x" * 20_000, "the response is not valid HTTP"),
    ],
)
async def test_a_proxy_that_opens_no_tunnel_is_reported_without_its_password(
    tmp_path: Path, refusal: bytes, message: str
) -> None:
    async with scripted.serving(Proxy(refusal).serve) as listener:
        url = f"http://me:secret@{HOST}:{listener.port}"
        connection = kubeconfigs.write(tmp_path, {"server": SERVER, "proxy-url": url})
        made = await client.connect(connection, ClientOptions())
        with pytest.raises(UnreachableError, match=message) as caught:
            await made.get(PATH)
        await made.close()
    assert "secret" not in str(caught.value)


async def test_a_proxy_that_does_not_listen_is_reported_as_the_proxy(tmp_path: Path) -> None:
    host = f"{HOST}:{ports.free()}"
    cluster = {"server": SERVER, "proxy-url": f"http://me:secret@{host}"}
    made = await client.connect(kubeconfigs.write(tmp_path, cluster), ClientOptions())
    with pytest.raises(UnreachableError, match=f"cannot connect to the proxy {host}: ") as caught:
        await made.get(PATH)
    await made.close()
    assert "secret" not in str(caught.value)


async def test_a_server_without_tls_is_requested_from_the_proxy_itself(tmp_path: Path) -> None:
    requests: list[str] = []
    script = scripted.responding(scripted.response(b"{}", "404 Not Found"), requests=requests)
    async with scripted.serving(script) as listener:
        url = f"me:secret@{HOST}:{listener.port}"
        cluster = {"server": "http://api.example:8001/k8s/", "proxy-url": url}
        made = await client.connect(kubeconfigs.write(tmp_path, cluster), ClientOptions())
        with pytest.raises(ApiError):
            await made.get("/one")
        await made.close()
    line, *headers = requests[0].splitlines()
    assert line == "GET http://api.example:8001/k8s/one HTTP/1.1"
    assert "Host: api.example:8001" in headers
    assert any(header.startswith("Proxy-Authorization: Basic ") for header in headers)


async def test_the_environment_names_the_proxy_unless_the_kubeconfig_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://outer.example:3128")
    cluster = {"server": "https://10.0.0.1:6443", "tls-server-name": "api.internal"}
    async with loaded(kubeconfigs.write(tmp_path, cluster)) as found:
        assert found.tls_server_name == "api.internal"
        assert found.proxy is not None
        assert found.proxy.host == "outer.example"
    cluster["proxy-url"] = "http://inner.example:3128"
    async with loaded(kubeconfigs.write(tmp_path, cluster)) as found:
        assert found.proxy is not None
        assert found.proxy.host == "inner.example"


async def test_a_server_in_a_block_of_no_proxy_is_reached_directly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://outer.example:3128")
    monkeypatch.setenv("NO_PROXY", "10.96.0.0/12")
    async with loaded(kubeconfigs.write(tmp_path, {"server": "https://10.96.0.1:443"})) as found:
        assert found.proxy is None
