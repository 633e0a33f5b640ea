"""What the probes say of a process. Asked from the thread that serves them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from controllers.runtime.cache.informer import Informer
from controllers.runtime.cache.profiles import ProfileStore
from controllers.runtime.manager.profile_watch.watch import ProfileWatch
from controllers.runtime.manager.servers import Check
from controllers.runtime.options import Options
from controllers.runtime.reconcile.reconciler import Reconciler

_BEAT = 1.0


class Health:
    """Whether the parts of a process do what they should."""

    def __init__(
        self,
        profiles: ProfileStore,
        watch: ProfileWatch,
        informers: Mapping[str, Informer],
        reconcilers: Mapping[str, Reconciler],
        options: Options,
        *,
        clock: Callable[[], float],
    ) -> None:
        """Looks at these parts, and at nothing else, whenever it is asked."""
        self.standby = ""
        """Why this process does not lead; empty while it does."""
        self._profiles = profiles
        self._watch = watch
        self._informers = informers
        self._reconcilers = reconcilers
        self._hang_bound = options.hang_bound
        self._watch_down_bound = options.watch_down_bound
        self._clock = clock
        self._beat = clock()

    async def beat(self) -> None:
        """Show that the event loop turns, until cancelled."""
        while True:
            self._beat = self._clock()
            await asyncio.sleep(_BEAT)

    def live(self) -> list[Check]:
        """Whether the event loop turns and no worker hangs."""
        bound = self._hang_bound
        stuck = self._clock() - self._beat
        checks = [Check(name="loop", trouble=f"blocked for {stuck:.0f} s" if stuck > bound else "")]
        for name, reconciler in self._reconcilers.items():
            longest = max(reconciler.queue.running_seconds(), default=0.0)
            trouble = f"a reconcile runs for {longest:.0f} s" if longest > bound else ""
            checks.append(Check(name=f"workers/{name}", trouble=trouble))
        return checks

    def ready(self) -> list[Check]:
        """Whether every list is complete, and no watch has been down for longer than the bound."""
        checks = [
            self._check(
                "profiles", self._profiles.synced, self._watch.down_since, self._watch.health()
            )
        ]
        for kind, one in self._informers.items():
            name = f"informer/{kind}"
            reflector = one.reflector
            health = reflector.health()
            if reflector.not_served and one.kind.optional:
                checks.append(Check(name=name, note=f"waiting: {health}"))
            else:
                checks.append(self._check(name, one.synced, reflector.down_since, health))
        for name, reconciler in self._reconcilers.items():
            if reconciler.external is None:
                continue
            for component in reconciler.external.components():
                # Never a failure: a restart repairs no external system, and other work continues.
                check = Check(name=f"external/{name}/{component.name}", note=component.error)
                checks.append(check)
        checks.append(Check(name="leading", note=self.standby))
        return checks

    def _check(self, name: str, synced: bool, down_since: float | None, trouble: str) -> Check:  # noqa: FBT001
        down = 0.0 if down_since is None else self._clock() - down_since
        if not synced:
            return Check(name=name, trouble=trouble or "not listed yet")
        if down > self._watch_down_bound:
            return Check(name=name, trouble=f"watch down for {down:.0f} s: {trouble}")
        return Check(name=name, note=f"watch down for {down:.0f} s: {trouble}" if trouble else "")
