"""The cluster, the controllers' process and the Profiles that should exist, with their checks."""

import collections
import dataclasses
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from controllers.manifests import COMPONENT_LABEL, Key
from controllers.profiles import KIND
from controllers.runtime.controller import AnyController
from controllers.runtime.objects.kinds import KINDS
from tests.demo.process import ManagerProcess
from tests.demo.state import ClusterState
from tests.demo.tenants import Tenant
from tests.support.cluster import kubeflow
from tests.support.controlplane import ControlPlane, Json

TIMEOUT_SECONDS = 120.0  # for a busy machine; a recovery usually takes milliseconds
STATUS_OF_PAUSED = "Unknown"
MERGE_PATCH = "application/merge-patch+json"


class ExpectationError(Exception):
    """An expected state was not reached in time. The message names the object and the state."""


@dataclasses.dataclass(kw_only=True)
class Environment:
    """What a step may use. `tenants` has the Profiles that should exist now, by name."""

    plane: ControlPlane
    state: ClusterState
    manager: ManagerProcess
    controllers: Sequence[AnyController]
    tenants: dict[str, Tenant]

    @property
    def kinds(self) -> list[str]:
        """Profiles, and the kinds that the controllers own."""
        owned = {own.kind for each in self.controllers for own in each.default_owned()}
        return [KIND, *sorted(owned)]

    def create_profile(self, tenant: Tenant) -> Json:
        """Creates the Profile, without a namespace."""
        self.tenants[tenant.name] = tenant
        return kubeflow.create_profile(
            self.plane,
            tenant.name,
            owner=tenant.owner,
            labels=tenant.labels,
            annotations=tenant.annotations,
        )

    def patch(self, key: Key, patch: Json) -> Json:
        """Patches an object as the administrator."""
        path = KINDS[key.kind].path(key.namespace, key.name)
        return self.plane.request("PATCH", path, patch, MERGE_PATCH)

    def delete(self, key: Key) -> None:
        """Deletes an object as the administrator."""
        self.plane.request("DELETE", KINDS[key.kind].path(key.namespace, key.name))

    def wait(self, pending: Callable[[], str], what: str) -> float:
        """Waits until `pending` returns an empty text; returns the monotonic time.

        Raises ExpectationError, with `what` and the pending text.
        """
        text = self.state.wait(pending, TIMEOUT_SECONDS, self.manager.check)
        if text:
            raise ExpectationError(f"{what}: not within {TIMEOUT_SECONDS:.0f} s: {text}")
        return time.monotonic()

    def unexpected_status(self) -> str:
        """The first tenant with an unexpected quota or condition, or an empty text."""
        for tenant in self.tenants.values():
            if text := self._unexpected_quota(tenant):
                return text
            for controller in self.controllers:
                if text := self._unexpected_condition(tenant, controller):
                    return text
        return ""

    def _unexpected_condition(self, tenant: Tenant, controller: AnyController) -> str:
        found = self.state.condition(tenant.name, controller.condition)
        status, word = expected_condition(tenant, controller.name)
        if found.status == status and word in found.message:
            return ""
        containing = f" with {word!r}" if word else ""
        return (
            f"{tenant.name}: condition {controller.condition} should be {status}{containing},"
            f" and is {found.status or 'absent'} {found.message!r}"
        )

    def _unexpected_quota(self, tenant: Tenant) -> str:
        found = self.state.get(Key("ResourceQuota", tenant.name, "quotas")) or {}
        hard = found.get("spec", {}).get("hard", {})
        for name, value in tenant.quota.items():
            if hard.get(name) != value:
                return f"{tenant.name} has {name}={hard.get(name)!r}, expected {value!r}"
        return ""

    def object_counts(self, tenant: str) -> Mapping[tuple[str, str], int]:
        """The number of the tenant's objects by controller and kind."""
        return collections.Counter(
            (body["metadata"]["labels"][COMPONENT_LABEL], key.kind)
            for key, body in self.state.owned(tenant).items()
        )

    def missing_objects(self, tenant: str, reference: str) -> str:
        """The first objects that the reference tenant has and this one lacks, or an empty text."""
        counts = collections.Counter(self.object_counts(reference))
        counts.subtract(self.object_counts(tenant))
        for (controller, kind), count in counts.items():
            if count > 0:
                return f"{tenant} lacks {count} {kind} of {controller}"
        return ""

    def unwanted_object(self, names: Iterable[str]) -> str:
        """The first object of tenants in whose namespaces nothing may be written."""
        for name in names:
            for key in self.state.owned(name):
                return f"{key} was written, and nothing may be written there"
        return ""


def expected_condition(tenant: Tenant, controller: str) -> tuple[str, str]:
    """The status, and a word of the message, of the condition that the tenant should have."""
    if tenant.foreign:
        return "False", "not controlled"
    if tenant.paused:
        return STATUS_OF_PAUSED, "paused"
    if word := tenant.unready.get(controller):
        return "False", word
    return "True", ""
