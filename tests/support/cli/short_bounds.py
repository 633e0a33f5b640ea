"""The command line with short bounds, so that no test waits a minute for a probe to fail.

`python -m tests.support.cli.short_bounds all ...` runs as `python -m profiles_controller all ...`.
It adds two controllers that hang: `await` waits for ever, and `block` blocks the event loop.
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
from controllers.runtime.controller import AnyController, CacheReader, Controller, always
from controllers.runtime.manager import process
from controllers.runtime.manager.manager import Assembly
from controllers.runtime.options import Connection, Options
from profiles_controller.cli.app import build
from profiles_controller.deps import World

WATCH_DOWN_BOUND = 2.0
HANG_BOUND = 2.0
BLOCKED_SECONDS = 8.0


class NoSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def nothing(_profile: Profile, _facts: None, _settings: NoSettings) -> Desired:
    return Desired()


async def wait_for_ever(
    _profile: Profile, _cache: CacheReader, _settings: object, _external: object
) -> None:
    await asyncio.Event().wait()


async def block_the_loop(
    _profile: Profile, _cache: CacheReader, _settings: object, _external: object
) -> None:
    time.sleep(BLOCKED_SECONDS)  # noqa: ASYNC251 - the very mistake that /livez is there to tell


HANGING: tuple[AnyController, ...] = tuple(
    Controller(
        name=name,
        summary=f"Hangs: {name}.",
        settings=NoSettings,
        facts=None,
        owned=always(),
        desired=nothing,
        observe=observe,
    )
    for name, observe in (("await", wait_for_ever), ("block", block_the_loop))
)


async def run(assemblies: Sequence[Assembly], connection: Connection, options: Options) -> int:
    shorter = dataclasses.replace(options, watch_down_bound=WATCH_DOWN_BOUND, hang_bound=HANG_BOUND)
    return await process.run(assemblies, connection, shorter)


def main() -> None:
    both = (*registry.controllers(), *HANGING)
    build(World(registry=both, environment=os.environ, run=run))()


if __name__ == "__main__":
    main()
