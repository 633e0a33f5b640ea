"""Objects that a controller retains although it does not desire them."""

from collections.abc import Collection

import pytest

from controllers.manifests import Key
from controllers.profiles import Profile
from controllers.runtime.controller import AnyController
from tests.support import builders
from tests.support.fakes import harness

pytestmark = pytest.mark.virtual_time

STALE = Key("ConfigMap", "alice", "stale")
MISSING = Key("ConfigMap", "alice", "missing")


def retaining(keys: Collection[Key]) -> AnyController:
    def retain(_profile: Profile, _facts: object, _settings: object) -> Collection[Key]:
        return keys

    return builders.controller(retain=retain)


async def test_a_retained_object_is_neither_pruned_nor_created_until_it_is_no_longer_retained() -> (
    None
):
    cluster = harness.tenants()
    stale = cluster.objects.put(builders.object_body("ConfigMap", STALE.name))
    keys = {STALE, MISSING}
    async with harness.running((retaining(keys), builders.Settings()), cluster=cluster) as process:
        assert stale == cluster.objects.read(STALE)
        assert MISSING.name not in {
            one["metadata"]["name"] for one in cluster.objects.all_of("ConfigMap")
        }
        assert ["True"] == [status for status, _ in process.conditions().values()]

        keys.clear()
        await process.resync()
        assert STALE.name not in {
            one["metadata"]["name"] for one in cluster.objects.all_of("ConfigMap")
        }


async def test_a_retained_object_that_is_desired_is_updated() -> None:
    cluster = harness.tenants()
    wanted = builders.manifest().key
    controller = retaining({wanted})
    async with harness.running((controller, builders.Settings()), cluster=cluster) as process:
        created = cluster.objects.read(wanted)
        cluster.objects.edit(wanted, lambda body: body.pop("data", None))
        await process.settled()
        assert created["data"] == cluster.objects.read(wanted)["data"]
