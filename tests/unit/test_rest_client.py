"""Requests of the client: what is sent, and what becomes of each response."""

import asyncio
import json
from pathlib import Path

import pytest

from controllers.runtime.client.client import ClientOptions
from controllers.runtime.client.config import Timeouts
from controllers.runtime.errors import ApiError, UnreachableError
from tests.support.fakes import virtual_time
from tests.support.http import kubeconfigs
from tests.support.http.kubeconfigs import connected
from tests.support.http.scripted import Connection, chunked, echoing, responding, response

PATH = "/api/v1/namespaces/a/configmaps"
SHORT = Timeouts(request=0.05)


async def respond_once(connection: Connection) -> None:
    """Respond to the first request; close the connection on the second."""
    await connection.request()
    await connection.send(response(b"{}"))
    await connection.request()


async def close_on_request(connection: Connection) -> None:
    await connection.request()


async def never_respond(connection: Connection) -> None:
    await connection.request()
    await connection.stay_silent()


# -- requests --------------------------------------------------------------------------------------


async def test_a_get_request_has_only_the_headers_that_it_needs(tmp_path: Path) -> None:
    requests: list[str] = []
    async with connected(tmp_path, responding(response(b'{"a":1}'), requests=requests)) as found:
        assert await found.client.get(PATH, {"limit": "1"}) == {"a": 1}
    (request,) = requests
    assert request.splitlines() == [
        f"GET {PATH}?limit=1 HTTP/1.1",
        f"Host: {found.client.config.host}",
        "User-Agent: profiles-controller",
        "Accept: application/json",
        "Accept-Encoding: identity",
        f"Authorization: Bearer {kubeconfigs.TOKEN}",
        "",
    ]


async def test_a_write_has_its_content_type_length_and_body(tmp_path: Path) -> None:
    requests: list[str] = []
    created = response(b"{}", "201 Created")
    async with connected(tmp_path, responding(created, requests=requests)) as found:
        await found.client.write("POST", PATH, {"é": 1}, content_type="application/x")
    head, _, body = requests[0].partition("\r\n\r\n")
    assert head.endswith("Content-Type: application/x\r\nContent-Length: 8")
    assert body == '{"é":1}'


async def test_the_path_of_the_server_precedes_the_path_of_the_request(tmp_path: Path) -> None:
    async with connected(tmp_path, echoing(), path="/k8s/clusters/c-1/") as found:
        body = await found.client.get(PATH)
    assert body == {"request": f"GET /k8s/clusters/c-1{PATH} HTTP/1.1"}


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("system:node:a", "system:node:a"),
        ("a b", "a%20b"),
        ("a\r\nHost: b", "a%0D%0AHost:%20b"),
        ("a?b#c%d", "a%3Fb%23c%25d"),
        ("é", "%C3%A9"),
        ("a/../b", "a/../b"),
    ],
)
async def test_a_name_cannot_change_the_request(tmp_path: Path, name: str, sent: str) -> None:
    requests: list[str] = []
    async with connected(tmp_path, responding(response(b"{}"), requests=requests)) as found:
        await found.client.get(f"{PATH}/{name}", {"labelSelector": "a=b\r\nc"})
    line, *headers = requests[0].splitlines()
    assert line == f"GET {PATH}/{sent}?labelSelector=a%3Db%0D%0Ac HTTP/1.1"
    assert len(headers) == 6


@pytest.mark.parametrize("token", ["two\r\nX-Remote-User: admin", "t\u00f6ken", "a\x00b"])
async def test_a_token_with_characters_that_are_not_allowed_is_never_sent(
    tmp_path: Path, token: str
) -> None:
    async with connected(tmp_path, echoing(), user={"token": token}) as found:
        with pytest.raises(UnreachableError, match="characters that are not allowed") as caught:
            await found.client.get(PATH)
    assert found.server.accepted == 0
    assert "admin" not in str(caught.value)


