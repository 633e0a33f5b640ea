"""The way to a server: by TLS, under another name, through a proxy; and what is said of none."""

import asyncio
import base64
import contextlib
import gc
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from controllers.runtime.client.pools import Pool
from controllers.runtime.client.routes import Proxy, Route
from controllers.runtime.client.wires import Wire
from tests.support.controlplane import certificates, ports
from tests.support.fakes import event_loop
from tests.support.http import scripted
from tests.support.http.scripted import Caller, Script, Server, answer, echoing, saying

GET = b"GET /one HTTP/1.1\r\n\r\n"
HOST = scripted.HOST


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> certificates.Files:
    return certificates.create(tmp_path_factory.mktemp("certificates"))


@contextlib.asynccontextmanager
async def secured(files: certificates.Files, script: Script | None = None) -> AsyncIterator[Server]:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(files.serving_certificate, files.serving_key)
    async with scripted.serving(script or echoing(), tls=tls) as server:
        yield server


def trusting(ca: Path | None = None) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca)


async def asked(route: Route, request: bytes = GET) -> bytes:
    pool = Pool(route)
    try:
        return (await pool.ask(request, seconds=5)).payload
    finally:
        await pool.close()


class Tunnels:
    """A proxy that opens a tunnel to whatever it is asked for, or refuses."""

    def __init__(self, refusal: bytes = b"") -> None:
        self.asked: list[str] = []
        self._refusal = refusal

    async def serve(self, caller: Caller) -> None:
        self.asked.append(head := await caller.request())
        if self._refusal:
            await caller.say(self._refusal)
            return
        host, _, port = head.split(" ")[1].rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        await caller.say(b"HTTP/1.1 200 Connection established\r\n\r\n")
        async with asyncio.TaskGroup() as group:
            group.create_task(pump(caller.reader, writer))
            group.create_task(pump(reader, caller.writer))


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
    writer.close()


async def test_a_server_is_met_by_tls(files: certificates.Files) -> None:
    async with secured(files) as server:
        route = Route.to(f"https://{HOST}:{server.port}", trusting(files.ca))
        assert await asked(route) == b"GET /one HTTP/1.1"


async def test_what_tls_kept_for_a_connection_is_freed_with_it(files: certificates.Files) -> None:
    last = saying(answer(b"{}", "200 OK", "Connection: close"))
    gc.collect()
    gc.disable()
    try:
        async with secured(files, last) as server:
            pool = Pool(Route.to(f"https://{HOST}:{server.port}", trusting(files.ca)))
            for _ in range(5):
                assert (await pool.ask(GET, seconds=5)).code == 200
            await pool.close()
            await event_loop.until(lambda: not alive(), "none is left")
            assert server.taken == 5
    finally:
        gc.enable()


def alive() -> list[Wire]:
    return [one for one in gc.get_objects() if isinstance(one, Wire)]


async def test_a_certificate_of_a_stranger_is_refused_and_named(files: certificates.Files) -> None:
    async with secured(files) as server:
        url = f"{HOST}:{server.port}"
        with pytest.raises(ConnectionError, match=f"cannot connect to {url}: .*CERTIFICATE_VERIFY"):
            await asked(Route.to(f"https://{url}", trusting()))
        other = Route.to(f"https://{url}", trusting(files.ca), server_name="other.example")
        with pytest.raises(ConnectionError, match=r"other\.example"):
            await asked(other)


async def test_the_certificate_may_be_for_another_name(files: certificates.Files) -> None:
    async with secured(files) as server:
        url = f"https://{HOST}:{server.port}"
        route = Route.to(url, trusting(files.ca), server_name="localhost")
        assert await asked(route) == b"GET /one HTTP/1.1"


async def test_where_nobody_listens_that_is_said() -> None:
    url = f"{HOST}:{ports.free()}"
    with pytest.raises(ConnectionError, match=f"cannot connect to {url}: .*Connect call failed"):
        await asked(Route.to(f"https://{url}", trusting()))


async def test_a_tls_server_is_met_through_a_proxys_tunnel(files: certificates.Files) -> None:
    tunnels = Tunnels()
    async with secured(files) as server, scripted.serving(tunnels.serve) as proxy:
        route = Route.to(
            f"https://{HOST}:{server.port}",
            trusting(files.ca),
            proxy=f"http://me:s%40cret@{HOST}:{proxy.port}",
        )
        assert await asked(route) == b"GET /one HTTP/1.1"
    secret = base64.b64encode(b"me:s@cret").decode()
    (told,) = tunnels.asked
    assert told.splitlines() == [
        f"CONNECT {HOST}:{server.port} HTTP/1.1",
        f"Host: {HOST}:{server.port}",
        f"Proxy-Authorization: Basic {secret}",
        "",
    ]
    assert route.prefix == ""
    assert route.fields == {"Host": f"{HOST}:{server.port}"}


@pytest.mark.parametrize(
    ("refusal", "said"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "407 Proxy Authentication"),
        (b"SSH-2.0-me\r\n\r\n", "SSH-2.0-me"),
        (b"HTTP", "HTTP"),
        (b"x" * 20_000, "opens no tunnel"),
    ],
)
async def test_a_proxy_that_opens_no_tunnel_is_named(refusal: bytes, said: str) -> None:
    async with scripted.serving(Tunnels(refusal).serve) as proxy:
        url = f"http://me:secret@{HOST}:{proxy.port}"
        route = Route.to("https://api.example:6443", trusting(), proxy=url)
        with pytest.raises(ConnectionError, match=said) as caught:
            await asked(route)
    assert f"the proxy {HOST}:{proxy.port} opens no tunnel" in str(caught.value)
    assert "secret" not in str(caught.value)


async def test_a_plain_server_is_asked_for_of_the_proxy_itself() -> None:
    async with scripted.serving(echoing()) as proxy:
        url = f"me:secret@{HOST}:{proxy.port}"
        route = Route.to("http://api.example:8001/k8s/", trusting(), proxy=url)
        request = f"GET {route.prefix}/one HTTP/1.1\r\n\r\n".encode()
        assert await asked(route, request) == b"GET http://api.example:8001/k8s/one HTTP/1.1"
    assert set(route.fields) == {"Host", "Proxy-Authorization"}


def test_a_path_before_the_api_is_kept_and_ports_have_their_defaults() -> None:
    route = Route.to("https://rancher.example/k8s/clusters/c-1/", trusting())
    assert (route.host, route.port, route.prefix) == ("rancher.example", 443, "/k8s/clusters/c-1")
    route = Route.to("http://[::1]", trusting())
    assert (route.host, route.port, route.netloc, route.tls) == ("::1", 80, "[::1]", None)


@pytest.mark.parametrize("server", ["", "api.example", "ftp://api.example", "https://"])
def test_what_is_no_server_is_refused(server: str) -> None:
    with pytest.raises(ValueError, match="must be https://HOST:PORT"):
        Route.to(server, trusting())


@pytest.mark.parametrize("proxy", ["socks5://me:secret@p:1", "https://me:secret@p:1", "http://"])
def test_a_proxy_that_cannot_be_used_is_refused_without_its_password(proxy: str) -> None:
    with pytest.raises(ValueError, match="must be http://HOST:PORT") as caught:
        Proxy.parse(proxy)
    assert "secret" not in str(caught.value)
