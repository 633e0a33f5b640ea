"""What is outside and works by itself, and the single objects that it reads."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from controllers.manifests import Body, Key
from controllers.profiles import Profile
from controllers.runtime import rbac
from controllers.runtime.controller import (
    ALL_PROFILES,
    AnyController,
    CacheReader,
    Enqueue,
    Owned,
    Watch,
    no_profiles,
)
from controllers.runtime.external.system import ComponentStatus
from controllers.runtime.options import Options
from tests.support import builders
from tests.support.fakes import FakeCluster, harness, virtual_time

pytestmark = pytest.mark.virtual_time

POLICY = Key("ConfigMap", "platform", "policy")


class Reader:
    """Reads one object, records it, and enqueues the profiles that it names."""

    def __init__(self) -> None:
        self.read: list[object] = []
        self.observed: list[str] = []
        self.changed = asyncio.Event()
        self.running = False
        self.error: Exception | None = None

    async def run(self, cache: CacheReader, enqueue: Enqueue) -> None:
        self.running = True
        self.changed.set()
        try:
            while await self.changed.wait():
                self.changed.clear()
                if self.error:
                    raise self.error
                found = cache.get(*POLICY)
                self.read.append(found)
                if found:
                    enqueue(ALL_PROFILES if found["for"] == "all" else [found["for"]])
        finally:
            self.running = False

    def watched_object_changed(self) -> None:
        self.changed.set()

    def components(self) -> list[ComponentStatus]:
        return [
            ComponentStatus(name="policy", last_success=1_700_000_000.0),
            ComponentStatus(name="other", error="away"),
        ]

    async def close(self) -> None:
        """Holds nothing."""


def controller(reader: Reader, **fields: Any) -> AnyController:
    async def observe(
        profile: Profile, _cache: CacheReader, _settings: object, _external: object
    ) -> None:
        reader.observed.append(profile.name)

    watched = Watch(
        kind=POLICY.kind,
        transform=lambda body: body["data"],
        map=no_profiles,
        object=(POLICY[1], POLICY[2]),
    )
    owned = fields.pop("owned", [Owned(kind="LimitRange")])
    return builders.controller(
        owned=owned,
        watches=[watched],
        observe=observe,
        external=builders.external(reader),
        **fields,
    )


def running(reader: Reader, cluster: FakeCluster, **fields: Any) -> Any:
    settings = builders.Settings(manifests=lambda _profile: [])
    assembly = (controller(reader, **fields.pop("controller", {})), settings)
    return harness.running(assembly, cluster=cluster, **fields)


def policy(for_: str, key: Key = POLICY) -> Body:
    return builders.object_body(
        key.kind, key.name, key.namespace, labels={}, owners=[], uid=f"uid-{key}",
        data={"for": for_},
    )  # fmt: skip


def tell(text: str) -> Callable[[Body], Any]:
    return lambda body: body["data"].update({"for": text})


async def test_the_object_is_read_at_the_start_and_after_each_change() -> None:
    reader, cluster = Reader(), harness.tenants("alice", "bob")
    cluster.objects.put(policy("alice"))
    async with running(reader, cluster) as process:
        assert [{"for": "alice"}] == reader.read

        reader.observed.clear()
        cluster.objects.edit(POLICY, tell("bob"))
        await process.settled()
        assert ["bob"] == reader.observed

        cluster.objects.edit(POLICY, tell("all"))
        await process.settled()
        assert ["alice", "bob", "bob"] == sorted(reader.observed)

        cluster.objects.edit(POLICY, lambda body: body["metadata"].update(labels={"a": "b"}))
        cluster.objects.delete(POLICY)
        await process.settled()
        assert [{"for": "bob"}, {"for": "all"}, None] == reader.read[1:]
    assert not reader.running


async def test_nothing_else_of_the_kind_is_listed_or_watched() -> None:
    reader, cluster = Reader(), harness.tenants()
    cluster.objects.put(policy("alice"))
    cluster.objects.put(policy("carol", Key("ConfigMap", "alice", "policy")))
    cluster.objects.put(policy("carol", Key("ConfigMap", "platform", "other")))
    async with running(reader, cluster) as process:
        asked = [one for one in cluster.requests if one.kind == "ConfigMap"]
        assert {"/api/v1/namespaces/platform/configmaps"} == {one.path for one in asked}
        assert {"metadata.name=policy"} == {one.query["fieldSelector"] for one in asked}
        assert 1 == len(process.manager.informers[str(POLICY)].store)
        checks = {check.name for check in process.health.readyz()}
        assert "informer/ConfigMap platform/policy" in checks


async def test_a_single_object_is_read_in_addition_to_owned_objects() -> None:
    reader, cluster = Reader(), harness.tenants()
    cluster.objects.put(policy("alice"))
    ours = builders.object_body()
    cluster.objects.put(ours)
    declared: dict[str, Any] = {"owned": [Owned(kind="ConfigMap")]}
    async with running(reader, cluster, controller=declared) as process:
        assert [{"for": "alice"}] == reader.read
        assert cluster.objects.get(Key("ConfigMap", "alice", "settings")) is None
        assert process.manager.informers["ConfigMap"].store.get("platform", "policy") is None


def test_the_rules_allow_reading_that_object_only() -> None:
    one = controller(Reader())
    other = Watch(
        kind="ConfigMap", transform=lambda _body: None, map=no_profiles, object=("x", "another")
    )
    rules = rbac.rules(builders.controller(owned=[], watches=[*one.watches(None), other]))
    assert [(("list", "watch"), ("another", "policy"))] == [
        (rule.verbs, rule.names) for rule in rules if "configmaps" in rule.resources
    ]

    every = Watch(kind="ConfigMap", transform=lambda _body: None, map=no_profiles)
    rules = rbac.rules(builders.controller(owned=[], watches=[other, every]))
    assert [()] == [rule.names for rule in rules if "configmaps" in rule.resources]


async def test_a_standby_reads_the_object_and_enqueues_nothing() -> None:
    reader, cluster = Reader(), harness.tenants()
    cluster.objects.put(policy("all"))
    async with running(reader, cluster, leading=False):
        await virtual_time.until(lambda: reader.read, "it has read")
        assert [{"for": "all"}] == reader.read
        assert [] == reader.observed


async def test_a_dry_run_reads_the_object() -> None:
    reader, cluster = Reader(), harness.tenants()
    cluster.objects.put(policy("all"))
    async with running(reader, cluster, options=Options(listen=None, dry_run=True)):
        assert [{"for": "all"}] == reader.read


async def test_an_error_of_a_runnable_ends_the_process() -> None:
    reader, cluster = Reader(), harness.tenants()
    async with running(reader, cluster) as process:
        reader.error = ValueError("a mistake of ours")
        reader.watched_object_changed()
        await virtual_time.until(process.manager.failed.is_set, "the process knows")


async def test_the_metrics_show_the_status_of_each_component() -> None:
    async with running(Reader(), harness.tenants()) as process:
        text = process.manager.context.metrics.exposition().decode()
    samples = [
        line for line in text.splitlines() if line.startswith("profiles_controller_external")
    ]
    succeeded = "profiles_controller_external_system_last_success_timestamp_seconds"
    assert [
        'profiles_controller_external_system_up{controller="samples",system="policy"} 1.0',
        'profiles_controller_external_system_up{controller="samples",system="other"} 0.0',
        f'{succeeded}{{controller="samples",system="policy"}} 1.7e+09',
    ] == samples