async def test_the_line_break_at_the_end_of_a_token_file_is_not_sent(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("from-a-file\n")
    requests: list[str] = []
    script = responding(response(b"{}"), requests=requests)
    async with connected(tmp_path, script, user={"tokenFile": str(token)}) as found:
        await found.client.get(PATH)
    assert "Authorization: Bearer from-a-file\r\n" in requests[0]


async def test_a_read_only_client_sends_no_write(tmp_path: Path) -> None:
    options = ClientOptions(read_only=True)
    async with connected(tmp_path, echoing(), options=options) as found:
        with pytest.raises(RuntimeError, match=f"must not send DELETE {PATH}"):
            await found.client.write("DELETE", PATH, None)
    assert found.server.accepted == 0


async def test_each_request_is_observed_with_code_method_and_host(tmp_path: Path) -> None:
    observed: list[tuple[str, str, str]] = []
    script = responding(response(b"{}", "404 Not Found"))
    async with connected(
        tmp_path, script, close_on_request, observer=lambda *each: observed.append(each)
    ) as found:
        with pytest.raises(ApiError):
            await found.client.get(PATH)
        found.server.close_connections()
        await virtual_time.until(lambda: not found.server.connections, "the connection is closed")
        with pytest.raises(UnreachableError):
            await found.client.write("POST", PATH, {})
        host = found.client.config.host
    assert observed == [("404", "GET", host), ("<error>", "POST", host)]


# -- connections -----------------------------------------------------------------------------------


async def test_consecutive_requests_use_one_connection(tmp_path: Path) -> None:
    async with connected(tmp_path, echoing()) as found:
        for _ in range(5):
            assert await found.client.get(PATH) == {"request": f"GET {PATH} HTTP/1.1"}
        assert found.server.accepted == 1


async def test_concurrent_requests_use_a_connection_each_and_get_their_own_responses(
    tmp_path: Path,
) -> None:
    async with connected(tmp_path, echoing()) as found:
        paths = [f"{PATH}/{number}" for number in range(20)]
        bodies = await asyncio.gather(*map(found.client.get, paths))
        assert bodies == [{"request": f"GET {path} HTTP/1.1"} for path in paths]
        assert found.server.accepted == 20


async def test_an_idle_connection_is_closed(tmp_path: Path) -> None:
    async with connected(tmp_path, echoing(), timeouts=Timeouts(idle=0.05)) as found:
        await found.client.get(PATH)
        await virtual_time.until(lambda: not found.server.connections, "it is closed")
        await found.client.get(PATH)
        assert found.server.accepted == 2


async def test_a_connection_that_the_server_closed_is_not_used_again(tmp_path: Path) -> None:
    async with connected(tmp_path, echoing()) as found:
        await found.client.get(PATH)
        found.server.close_connections()
        await virtual_time.until(lambda: not found.server.connections, "it is closed")
        await virtual_time.turns()
        await found.client.write("POST", PATH, {})
        assert found.server.accepted == 2


async def test_a_connection_that_the_server_will_close_is_not_used_again(tmp_path: Path) -> None:
    script = responding(response(b"{}", "200 OK", "Connection: close"))
    async with connected(tmp_path, script) as found:
        await found.client.get(PATH)
        await found.client.get(PATH)
        assert found.server.accepted == 2


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_an_idempotent_request_is_repeated_if_an_idle_connection_ends(
    tmp_path: Path, method: str
) -> None:
    async with connected(tmp_path, respond_once, echoing()) as found:
        await found.client.get(PATH)
        assert await found.client.write(method, PATH, {}) == {
            "request": f"{method} {PATH} HTTP/1.1"
        }
        assert found.server.accepted == 2


async def test_a_get_is_repeated_if_an_idle_connection_ends(tmp_path: Path) -> None:
    async with connected(tmp_path, respond_once, echoing()) as found:
        await found.client.get(PATH)
        assert await found.client.get(PATH) == {"request": f"GET {PATH} HTTP/1.1"}
        assert found.server.accepted == 2


@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_a_request_that_may_have_taken_effect_is_not_repeated(
    tmp_path: Path, method: str
) -> None:
    async with connected(tmp_path, respond_once, echoing()) as found:
        await found.client.get(PATH)
        with pytest.raises(UnreachableError, match="the connection ended before the response did"):
            await found.client.write(method, PATH, {})
        assert found.server.accepted == 1


@pytest.mark.filterwarnings("ignore:Sending a large body")
async def test_a_connection_whose_request_was_not_sent_completely_is_not_used_again(
    tmp_path: Path,
) -> None:
    async def refuse_early(connection: Connection) -> None:
        await connection.reader.readuntil(b"\r\n\r\n")
        await connection.send(response(b"too large", "413 Payload Too Large"))
        await asyncio.sleep(0.2)

    async with connected(tmp_path, refuse_early, echoing()) as found:
        with pytest.raises(ApiError, match="413 : too large"):
            await found.client.write("POST", PATH, {"data": "x" * 50_000_000})
        await found.client.write("POST", PATH, {})
        assert found.server.accepted == 2


async def test_the_response_to_a_cancelled_request_is_not_that_of_the_next(tmp_path: Path) -> None:
    async def respond_late(connection: Connection) -> None:
        await connection.request()
        received.set()
        await cancelled.wait()
        await connection.send(response(b'{"late":1}'))
        sent.set()
        await connection.stay_silent()

    received, cancelled, sent = asyncio.Event(), asyncio.Event(), asyncio.Event()
    async with connected(tmp_path, respond_late, echoing()) as found:
        request = asyncio.create_task(found.client.get(PATH))
        await received.wait()
        request.cancel()
        await asyncio.wait([request])
        cancelled.set()
        await asyncio.wait_for(sent.wait(), 5)
        assert await found.client.get(PATH) == {"request": f"GET {PATH} HTTP/1.1"}


@pytest.mark.parametrize("turns", range(12))
async def test_a_cancelled_request_leaves_no_connection(tmp_path: Path, turns: int) -> None:
    async with connected(tmp_path, never_respond) as found:
        task = asyncio.create_task(found.client.get(PATH))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await virtual_time.until(lambda: not found.server.connections, "the connection is closed")


async def test_closing_ends_requests_and_idle_connections(tmp_path: Path) -> None:
    async with connected(tmp_path, echoing(), never_respond) as found:
        await found.client.get(PATH)
        requests = [asyncio.create_task(found.client.write("POST", PATH, {})) for _ in range(3)]
        await virtual_time.until(lambda: found.server.accepted == 3, "all requests are sent")
        await found.client.close()
        first, *others = await asyncio.gather(*requests, return_exceptions=True)
        assert first == {"request": f"POST {PATH} HTTP/1.1"}
        assert [type(each) for each in others] == [UnreachableError] * 2
        await virtual_time.until(lambda: not found.server.connections, "all are closed")


async def test_a_closed_client_repeats_no_request_and_accepts_none(tmp_path: Path) -> None:
    async with connected(tmp_path, echoing(), never_respond) as found:
        await found.client.get(PATH)
        waiting = [asyncio.create_task(found.client.get(PATH)) for _ in range(3)]
        await virtual_time.until(lambda: found.server.accepted == 3, "all requests are sent")
        await found.client.close()
        _, *others = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(each) for each in others] == [UnreachableError] * 2
        with pytest.raises(UnreachableError, match="the client is closed"):
            await found.client.get(PATH)
        await virtual_time.until(lambda: not found.server.connections, "all are closed")


