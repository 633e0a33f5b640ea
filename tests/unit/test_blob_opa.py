"""Requests to an OPA gateway: every invalid response, and the cost of an unchanged one.

`tests/real/test_blob_gateways.py` runs against a real OPA.
"""

import asyncio
import contextlib
import gzip
import socket
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from controllers.blob_csi.grants import opa
from controllers.blob_csi.grants.opa import GatewayClient, OpaClient, Response
from controllers.blob_csi.grants.parse import Buckets, parse_gateway
from controllers.blob_csi.grants.poller import GatewayPoller
from controllers.blob_csi.grants.state import SourceState
from controllers.runtime.backoff import Backoff
from controllers.runtime.external.errors import ExternalError, Scope
from controllers.runtime.external.system import ExternalSystem
from tests.support.azure.builders import GATEWAY
from tests.support.http import raw_server
from tests.support.http.raw_server import RawServer, raw, reply

VALID = b'{"result": {"lab": {"readers": ["alice"]}}}'


@pytest.fixture
def server() -> Iterator[RawServer]:
    with raw_server.serving() as one:
        yield one


def get(server: RawServer, *, timeout: float = 5.0) -> Response | None:
    client = OpaClient(server.url, timeout=timeout, max_bytes=100_000)
    try:
        return client.get()
    finally:
        client.close()


def test_a_valid_response_has_its_body_and_etag(server: RawServer) -> None:
    server.response = reply(VALID, "200 OK", 'ETag: "one"')
    assert Response(body=VALID, etag='"one"') == get(server)
    assert "accept: application/json" in server.requests[0].lower()
    assert "if-none-match" not in server.requests[0].lower()


def test_a_compressed_response_is_decompressed(server: RawServer) -> None:
    server.response = reply(gzip.compress(VALID), "200 OK", "Content-Encoding: gzip")
    assert Response(body=VALID) == get(server)


