"""Storage accounts that fail in every way, over real connections, beside a healthy one."""

import asyncio
import contextlib
import http.server
import itertools
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from tests.support.azure import ACCOUNTS, Azurite
from tests.support.azure.account_harness import AccountHarness, wrong_key
from tests.support.cluster import waiting
from tests.support.controlplane import ports

pytestmark = pytest.mark.xdist_group("azurite")

OTHER = ACCOUNTS[1]
EMPTY_LIST = (
    b'<?xml version="1.0" encoding="utf-8"?><EnumerationResults ServiceEndpoint="http://x/">'
    b"<Containers/><NextMarker/></EnumerationResults>"
)
_numbers = itertools.count(1)


def failure(code: str) -> bytes:
    text = (
        f"<Error><Code>{code}</Code><Message>a long message, signature=c2VjcmV0</Message></Error>"
    )
    return f'<?xml version="1.0" encoding="utf-8"?>{text}'.encode()


@dataclass
class CannedResponse:
    status: int = 200
    body: bytes = EMPTY_LIST
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass
class FailingAccount:
    """A server that sends one response to every request."""

    url: str
    response: CannedResponse = field(default_factory=CannedResponse)
    requests: int = 0


@pytest.fixture
def account() -> Iterator[FailingAccount]:
    port = ports.free()
    failing = FailingAccount(url=f"http://127.0.0.1:{port}/{OTHER}")

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            failing.requests += 1
            response = failing.response
            with contextlib.suppress(OSError):
                if response.seconds:
                    ended.wait(response.seconds)
                self.send_response(response.status)
                content = {"Content-Type": "application/xml", **response.headers}
                for name, value in {**content, "Content-Length": str(len(response.body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(response.body)

        do_GET = do_PUT = do_DELETE = do_HEAD = handle_any  # noqa: N815 - the library's names

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the same
            """Log nothing."""

    ended = threading.Event()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield failing
    ended.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def harness(azurite: Azurite, account: FailingAccount) -> Iterator[AccountHarness]:
    created = AccountHarness(
        azurite, storage_endpoints={OTHER: account.url}, storage_timeout_seconds=1
    )
    yield created
    created.close()


@pytest.fixture
def name() -> str:
    return f"errors-{next(_numbers)}"


FAILURES = {
    "busy": (CannedResponse(503, failure("ServerBusy")), "StorageAccountBusy"),
    "throttled": (CannedResponse(429, b""), "StorageAccountBusy"),
    "broken": (CannedResponse(500, failure("InternalError")), "StorageAccountBusy"),
    "forbidden": (
        CannedResponse(403, failure("AuthorizationFailure")),
        "StorageAccountRequestRejected",
    ),
    "disabled": (
        CannedResponse(403, failure("AccountIsDisabled")),
        "StorageAccountRequestRejected",
    ),
    "unknown": (CannedResponse(400, failure("OutOfRangeInput")), "StorageAccountRequestRejected"),
    "no such site": (
        CannedResponse(404, b"<html>no such site</html>"),
        "StorageAccountRequestRejected",
    ),
    "a login page": (
        CannedResponse(200, b"<html><body>Log in first</body></html>"),
        "StorageAccountInvalidResponse",
    ),
    "truncated": (CannedResponse(200, EMPTY_LIST[:60]), "StorageAccountInvalidResponse"),
    "no XML": (CannedResponse(200, b"{}"), "StorageAccountInvalidResponse"),
    "empty": (CannedResponse(200, b""), "StorageAccountInvalidResponse"),
    "redirect": (
        CannedResponse(302, b"", {"Location": "http://example.org/"}),
        "StorageAccountRequestRejected",
    ),
    "slow": (CannedResponse(seconds=20.0), "StorageAccountTimeout"),
}


@pytest.mark.parametrize("how", FAILURES)
def test_each_failure_affects_the_instances_of_its_account_only(
    harness: AccountHarness, account: FailingAccount, name: str, how: str
) -> None:
    account.response, reason = FAILURES[how]
    profile = harness.profile(name)
    refused = harness.unavailable(profile)
    assert {"other": reason} == {key: one.reason for key, one in refused.items()}
    assert OTHER in refused["other"].message
    assert "signature" not in refused["other"].message
    assert refused["other"].retry_after
    assert name in harness.azurite.containers()
    (failed,) = [one for one in harness.accounts.components() if one.error]
    assert f"storage-account/{OTHER}" == failed.name
    assert failed.last_success is None

    calls = account.requests
    for _ in range(5):
        assert {"other"} == set(harness.unavailable(profile))
    assert calls == account.requests


def test_an_account_is_retried_after_its_retry_after_header(
    harness: AccountHarness, account: FailingAccount, name: str
) -> None:
    account.response = CannedResponse(503, failure("ServerBusy"), {"Retry-After": "120"})
    after = harness.unavailable(harness.profile(name))["other"].retry_after
    assert after is not None
    assert 119 <= after <= 181


def test_a_recovered_account_is_used_without_a_restart(
    harness: AccountHarness, account: FailingAccount, name: str
) -> None:
    account.response = CannedResponse(500, failure("InternalError"))
    profile = harness.profile(name)
    assert {"other"} == set(harness.unavailable(profile))
    account.response = CannedResponse()
    waiting.until(
        lambda: harness.reasons(profile).get("other") != "StorageAccountBusy", "it is retried"
    )


def test_a_slow_account_does_not_delay_each_of_many_profiles(
    harness: AccountHarness, account: FailingAccount, name: str
) -> None:
    account.response = CannedResponse(seconds=20.0)
    profiles = [harness.profile(f"{name}-{number}") for number in range(16)]
    for profile in profiles:
        assert {"other"} == set(harness.unavailable(profile))
    assert account.requests < 8
    assert {one.name for one in profiles} <= set(harness.azurite.containers())


def test_a_key_that_changes_during_slow_requests_ends_them(
    azurite: Azurite, account: FailingAccount, name: str
) -> None:
    harness = AccountHarness(
        azurite,
        storage_endpoints={OTHER: account.url},
        storage_timeout_seconds=1,
        storage_requests=1,
    )
    account.response = CannedResponse(seconds=20.0)
    profiles = [harness.profile(f"{name}-{number}") for number in range(4)]

    async def at_once() -> None:
        harness.accounts.update_secrets(harness.read_cache)
        names = frozenset(harness.profiles)
        calls = [
            asyncio.create_task(harness.accounts.unavailable(one, {}, names)) for one in profiles
        ]
        await asyncio.sleep(0)
        harness.secrets["other"] = wrong_key(OTHER)
        assert harness.accounts.update_secrets(harness.read_cache)
        for response in await asyncio.gather(*calls):
            assert {"other"} == set(response)

    harness.run(at_once())
    harness.close()