# -- responses -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pieces",
    [
        chunked(b'{"a"', b":1}"),
        [response(b'{"a":1}', "201 Created")],
        [b"HTTP/1.1 100 Continue\r\n\r\n", response(b'{"a":1}')],
    ],
)
async def test_a_response_is_read_completely(tmp_path: Path, pieces: list[bytes]) -> None:
    async with connected(tmp_path, responding(*pieces)) as found:
        for _ in range(2):
            assert await found.client.get(PATH) == {"a": 1}
        assert found.server.accepted == 1


async def test_a_response_can_be_large(tmp_path: Path) -> None:
    body = {"data": "x" * 9_000_000}
    async with connected(tmp_path, responding(response(json.dumps(body).encode()))) as found:
        assert await found.client.get(PATH) == body


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (response(b'{"kind":"Status","code":404,"message":"gone"}', "404 Not Found"), "gone"),
        (response(b"<html>a gateway</html>", "502 Bad Gateway"), "a gateway"),
        (response(b"", "500 Internal"), "no message"),
    ],
)
async def test_an_error_response_is_reported_with_its_message(
    tmp_path: Path, sent: bytes, expected: str
) -> None:
    async with connected(tmp_path, responding(sent)) as found:
        with pytest.raises(ApiError, match=expected):
            await found.client.get(PATH)


