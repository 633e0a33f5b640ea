"""Storage accounts that answer in every wrong way, over a real wire, beside one that is well."""

import asyncio
import contextlib
import http.server
import itertools
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from tests.support.azure import ACCOUNTS, Azurite
from tests.support.azure.offices import Office, wrong_key
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
    text = f"<Error><Code>{code}</Code><Message>a long story, signature=c2VjcmV0</Message></Error>"
    return f'<?xml version="1.0" encoding="utf-8"?>{text}'.encode()


@dataclass
class Answer:
    status: int = 200
    body: bytes = EMPTY_LIST
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass
class Account:
    """Answers everything alike; counts what it was asked."""

    url: str
    answer: Answer = field(default_factory=Answer)
    asked: int = 0


@pytest.fixture
def account() -> Iterator[Account]:
    port = ports.free()
    made = Account(url=f"http://127.0.0.1:{port}/{OTHER}")

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            made.asked += 1
            answer = made.answer
            with contextlib.suppress(OSError):
                if answer.seconds:
                    ended.wait(answer.seconds)
                self.send_response(answer.status)
                content = {"Content-Type": "application/xml", **answer.headers}
                for name, value in {**content, "Content-Length": str(len(answer.body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer.body)

        do_GET = do_PUT = do_DELETE = do_HEAD = handle_any  # noqa: N815 - the library's names

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the same
            """Says nothing."""

    ended = threading.Event()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield made
    ended.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def office(azurite: Azurite, account: Account) -> Iterator[Office]:
    made = Office(azurite, storage_endpoints={OTHER: account.url}, storage_timeout_seconds=1)
    yield made
    made.close()


@pytest.fixture
def name() -> str:
    return f"trouble-{next(_numbers)}"


WRONG = {
    "busy": (Answer(503, failure("ServerBusy")), "StorageAccountBusy"),
    "throttled": (Answer(429, b""), "StorageAccountBusy"),
    "broken": (Answer(500, failure("InternalError")), "StorageAccountBusy"),
    "forbidden": (Answer(403, failure("AuthorizationFailure")), "StorageAccountRefuses"),
    "disabled": (Answer(403, failure("AccountIsDisabled")), "StorageAccountRefuses"),
    "unknown": (Answer(400, failure("OutOfRangeInput")), "StorageAccountRefuses"),
    "nowhere": (Answer(404, b"<html>no such site</html>"), "StorageAccountRefuses"),
    "html": (Answer(200, b"<html><body>Log in first</body></html>"), "StorageAccountUnreadable"),
    "truncated": (Answer(200, EMPTY_LIST[:60]), "StorageAccountUnreadable"),
    "no XML": (Answer(200, b"{}"), "StorageAccountUnreadable"),
    "empty": (Answer(200, b""), "StorageAccountUnreadable"),
    "elsewhere": (Answer(302, b"", {"Location": "http://example.org/"}), "StorageAccountRefuses"),
    "slow": (Answer(seconds=20.0), "StorageAccountSlow"),
}


@pytest.mark.parametrize("how", WRONG)
def test_each_wrong_answer_withholds_the_accounts_own_volumes_and_makes_nothing(
    office: Office, account: Account, name: str, how: str
) -> None:
    account.answer, reason = WRONG[how]
    profile = office.profile(name)
    refused = office.withheld(profile)
    assert {"other": reason} == {key: one.reason for key, one in refused.items()}
    assert OTHER in refused["other"].message
    assert "signature" not in refused["other"].message
    assert refused["other"].after
    assert name in office.azurite.containers()
    troubles = [part for part in office.accounts.components() if part.error]
    assert [f"account/{OTHER}"] == [part.name for part in troubles]
    assert troubles[0].last_success is None

    asked = account.asked
    for _ in range(5):
        assert {"other"} == set(office.withheld(profile))
    assert asked == account.asked


def test_an_account_is_left_alone_as_long_as_it_asks_for(
    office: Office, account: Account, name: str
) -> None:
    account.answer = Answer(503, failure("ServerBusy"), {"Retry-After": "120"})
    after = office.withheld(office.profile(name))["other"].after
    assert after is not None
    assert 119 <= after <= 181


def test_an_account_that_is_back_is_used_without_a_restart(
    office: Office, account: Account, name: str
) -> None:
    account.answer = Answer(500, failure("InternalError"))
    profile = office.profile(name)
    assert {"other"} == set(office.withheld(profile))
    account.answer = Answer()
    waiting.until(
        lambda: office.reasons(profile).get("other") != "StorageAccountBusy", "it is asked again"
    )


def test_many_profiles_do_not_wait_for_a_slow_account_one_after_the_other(
    office: Office, account: Account, name: str
) -> None:
    account.answer = Answer(seconds=20.0)
    profiles = [office.profile(f"{name}-{number}") for number in range(16)]
    for profile in profiles:
        assert {"other"} == set(office.withheld(profile))
    assert account.asked < 8
    assert {one.name for one in profiles} <= set(office.azurite.containers())


def test_a_key_that_changes_under_slow_requests_leaves_nothing_behind(
    azurite: Azurite, account: Account, name: str
) -> None:
    office = Office(
        azurite,
        storage_endpoints={OTHER: account.url},
        storage_timeout_seconds=1,
        storage_requests=1,
    )
    account.answer = Answer(seconds=20.0)
    profiles = [office.profile(f"{name}-{number}") for number in range(4)]

    async def at_once() -> None:
        office.accounts.read(office.kept)
        names = frozenset(office.profiles)
        asked = [asyncio.create_task(office.accounts.withheld(one, {}, names)) for one in profiles]
        await asyncio.sleep(0)
        office.secrets["other"] = wrong_key(OTHER)
        assert office.accounts.read(office.kept)
        for answer in await asyncio.gather(*asked):
            assert {"other"} == set(answer)
        assert {} == office.accounts._asked

    office.run(at_once())
    office.close()