INVALID: dict[str, tuple[Callable[[RawServer], raw_server.Response], str]] = {
    "an error": (lambda _: reply(VALID, "500 Internal Server Error"), "500 Internal Server Error"),
    "not found": (lambda _: reply(VALID, "404 Not Found"), "404 Not Found; expected 200 OK"),
    "no content": (lambda _: reply(b"", "204 No Content"), "204 No Content"),
    "partial content": (lambda _: reply(VALID, "206 Partial Content"), "206 Partial Content"),
    "304 without an ETag": (lambda _: reply(b"", "304 Not Modified"), "304 Not Modified"),
    "a redirect to a login page": (
        lambda _: reply(b"", "302 Found", "Location: http://127.0.0.1:1/login"),
        "302 Found: redirects are not followed",
    ),
    "less than Content-Length": (lambda _: reply(VALID, length=500), "more expected"),
    "not HTTP": (lambda _: raw(b"SSH-2.0-OpenSSH\r\n\r\n"), "SSH-2.0"),
    "nothing": (lambda _: raw(b""), "closed"),
    "not gzip": (lambda _: reply(VALID, "200 OK", "Content-Encoding: gzip"), "incorrect"),
    "too large": (lambda _: reply(b" " * 200_000), "more than 100000 bytes"),
    "too large after decompression": (
        lambda _: reply(gzip.compress(b" " * 2_000_000), "200 OK", "Content-Encoding: gzip"),
        "more than 100000 bytes",
    ),
    "endless": (
        lambda server: raw_server.trickle(
            server, b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n", b" ", seconds=0.02
        ),
        "no complete response within 0.3 s",
    ),
    "silence": (raw_server.silence, "no complete response within 0.3 s"),
    "silence in the middle": (
        lambda server: raw_server.trickle(
            server, b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n{", b" ", seconds=60
        ),
        "no complete response within 0.3 s",
    ),
}


@pytest.mark.parametrize("case", INVALID)
def test_an_invalid_response_is_an_error_of_the_system(server: RawServer, case: str) -> None:
    make, text = INVALID[case]
    server.response = make(server)
    with pytest.raises(ExternalError) as caught:
        get(server, timeout=0.3 if "no complete" in text else 5.0)
    assert caught.value.scope is Scope.SYSTEM
    assert text in caught.value.message
    assert caught.value.message.startswith("127.0.0.1:")


def test_a_refused_connection_is_an_error_without_credentials() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    client = OpaClient(f"http://someone:a-password@127.0.0.1:{port}/?token=a-token")
    with pytest.raises(ExternalError, match="Connection refused") as caught:
        client.get()
    assert "GatewayUnreachable" == caught.value.reason
    assert "a-password" not in str(caught.value)
    assert "a-token" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://no-such-host.invalid/", "http://%zz/", "http://a..b/"])
def test_an_unknown_or_invalid_host_is_an_error(url: str) -> None:
    with pytest.raises(ExternalError):
        OpaClient(url, timeout=5.0).get()


# -- polling -----------------------------------------------------------------------------------


class FakeClient:
    """A gateway without a network, with a parser that counts."""

    def __init__(self, *responses: Response | ExternalError | None) -> None:
        self.responses = list(responses)
        self.etags: list[str] = []
        self.parsed = 0

    def parse(self, body: bytes) -> Buckets:
        self.parsed += 1
        return parse_gateway(body)

    def get(self, etag: str = "") -> Response | None:
        self.etags.append(etag)
        response = self.responses.pop(0)
        if isinstance(response, ExternalError):
            raise response
        return response

    def close(self) -> None:
        """There is nothing to close."""


@contextlib.asynccontextmanager
async def polling(
    client: GatewayClient, state: SourceState, *, wait_seconds: float = 5.0
) -> AsyncIterator[GatewayPoller]:
    """A poller without a backoff."""
    system = ExternalSystem(
        "gateway",
        wait_seconds=wait_seconds,
        concurrency=1,
        backoff=Backoff(initial=0.0, maximum=0.0),
    )
    poller = GatewayPoller(client, state, system)
    yield poller
    await poller.close()


async def poll_all(client: FakeClient) -> list[object]:
    """Poll until the client has no more responses; the changed buckets or the error's reason."""
    state = SourceState(source=GATEWAY, parse=client.parse, clock=lambda: 7.0)
    results: list[object] = []
    async with polling(client, state) as poller:
        while client.responses:
            try:
                document = await poller.poll()
            except ExternalError as error:
                state.failed(error.message)
                results.append(error.reason)
            else:
                body, buckets = document or (b"", None)
                results.append(buckets)
                if buckets is not None:
                    state.update(body, buckets)
    return results


async def test_an_unchanged_response_is_neither_sent_again_nor_parsed_again() -> None:
    valid = Response(body=VALID, etag='"one"')
    client = FakeClient(valid, None, valid, Response(body=VALID))
    first, *others = await poll_all(client)
    assert first == parse_gateway(VALID)
    assert [None, None, None] == others
    assert ["", '"one"', '"one"', '"one"'] == client.etags
    assert 1 == client.parsed


async def test_the_etag_of_an_invalid_response_is_not_sent() -> None:
    valid, invalid = Response(body=VALID, etag='"one"'), Response(body=b"<html>", etag='"bad"')
    down = ExternalError("GatewayUnreachable", "down", scope=Scope.SYSTEM)
    client = FakeClient(valid, invalid, down, valid)
    results = await poll_all(client)
    assert ["GatewayResponseInvalid", "GatewayUnreachable", None] == results[1:]
    assert ["", '"one"', '"one"', '"one"'] == client.etags


async def test_a_request_that_hangs_is_not_sent_a_second_time(server: RawServer) -> None:
    """No timeout of an HTTP client bounds headers that arrive byte by byte."""
    server.response = raw_server.trickle(server, b"HTTP/1.1 200 OK\r\nX: ", b"y", seconds=0.01)
    state = SourceState(source=GATEWAY, parse=parse_gateway, clock=lambda: 7.0)
    async with polling(OpaClient(server.url, timeout=1.0), state, wait_seconds=0.2) as poller:
        for _ in range(3):
            with pytest.raises(ExternalError, match=r"more than 0\.2 s and continues"):
                await poller.poll()
        assert 1 == len(server.requests)
        server.close()
        error = await asyncio.wait_for(final_error(poller), 10.0)
        assert error.reason in ("GatewayUnreachable", "GatewayResponseInvalid")


async def final_error(poller: GatewayPoller) -> ExternalError:
    while True:
        try:
            await poller.poll()
        except ExternalError as error:
            if "continues" not in error.message:
                return error


def test_the_bounds_of_a_response_fit_ten_thousand_buckets() -> None:
    assert 10.0 == opa.TIMEOUT
    assert opa.MAX_BYTES > 8_000_000