async def test_the_body_of_an_error_can_end_with_its_connection(tmp_path: Path) -> None:
    async def script(connection: Connection) -> None:
        await connection.request()
        head = b"HTTP/1.0 503 Service Unavailable\r\n\r\n"
        await connection.send(head + b"<html>", b"away</html>")

    async with connected(tmp_path, script) as found:
        for _ in range(2):
            with pytest.raises(ApiError, match="<html>away</html>"):
                await found.client.get(PATH)
        assert found.server.accepted == 2


@pytest.mark.parametrize(
    "sent",
    [response(b"", "302 Found", "Location: https://login.example"), response(b"", "304 No")],
)
async def test_a_redirect_is_an_error(tmp_path: Path, sent: bytes) -> None:
    async with connected(tmp_path, responding(sent)) as found:
        with pytest.raises(ApiError, match="an API server does not redirect"):
            await found.client.write("DELETE", PATH, {})
        with pytest.raises(ApiError, match="an API server does not redirect"):
            await found.client.get(PATH)


@pytest.mark.parametrize("sent", [response(b""), response(b"", "204 No Content"), response(b"[]")])
async def test_a_success_without_an_object_is_not_from_an_api_server(
    tmp_path: Path, sent: bytes
) -> None:
    async with connected(tmp_path, responding(sent)) as found:
        with pytest.raises(UnreachableError):
            await found.client.get(PATH)


@pytest.mark.parametrize(
    ("status", "header"),
    [
        ("429 Too Many Requests", "Retry-After: 0"),
        ("429 Too Many Requests", "RETRY-AFTER: 0"),
        ("503 Service Unavailable", "Retry-After: 0"),
    ],
)
async def test_a_throttled_request_is_repeated_after_the_seconds_of_the_response(
    tmp_path: Path, status: str, header: str
) -> None:
    sent = iter([response(b"{}", status, header), response(b'{"a":1}')])
    requests: list[str] = []

    async def script(connection: Connection) -> None:
        while request := await connection.request():
            requests.append(request)
            await connection.send(next(sent))

    async with connected(tmp_path, script) as found:
        assert await found.client.get(PATH) == {"a": 1}
    assert len(requests) == 2


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        (b"220 a mail server\r\n\r\n", "the response is not valid HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n", "the response is not valid HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", "ended before the response did"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "ended before"),
        (b"HTTP/1.1 200", "ended before"),
        (b"", "ended before"),
        (
            b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
            "is not valid JSON",
        ),
    ],
)
async def test_an_incomplete_or_invalid_response_is_reported(
    tmp_path: Path, sent: bytes, message: str
) -> None:
    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(sent)

    async with connected(tmp_path, script, echoing()) as found:
        with pytest.raises(UnreachableError, match=message):
            await found.client.write("POST", PATH, {})
        await found.client.write("POST", PATH, {})


async def test_a_request_without_a_response_is_lost_and_its_connection_closed(
    tmp_path: Path,
) -> None:
    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(b"HTTP/1.1 200 OK\r\n")
        await connection.stay_silent()

    async with connected(tmp_path, script, echoing(), timeouts=SHORT) as found:
        with pytest.raises(UnreachableError, match=r"no response within 0\.05 s"):
            await found.client.get(PATH)
        await found.client.get(PATH)
        assert found.server.accepted == 2


async def test_the_time_limit_includes_the_repeated_request(tmp_path: Path) -> None:
    async def close_late(connection: Connection) -> None:
        await connection.request()
        await connection.send(response(b"{}"))
        await connection.request()
        await asyncio.sleep(0.2)

    timeouts = Timeouts(request=0.5)
    async with connected(tmp_path, close_late, never_respond, timeouts=timeouts) as found:
        await found.client.get(PATH)
        loop = asyncio.get_running_loop()
        began = loop.time()
        with pytest.raises(UnreachableError, match="no response within"):
            await found.client.get(PATH)
        assert loop.time() - began < 0.65
        assert found.server.accepted == 2
