"""The command line with short timeouts, so that no test waits a minute for a failing probe.

`python -m tests.support.cli.short_timeouts all ...` runs like `python -m profiles_controller all`.
It adds two controllers that hang: `await` waits forever, and `block` blocks the event loop.
"""

import asyncio
import dataclasses
import os
import time
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from controllers import registry
from controllers.desired import Desired
from controllers.profiles import Profile
from controllers.runtime.controller import (
    AnyController,
    CacheReader,
    ConfiguredController,
    Controller,
    always,
)
from controllers.runtime.manager import process
from controllers.runtime.options import Connection, Options
from profiles_controller.cli.app import build
from profiles_controller.deps import Dependencies

WATCH_DOWN_SECONDS = 2.0
HANG_SECONDS = 2.0
BLOCKED_SECONDS = 8.0


class NoSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def no_manifests(_profile: Profile, _facts: None, _settings: NoSettings) -> Desired:
    return Desired()


async def wait_forever(
    _profile: Profile, _cache: CacheReader, _settings: object, _external: object
) -> None:
    await asyncio.Event().wait()


async def block_the_loop(
    _profile: Profile, _cache: CacheReader, _settings: object, _external: object
) -> None:
    time.sleep(BLOCKED_SECONDS)  # noqa: ASYNC251 - /livez has to detect this mistake


HANGING: tuple[AnyController, ...] = tuple(
    Controller(
        name=name,
        summary=f"Hangs: {name}.",
        settings=NoSettings,
        facts=None,
        owned=always(),
        desired=no_manifests,
        observe=observe,
    )
    for name, observe in (("await", wait_forever), ("block", block_the_loop))
)


async def run(
    controllers: Sequence[ConfiguredController], connection: Connection, options: Options
) -> int:
    shorter = dataclasses.replace(
        options, watch_down_timeout=WATCH_DOWN_SECONDS, hang_timeout=HANG_SECONDS
    )
    return await process.run(controllers, connection, shorter)


def main() -> None:
    controllers = (*registry.controllers(), *HANGING)
    build(Dependencies(registry=controllers, environment=os.environ, run=run))()


if __name__ == "__main__":
    main()
