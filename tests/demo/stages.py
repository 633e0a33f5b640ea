"""Where scenes are played: the cluster, the suite, what is seen of them, and what must hold."""

import collections
import dataclasses
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from controllers.manifests import COMPONENT_LABEL, Key
from controllers.profiles import KIND
from controllers.runtime.controller import AnyController
from controllers.runtime.objects.kinds import KINDS
from tests.demo.suites import Suite
from tests.demo.tenants import Tenant
from tests.demo.worlds import World
from tests.support.cluster import kubeflow
from tests.support.controlplane import ControlPlane, Json

BOUND_SECONDS = 120.0  # a busy machine is slow at times; where all is well it takes milliseconds
STATUS_OF_PAUSED = "Unknown"
MERGE_PATCH = "application/merge-patch+json"


class UnmetError(Exception):
    """Something that the suite promises did not happen in time; the text says what, and where."""


@dataclasses.dataclass(kw_only=True)
class Stage:
    """Everything that a scene may touch. `cast` is who should be there now, by name."""

    plane: ControlPlane
    world: World
    suite: Suite
    controllers: Sequence[AnyController]
    cast: dict[str, Tenant]

    @property
    def kinds(self) -> list[str]:
        """Profiles, and whatever a controller keeps."""
        return [
            KIND,
            *sorted({own.kind for each in self.controllers for own in each.default_owned()}),
        ]

    def enter(self, tenant: Tenant) -> Json:
        """The Profile alone, as its owner makes it."""
        self.cast[tenant.name] = tenant
        return kubeflow.create_profile(
            self.plane,
            tenant.name,
            owner=tenant.owner,
            labels=tenant.labels,
            annotations=tenant.annotations,
        )

    def patch(self, key: Key, patch: Json) -> Json:
        """As somebody with the right to do it."""
        path = KINDS[key.kind].path(key.namespace, key.name)
        return self.plane.request("PATCH", path, patch, MERGE_PATCH)

    def delete(self, key: Key) -> None:
        """Likewise."""
        self.plane.request("DELETE", KINDS[key.kind].path(key.namespace, key.name))

    def wait(self, lacking: Callable[[], str], what: str) -> float:
        """The time at which nothing lacks any more; raises UnmetError, which begins with `what`."""
        lack = self.world.wait(lacking, BOUND_SECONDS, self.suite.check)
        if lack:
            raise UnmetError(f"{what}: not within {BOUND_SECONDS:.0f} s: {lack}")
        return time.monotonic()

    def unsettled(self) -> str:
        """The first tenant whose quota or whose condition is not what it should be."""
        for tenant in self.cast.values():
            if lack := self.withheld(tenant):
                return lack
            for controller in self.controllers:
                if lack := self._misjudged(tenant, controller):
                    return lack
        return ""

    def _misjudged(self, tenant: Tenant, controller: AnyController) -> str:
        found = self.world.condition(tenant.name, controller.condition)
        status, word = expected(tenant, controller.name)
        if found.status == status and word in found.message:
            return ""
        saying = f" saying {word!r}" if word else ""
        return (
            f"{tenant.name}: condition {controller.condition} should be {status}{saying},"
            f" and is {found.status or 'absent'} {found.message!r}"
        )

    def withheld(self, tenant: Tenant) -> str:
        """What of the tenant's quota is not in force."""
        found = self.world.get(Key("ResourceQuota", tenant.name, "quotas")) or {}
        hard = found.get("spec", {}).get("hard", {})
        for name, value in tenant.quota.items():
            if hard.get(name) != value:
                return f"{tenant.name} has {name} {hard.get(name)!r} in force, expected {value!r}"
        return ""

    def population(self, tenant: str) -> Mapping[tuple[str, str], int]:
        """How many objects of each kind each controller keeps for the tenant."""
        return collections.Counter(
            (body["metadata"]["labels"][COMPONENT_LABEL], key.kind)
            for key, body in self.world.kept(tenant).items()
        )

    def incomplete(self, tenant: str, model: str) -> str:
        """What the tenant lacks that the model, who never was disturbed, has."""
        lack = collections.Counter(self.population(model))
        lack.subtract(self.population(tenant))
        for (controller, kind), count in lack.items():
            if count > 0:
                return f"{tenant} lacks {count} {kind} of {controller}"
        return ""

    def meddled(self, names: Iterable[str]) -> str:
        """The first of these where the suite keeps an object although it must not."""
        for name in names:
            for key in self.world.kept(name):
                return f"{key} was written, and nothing may be written there"
        return ""


def expected(tenant: Tenant, controller: str) -> tuple[str, str]:
    """Status, and a word of the message, of the condition that the tenant should see."""
    if tenant.foreign:
        return "False", "not controlled"
    if tenant.paused:
        return STATUS_OF_PAUSED, "paused"
    if word := tenant.unready.get(controller):
        return "False", word
    return "True", ""
