"""Tests marked virtual_time run on a loop whose clock jumps; all others on an ordinary one."""

import asyncio
from collections.abc import Callable, Mapping

import pytest

from tests.support.fakes import virtual_time


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "virtual_time: timers are due at once; for tests without sockets and threads"
    )


def pytest_asyncio_loop_factories(
    config: pytest.Config,  # noqa: ARG001 - pytest's signature
    item: pytest.Item,
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    if item.get_closest_marker("virtual_time"):
        return {"virtual": virtual_time.VirtualLoop}
    return {"real": asyncio.new_event_loop}
