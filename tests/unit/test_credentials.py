"""Who we are by a kubeconfig, whose token somebody rotates."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import yaml

from controllers.runtime.client import config, pools
from controllers.runtime.options import Connection

pytestmark = pytest.mark.virtual_time


def write(file: Path, **user: str) -> None:
    """A kubeconfig of one user."""
    file.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "here",
                "clusters": [{"name": "here", "cluster": {"server": "https://127.0.0.1:1"}}],
                "contexts": [{"name": "here", "context": {"cluster": "here", "user": "us"}}],
                "users": [{"name": "us", "user": user}],
            }
        )
    )


@asynccontextmanager
async def loaded(file: Path) -> AsyncIterator[config.Credentials]:
    found = await config.load(Connection(kubeconfig=file))
    try:
        yield found
    finally:
        await found.close()


async def sent(found: config.Credentials) -> str:
    """The header, as it is once the moment is over for which one is kept."""
    return (await found._authorization())["Authorization"]


async def test_a_token_that_is_rotated_in_the_kubeconfig_is_used_a_minute_later(
    tmp_path: Path,
) -> None:
    file = tmp_path / "kubeconfig"
    write(file, token="one")
    async with loaded(file) as found:
        assert "Bearer one" == await sent(found)

        write(file, token="two")
        await asyncio.sleep(config.REREAD + 1)

        assert "Bearer two" == await sent(found)


async def test_a_token_in_a_file_that_the_kubeconfig_names_is_read_again(tmp_path: Path) -> None:
    token, file = tmp_path / "token", tmp_path / "kubeconfig"
    token.write_text("one")
    write(file, tokenFile=str(token))
    async with loaded(file) as found:
        token.write_text("two")
        await asyncio.sleep(config.REREAD + 1)

        assert "Bearer two" == await sent(found)


@pytest.mark.parametrize("text", ["", "users: [", "kind: Config"])
async def test_a_kubeconfig_that_is_half_written_costs_nothing(tmp_path: Path, text: str) -> None:
    file = tmp_path / "kubeconfig"
    write(file, token="one")
    async with loaded(file) as found:
        file.write_text(text)
        await asyncio.sleep(config.REREAD + 1)
        assert "Bearer one" == await sent(found)

        write(file, token="two")
        await asyncio.sleep(3 * config.REREAD)
        assert "Bearer two" == await sent(found)


async def test_idle_connections_are_kept_for_less_than_the_api_server_keeps_them(
    tmp_path: Path,
) -> None:
    file = tmp_path / "kubeconfig"
    write(file, token="a")
    async with loaded(file) as found, found.session() as session:
        assert session.connector is not None
        assert session.connector._keepalive_timeout == pools.IDLE < 90
