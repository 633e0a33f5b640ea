"""What goes wrong with a real Postgres: said in words without a secret, bounded, and over again."""

import asyncio
import io
import logging
import traceback
from collections.abc import Iterator

import pytest
import structlog

from controllers.gitea.postgres.accounts import Account
from controllers.gitea.postgres.tenants import DatabaseError
from tests.support.postgres.databases import SOUND, Clock, ensured, server_of, tenant
from tests.support.postgres.outages import TROUBLES
from tests.support.postgres.server import ADMIN_PASSWORD, Postgres
from tests.support.postgres.tls_front import Mood

pytestmark = pytest.mark.xdist_group("postgres")


@pytest.fixture
def spoken() -> Iterator[io.StringIO]:
    """All that is logged, of the driver too."""
    heard = io.StringIO()
    handler = logging.StreamHandler(heard)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(heard))
    yield heard
    structlog.reset_defaults()
    root.removeHandler(handler)
    root.setLevel(level)


# What goes wrong


@pytest.mark.parametrize("name", TROUBLES)
async def test_a_trouble_is_named_without_a_secret_and_over_when_it_is_cured(
    own_postgres: Postgres, spoken: io.StringIO, name: str
) -> None:
    trouble, clock, whose = TROUBLES[name], Clock(), tenant()
    held = Account(user=whose.name, password=f"{name}-held-{SOUND}")
    server = server_of(own_postgres, clock, **dict(trouble.settings))
    with trouble.cause(own_postgres):
        with pytest.raises(DatabaseError) as error:
            await server.ensure(whose, held)
        told = server.status().error
    await server.close()

    assert trouble.reason == error.value.reason
    assert f"localhost:{own_postgres.port}" in str(error.value)
    assert (str(error.value) if trouble.everybody else "") == told
    shown = "".join(traceback.format_exception(error.value)) + repr(error.value.__dict__)
    for secret in (held.password, ADMIN_PASSWORD, "changed-by-somebody", "SCRAM-SHA-256$"):
        assert secret not in shown
        assert secret not in spoken.getvalue()

    cured = server_of(own_postgres, clock) if trouble.settings else server
    clock.now = 301.0
    assert held == await cured.ensure(whose, held)
    assert "" == cured.status().error
    await cured.close()


async def test_no_word_of_the_server_shows_a_password(own_postgres: Postgres) -> None:
    whose = tenant()
    account = await ensured(own_postgres, whose)
    changed = Account(user=account.user, password="edited by hand, and weak")
    other = await ensured(own_postgres, whose, changed)

    log = own_postgres.log()
    assert f'ALTER ROLE "{whose.name}" PASSWORD' in log
    for secret in (account.password, changed.password, other.password):
        assert secret not in log


async def test_a_server_that_falls_silent_in_the_middle_is_given_up(
    own_postgres: Postgres,
) -> None:
    clock = Clock()
    server = server_of(own_postgres, clock, psql_connect_timeout=0.5, psql_statement_timeout=2.0)
    await server.ensure(tenant(), None)
    own_postgres.front.mood = Mood.FROZEN
    try:
        async with asyncio.timeout(30):
            with pytest.raises(DatabaseError) as error:
                await server.ensure(tenant(), None)
    finally:
        own_postgres.front.mood = Mood.WELL
    assert "PostgresSlow" == error.value.reason
    clock.now = 61.0
    assert (await server.ensure(tenant(), None)).is_sound
    await server.close()


async def test_a_server_that_is_away_is_asked_for_nobody_and_found_again(
    own_postgres: Postgres,
) -> None:
    clock = Clock()
    server = server_of(own_postgres, clock)
    with TROUBLES["away"].cause(own_postgres):
        await asyncio.gather(
            *(server.ensure(tenant(), None) for _ in range(8)), return_exceptions=True
        )
        asked = own_postgres.front.connections
        for _ in range(20):
            with pytest.raises(DatabaseError, match="localhost") as error:
                await server.ensure(tenant(), None)
        assert len(traceback.extract_tb(error.value.__traceback__)) < 10
        assert asked == own_postgres.front.connections
        # Those that failed together count once.
        assert 2.0 <= server.retry_seconds("any") <= 2.4
        clock.now = 2.5
        with pytest.raises(DatabaseError):
            await server.ensure(tenant(), None)
        assert 4.0 <= server.retry_seconds("any") <= 4.8
    assert server.status().last_success is None

    clock.now = 8.0
    await server.sweep(lambda _name, _uid: False)  # nobody else asks
    assert "" == server.status().error
    assert server.status().last_success is not None
    assert (await server.ensure(tenant(), None)).is_sound
    await server.close()
