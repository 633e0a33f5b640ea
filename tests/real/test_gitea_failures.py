"""Failures of a real Postgres server: the reason is reported without a secret, and work resumes."""

import asyncio
import io
import logging
import traceback
from collections.abc import Iterator

import pytest
import structlog

from controllers.gitea.postgres.accounts import DatabaseCredentials
from controllers.runtime.external.errors import ExternalError, Scope
from tests.support.postgres.databases import (
    STRONG_PASSWORD,
    Clock,
    ensure_in_new_process,
    new_owner,
    new_server,
)
from tests.support.postgres.outages import OUTAGES
from tests.support.postgres.server import ADMIN_PASSWORD, Postgres
from tests.support.postgres.tls_proxy import ProxyMode

pytestmark = pytest.mark.xdist_group("postgres")


@pytest.fixture
def logs() -> Iterator[io.StringIO]:
    """Everything that is logged, also by the driver."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(stream))
    yield stream
    structlog.reset_defaults()
    root.removeHandler(handler)
    root.setLevel(level)


# Outages


@pytest.mark.parametrize("name", OUTAGES)
async def test_an_outage_is_reported_without_a_secret_until_it_ends(
    own_postgres: Postgres, logs: io.StringIO, name: str
) -> None:
    outage, clock, owner = OUTAGES[name], Clock(), new_owner()
    in_secret = DatabaseCredentials(
        user=owner.database, password=f"{name}-secret-{STRONG_PASSWORD}"
    )
    server = new_server(own_postgres, clock, **dict(outage.settings))
    with outage.cause(own_postgres):
        with pytest.raises(ExternalError) as error:
            await server.ensure_database(owner, in_secret)
        reported = server.status().error

    assert outage.reason == error.value.reason
    assert f"localhost:{own_postgres.port}" in str(error.value)
    assert (str(error.value) if outage.scope is Scope.SYSTEM else "") == reported
    shown = "".join(traceback.format_exception(error.value)) + repr(error.value.__dict__)
    for secret in (in_secret.password, ADMIN_PASSWORD, "changed-by-somebody", "SCRAM-SHA-256$"):
        assert secret not in shown
        assert secret not in logs.getvalue()

    recovered = new_server(own_postgres, clock) if outage.settings else server
    clock.now = 301.0
    assert in_secret == await recovered.ensure_database(owner, in_secret)
    assert "" == recovered.status().error
    await recovered.close()
    await server.close()


async def test_the_log_of_the_server_contains_no_password(own_postgres: Postgres) -> None:
    owner = new_owner()
    credentials = await ensure_in_new_process(own_postgres, owner)
    changed = DatabaseCredentials(user=credentials.user, password="edited by hand, and weak")
    other = await ensure_in_new_process(own_postgres, owner, changed)

    log = own_postgres.log()
    assert f'ALTER ROLE "{owner.database}" PASSWORD' in log
    for secret in (credentials.password, changed.password, other.password):
        assert secret not in log


async def test_a_request_fails_when_the_server_stops_responding_on_an_open_connection(
    own_postgres: Postgres,
) -> None:
    clock = Clock()
    server = new_server(own_postgres, clock, psql_connect_timeout=0.5, psql_statement_timeout=2.0)
    await server.ensure_database(new_owner(), None)
    own_postgres.proxy.mode = ProxyMode.FROZEN
    try:
        async with asyncio.timeout(30):
            with pytest.raises(ExternalError) as error:
                await server.ensure_database(new_owner(), None)
    finally:
        own_postgres.proxy.mode = ProxyMode.FORWARD
    assert "PostgresTimeout" == error.value.reason
    clock.now = 61.0
    assert (await server.ensure_database(new_owner(), None)).is_strong
    await server.close()


async def test_an_unreachable_server_receives_no_requests_for_any_tenant_until_it_recovers(
    own_postgres: Postgres,
) -> None:
    clock = Clock()
    server = new_server(own_postgres, clock)
    with OUTAGES["stopped"].cause(own_postgres):
        await asyncio.gather(
            *(server.ensure_database(new_owner(), None) for _ in range(8)), return_exceptions=True
        )
        connections = own_postgres.proxy.connections
        for _ in range(20):
            with pytest.raises(ExternalError, match="localhost") as error:
                await server.ensure_database(new_owner(), None)
        assert len(traceback.extract_tb(error.value.__traceback__)) < 10
        assert connections == own_postgres.proxy.connections
        # Failures of concurrent requests count once.
        assert 1.0 == error.value.retry_after
        clock.now = 2.5
        with pytest.raises(ExternalError) as error:
            await server.ensure_database(new_owner(), None)
        assert 2.0 == error.value.retry_after
    assert server.status().last_success is None

    clock.now = 8.0
    await server.collect_garbage(lambda _name, _uid: False)  # no reconcile is due
    assert "" == server.status().error
    assert server.status().last_success is not None
    assert (await server.ensure_database(new_owner(), None)).is_strong
    await server.close()
