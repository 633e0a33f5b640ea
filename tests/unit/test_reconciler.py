"""The reconciler of one controller: condition, events, metrics and queue."""

import asyncio
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from controllers.desired import Desired
from controllers.findings import Finding, Severity
from controllers.manifests import COMPONENT_LABEL, Body, Key, Manifest
from controllers.profiles import PAUSED_ANNOTATION, Profile
from controllers.runtime.commands.oneshot import profile_result
from controllers.runtime.commands.oneshot_summary import ResultKind
from controllers.runtime.controller import (
    ALL_PROFILES,
    AnyController,
    CacheReader,
    Owned,
    Watch,
    by_namespace,
)
from controllers.runtime.errors import ApiError, Terminal, Waiting
from controllers.runtime.options import Options, Shard
from controllers.runtime.reconcile.result import REFUSED_RETRY_SECONDS
from tests.support import builders
from tests.support.fakes import Failure, FakeCluster, Request, harness, virtual_time

pytestmark = pytest.mark.virtual_time

KEY = Key("ConfigMap", "alice", "settings")
PROFILE = Key("Profile", "", "alice")
NAMESPACE = Key("Namespace", "", "alice")
CREATED = ("Normal", "Reconciled", "ConfigMap alice/settings create")
PROBLEM = Finding(reason="BadLabel", message="label a is b: expected c")
NOTICE = Finding(reason="Noted", message="worth knowing", severity=Severity.NOTICE)


def posts(request: Request) -> bool:
    return request.method == "POST" and request.kind == "ConfigMap"


def relabel(labels: Mapping[str, str], body: Body) -> None:
    body["metadata"]["labels"] = labels


def sample(**fields: Any) -> tuple[AnyController, Any]:
    return builders.controller(**fields), builders.Settings()


def finding(*findings: Finding) -> Callable[..., Sequence[Finding]]:
    return lambda _profile, _facts, _settings: findings


def raising(error: Exception) -> Callable[..., Any]:
    async def observe(
        _profile: Profile, _cache: CacheReader, _settings: object, _external: object
    ) -> None:
        raise error

    return observe


async def test_a_profile_whose_objects_are_in_place_is_ready() -> None:
    async with harness.running(sample()) as process:
        assert {"SamplesReady": ("True", "ConfigMap settings is in place")} == process.conditions()
        assert [CREATED] == process.events()


async def test_the_condition_counts_several_objects_and_does_not_change_with_their_names() -> None:
    def manifests(profile: Profile) -> list[Manifest]:
        names = profile.labels.get("names", "a-b").split("-")
        return [builders.manifest(name=name) for name in names]

    async with harness.running(
        (builders.controller(), builders.Settings(manifests=manifests))
    ) as process:
        assert {"SamplesReady": ("True", "2 objects are in place")} == process.conditions()
        process.cluster.objects.edit(PROFILE, functools.partial(relabel, {"names": "c-d"}))
        await process.settled()

        assert {"SamplesReady": ("True", "2 objects are in place")} == process.conditions()
        assert 1 == process.cluster.written().count("PATCH Profile alice status")


async def test_a_problem_is_reported_and_the_objects_are_written() -> None:
    async with harness.running(sample(findings=finding(PROBLEM, NOTICE))) as process:
        assert {"SamplesReady": ("False", PROBLEM.message)} == process.conditions()
        assert [
            CREATED,
            ("Warning", "BadLabel", PROBLEM.message),
            ("Warning", "Noted", NOTICE.message),
        ] == process.events()


async def test_a_notice_does_not_change_the_condition() -> None:
    async with harness.running(sample(findings=finding(NOTICE))) as process:
        assert {"SamplesReady": ("True", "ConfigMap settings is in place")} == process.conditions()


@pytest.mark.parametrize("findings", [(), (PROBLEM,), (NOTICE,)], ids=["alone", "bad", "noted"])
async def test_a_refusal_is_reported_with_any_findings(findings: list[Finding]) -> None:
    cluster = harness.tenants()
    cluster.objects.put(builders.object_body(labels={}, owners=[]))
    async with harness.running(sample(findings=finding(*findings)), cluster=cluster) as process:
        refused = (
            "ConfigMap alice/settings refused"
            " (exists and is not managed by profiles-controller; rename or delete it)"
        )
        problems = [f"; {one.message}" for one in findings if one is PROBLEM]
        message = refused + "".join(problems)

        assert {"SamplesReady": ("False", message)} == process.conditions()
        assert ("Warning", "Refused", message) in process.events()


async def test_a_refused_object_is_retried_after_a_delay() -> None:
    cluster = harness.tenants()
    cluster.objects.put(builders.object_body(labels={}, owners=[]))
    async with harness.running(sample(), cluster=cluster) as process:
        cluster.objects.delete(KEY)
        began = virtual_time.now()
        await virtual_time.until(
            lambda: process.conditions()["SamplesReady"][0] == "True",
            "the object is created",
            seconds=2 * REFUSED_RETRY_SECONDS,
        )

        assert REFUSED_RETRY_SECONDS == pytest.approx(virtual_time.now() - began, abs=1.0)


async def test_an_object_being_deleted_is_pending_and_then_recreated() -> None:
    cluster = harness.tenants()
    cluster.objects.put(builders.object_body(deleting=True))
    async with harness.running(sample(), cluster=cluster) as process:
        status, message = process.conditions()["SamplesReady"]
        assert "False" == status
        assert "pending (is being deleted" in message
        cluster.objects.edit(KEY, lambda body: body["metadata"].update(finalizers=[]))
        await process.settled()

        assert "True" == process.conditions()["SamplesReady"][0]


async def test_waiting_for_the_namespace_records_no_event() -> None:
    cluster = FakeCluster()
    cluster.objects.put(builders.profile_body(version=0))
    async with harness.running(sample(), cluster=cluster) as process:
        assert {"SamplesReady": ("False", "namespace alice does not exist")} == process.conditions()
        assert [] == process.events()
        cluster.objects.put(builders.namespace_body())
        await process.settled()

        assert "True" == process.conditions()["SamplesReady"][0]


async def test_a_namespace_created_soon_causes_no_extra_condition_write() -> None:
    cluster = FakeCluster()
    async with harness.running(sample(), cluster=cluster) as process:
        cluster.objects.put(builders.profile_body(version=0))
        await asyncio.sleep(1.0)
        cluster.objects.put(builders.namespace_body())
        await process.settled()

        assert 1 == process.cluster.written().count("PATCH Profile alice status")
        assert "True" == process.conditions()["SamplesReady"][0]


async def test_a_namespace_of_another_owner_is_reported_as_a_warning_event() -> None:
    cluster = harness.tenants()
    cluster.objects.put(builders.namespace_body(owned=False))
    async with harness.running(sample(), cluster=cluster) as process:
        assert [("Warning", "NamespaceNotOwned")] == [one[:2] for one in process.events()]
        assert "False" == process.conditions()["SamplesReady"][0]


async def test_an_adopted_namespace_is_reconciled_if_the_option_is_set() -> None:
    cluster = harness.tenants()
    cluster.objects.put(builders.namespace_body(owned=False))
    options = Options(listen=None, adopted_namespaces=True)
    async with harness.running(sample(), cluster=cluster, options=options) as process:
        assert [CREATED] == process.events()


async def test_the_objects_of_a_recreated_namespace_are_created_again() -> None:
    async with harness.running(sample()) as process:
        objects = process.cluster.objects
        objects.delete(KEY)
        objects.delete(NAMESPACE)
        await process.settled()
        assert "False" == process.conditions()["SamplesReady"][0]
        objects.put(builders.namespace_body())
        await process.settled()

        assert objects.get(KEY) is not None
        assert "True" == process.conditions()["SamplesReady"][0]


async def test_a_recreated_profile_waits_for_deletion_of_the_objects_of_the_earlier_one() -> None:
    async with harness.running(sample()) as process:
        objects = process.cluster.objects
        objects.delete(PROFILE)
        objects.put(builders.profile_body(uid="uid-new", version=0))
        objects.delete(NAMESPACE)
        objects.put(builders.namespace_body(uid="uid-new"))
        await process.settled()
        status, message = process.conditions()["SamplesReady"]
        assert ("False", True) == (status, "belongs to an earlier Profile" in message)
        objects.delete(KEY)  # as the garbage collector does
        await process.settled()

        (reference,) = objects.read(KEY)["metadata"]["ownerReferences"]
        assert "uid-new" == reference["uid"]
        assert "True" == process.conditions()["SamplesReady"][0]


async def test_a_changed_label_is_reconciled() -> None:
    def manifests(profile: Profile) -> list[Manifest]:
        return [builders.manifest(content={"data": dict(profile.labels)})]

    async with harness.running(
        (builders.controller(), builders.Settings(manifests=manifests))
    ) as process:
        for labels in ({"a": "1"}, {"a": "2"}, {}):
            process.cluster.objects.edit(PROFILE, functools.partial(relabel, labels))
            await process.settled()

            assert labels == process.cluster.objects.read(KEY)["data"]


async def test_a_transient_failure_is_not_reported() -> None:
    cluster = harness.tenants()
    for _ in range(2):
        cluster.fail_next(Failure.INTERNAL_ERROR, posts)
    async with harness.running(sample(), cluster=cluster) as process:
        assert [CREATED] == process.events()
        assert 1 == cluster.written().count("PATCH Profile alice status")
        assert 0 == process.manager.reconcilers["samples"].queue.num_requeues("alice")


async def test_a_lasting_failure_is_reported_with_its_reason() -> None:
    cluster = harness.tenants()
    async with harness.running(
        sample(observe=raising(ApiError(code=403, reason="Forbidden", message="no right"))),
        cluster=cluster,
        settle=False,
    ) as process:
        await virtual_time.until(process.events, "the event is recorded", seconds=60.0)
        await virtual_time.until(process.conditions, "the condition is written", seconds=60.0)

        assert [("Warning", "Forbidden", "403 Forbidden: no right")] == process.events()
        assert {"SamplesReady": ("False", "403 Forbidden: no right")} == process.conditions()


async def test_an_internal_error_for_one_profile_does_not_affect_others() -> None:
    def desired(profile: Profile, _facts: object, _settings: object) -> Desired:
        if profile.name == "alice":
            raise KeyError("spec")
        return Desired(objects=[builders.manifest(namespace=profile.namespace)])

    cluster = FakeCluster()
    for name in ("alice", "bob"):
        harness.put_tenant(cluster, name, uid=f"uid-{name}")
    async with harness.running(sample(desired=desired), cluster=cluster, settle=False) as process:
        await virtual_time.until(
            lambda: process.conditions("bob"), "the condition of Bob is written"
        )
        await virtual_time.until(
            process.conditions, "the condition of Alice is written", seconds=60.0
        )

        assert "True" == process.conditions("bob")["SamplesReady"][0]
        assert {"SamplesReady": ("False", "KeyError: 'spec'")} == process.conditions()


async def test_a_manifest_for_another_namespace_prevents_every_write() -> None:
    def manifests(_profile: Profile) -> list[Manifest]:
        return [builders.manifest(), builders.manifest(namespace="kube-system")]

    async with harness.running(
        (builders.controller(), builders.Settings(manifests=manifests)), settle=False
    ) as process:
        await virtual_time.until(process.conditions, "the condition is written", seconds=60.0)
        _, message = process.conditions()["SamplesReady"]

        assert "ConfigMap kube-system/settings is outside the namespace" in message
        assert [] == process.cluster.written(but=("Event", "Profile"))


@pytest.mark.parametrize("where", ["desired", "findings"])
async def test_an_error_of_desired_or_findings_prevents_every_write(where: str) -> None:
    def fail(_profile: Profile, _facts: object, _settings: object) -> Any:
        raise ValueError("no idea")

    functions: dict[str, Any] = {where: fail}
    async with harness.running(sample(**functions), settle=False) as process:
        await virtual_time.until(process.conditions, "the condition is written", seconds=60.0)

        assert [] == process.cluster.written(but=("Event", "Profile"))


async def test_waiting_is_retried_and_reported_if_it_lasts() -> None:
    errors = iter([Waiting("NoBucket", "the bucket is not there", after=10.0)] * 3)

    async def observe(
        _profile: Profile, _cache: CacheReader, _settings: object, _external: object
    ) -> None:
        waiting = next(errors, None)
        if waiting is not None:
            raise waiting

    async with harness.running(sample(observe=observe), settle=False) as process:
        await virtual_time.until(process.conditions, "the condition is written")
        assert {"SamplesReady": ("False", "the bucket is not there")} == process.conditions()
        assert [] == process.events()
        await virtual_time.until(
            lambda: process.conditions()["SamplesReady"][0] == "True",
            "the profile is ready",
            seconds=60,
        )


async def test_a_terminal_error_is_not_retried() -> None:
    tries: list[str] = []

    async def observe(
        profile: Profile, _cache: CacheReader, _settings: object, _external: object
    ) -> None:
        tries.append(profile.name)
        raise Terminal("BadOwner", "spec.owner.kind is Robot: expected User")

    async with harness.running(sample(observe=observe)) as process:
        await asyncio.sleep(500.0)

        assert ["alice"] == tries
        assert [("Warning", "BadOwner", "spec.owner.kind is Robot: expected User")] == (
            process.events()
        )


async def test_every_profile_is_reconciled_after_the_resync_period() -> None:
    tries: list[float] = []

    async def observe(
        _profile: Profile, _cache: CacheReader, _settings: object, _external: object
    ) -> None:
        tries.append(virtual_time.now())

    options = Options(listen=None, resync=100.0)
    async with harness.running(sample(observe=observe), options=options) as process:
        process.cluster.requests.clear()
        await asyncio.sleep(350.0)

        assert 4 == len(tries)
        assert [] == process.cluster.requests


async def test_a_paused_profile_has_an_unknown_condition_and_no_writes() -> None:
    cluster = harness.tenants(annotations={PAUSED_ANNOTATION: "samples"})
    async with harness.running(sample(), cluster=cluster) as process:
        report = await process.reconcile("samples")

        assert {"SamplesReady": ("Unknown", f"paused by {PAUSED_ANNOTATION}")} == (
            process.conditions()
        )
        assert ResultKind.PAUSED is profile_result(report).result
        assert {
            ("samples", "alice"): "Unknown"
        } == process.manager.context.metrics.condition_statuses()


async def test_observe_reads_the_transformed_values_of_watched_objects_only() -> None:
    seen: list[list[Any]] = []

    async def observe(
        profile: Profile, cache: CacheReader, _settings: object, _external: object
    ) -> None:
        one = cache.get("Secret", profile.namespace, "token")
        seen.append([one, dict(cache.list("Secret", profile.namespace))])

    watched = Watch(
        kind="Secret",
        transform=lambda body: (body.get("data") or {}).get("word"),
        map=by_namespace,
    )
    cluster = harness.tenants()
    async with harness.running(
        sample(observe=observe, watches=[watched]), cluster=cluster
    ) as process:
        assert [None, {}] == seen[-1]
        for name, data in (("token", {"word": "a"}), ("more", {"word": "b"}), ("other", {})):
            body = builders.object_body("Secret", name, labels={}, owners=[], data=data)
            cluster.objects.put(body)
        await process.settled()

        assert ["a", {"token": "a", "more": "b"}] == seen[-1]


async def test_an_object_that_maps_to_all_profiles_enqueues_each() -> None:
    seen: list[str] = []

    async def observe(
        profile: Profile, _cache: CacheReader, _settings: object, _external: object
    ) -> None:
        seen.append(profile.name)

    watched = Watch(
        kind="Secret",
        transform=lambda body: (body.get("data") or {}).get("word"),
        map=lambda _body: ALL_PROFILES,
        object=("platform", "shared"),
    )
    cluster = harness.tenants("alice", "bob")
    async with harness.running(
        sample(observe=observe, watches=[watched]), cluster=cluster
    ) as process:
        for data, enqueued in (({"word": "a"}, ["alice", "bob"]), ({"word": "a", "x": "y"}, [])):
            seen.clear()
            cluster.objects.put(
                builders.object_body(
                    "Secret", "shared", "platform", labels={}, owners=[], data=data
                )
            )
            await process.settled()
            assert enqueued == sorted(seen)
        seen.clear()
        cluster.objects.delete(Key("Secret", "platform", "shared"))
        await process.settled()
        assert ["alice", "bob"] == sorted(seen)


async def test_two_controllers_of_one_kind_do_not_change_objects_of_each_other() -> None:
    def wanting(name: str) -> tuple[AnyController, Any]:
        def manifests(profile: Profile) -> list[Manifest]:
            return [builders.manifest(name=name, namespace=profile.namespace)]

        return builders.controller(name), builders.Settings(manifests=manifests)

    async with harness.running(wanting("one"), wanting("other")) as process:
        await process.resync()

        found = harness.names_of(process.cluster.objects.all_of("ConfigMap"))
        assert ["alice/one", "alice/other"] == found
        assert ["OneReady", "OtherReady"] == sorted(process.conditions())
        assert 1 == process.cluster.written().count("PATCH Profile alice status")


async def test_a_legacy_object_of_one_controller_is_not_pruned_by_another() -> None:
    def legacy(metadata: Any) -> bool:
        return bool(metadata["name"] == "older")

    def manifests(profile: Profile) -> list[Manifest]:
        return [builders.manifest(name="older", namespace=profile.namespace, create_only=True)]

    one = builders.controller("one", owned=[Owned(kind="ConfigMap", adopt_legacy=legacy)])
    cluster = harness.tenants()
    older = cluster.objects.put(builders.object_body(name="older", labels={}))
    async with harness.running(
        (one, builders.Settings(manifests=manifests)),
        (builders.controller("other"), builders.Settings()),
        cluster=cluster,
    ):
        found = cluster.objects.read(Key("ConfigMap", "alice", "older"))
        assert older["metadata"]["uid"] == found["metadata"]["uid"]
        assert "one" == found["metadata"]["labels"][COMPONENT_LABEL]


async def test_a_profile_deleted_during_a_reconcile_leaves_no_state() -> None:
    cluster = harness.tenants()

    def vanish(request: Request) -> bool:
        if posts(request):
            cluster.objects.delete(PROFILE)
        return posts(request)

    cluster.fail_next(Failure.INTERNAL_ERROR, vanish)
    async with harness.running(sample(), cluster=cluster) as process:
        queue = process.manager.reconcilers["samples"].queue

        assert 0 == queue.num_requeues("alice")
        assert {} == queue.delayed_seconds()
        assert {} == process.manager.context.metrics.condition_statuses()
        assert [] == process.events()


async def test_only_profiles_of_the_own_shard_are_reconciled() -> None:
    cluster = FakeCluster()
    names = [f"tenant-{number}" for number in range(6)]
    for name in names:
        harness.put_tenant(cluster, name, uid=f"uid-{name}")
    shard = Shard(index=1, count=2)
    options = Options(listen=None, shard=shard)
    async with harness.running(sample(), cluster=cluster, options=options):
        served = {one["metadata"]["namespace"] for one in cluster.objects.all_of("ConfigMap")}

    assert {name for name in names if shard.contains(f"uid-{name}")} == served
    assert 0 < len(served) < 6


async def test_a_kind_that_is_not_served_is_reported_and_reconciled_once_it_is() -> None:
    cluster = harness.tenants()
    cluster.unserved |= {("AuthorizationPolicy", "v1"), ("AuthorizationPolicy", "v1beta1")}
    key = Key("AuthorizationPolicy", "alice", "meshed")
    settings = builders.Settings(
        manifests=lambda _profile: [builders.manifest(key.kind, key.name, content={"spec": {}})]
    )
    meshed = builders.controller("meshed", owned=[Owned(kind=key.kind)])
    async with harness.running((meshed, settings), sample(), cluster=cluster) as process:
        expected = (
            "AuthorizationPolicy: the cluster serves no authorizationpolicies.security.istio.io"
        )
        status, message = process.conditions()["MeshedReady"]

        assert ("False", True) == (status, message.startswith(expected))
        assert ("Warning", "KindNotServed", message) in process.events()
        assert "True" == process.conditions()["SamplesReady"][0]
        assert 0 == process.manager.informers[key.kind].count("meshed")

        cluster.unserved.clear()
        await virtual_time.until(
            lambda: cluster.objects.get(key) is not None, "the object is created"
        )
        await process.settled()
        assert ("True", "AuthorizationPolicy meshed is in place") == process.conditions()[
            "MeshedReady"
        ]


async def test_a_kind_that_is_served_in_another_version_only_is_not_reported() -> None:
    cluster = harness.tenants()
    cluster.unserved.add(("AuthorizationPolicy", "v1"))
    key = Key("AuthorizationPolicy", "alice", "meshed")
    settings = builders.Settings(
        manifests=lambda _profile: [builders.manifest(key.kind, key.name, content={"spec": {}})]
    )
    meshed = builders.controller("meshed", owned=[Owned(kind=key.kind)])
    async with harness.running((meshed, settings), cluster=cluster) as process:
        assert [("Normal", "Reconciled")] == [event[:2] for event in process.events()]
        (written,) = cluster.writes(but=("Event", "Profile"))
        assert written.body is not None
        assert "security.istio.io/v1beta1" == written.body["apiVersion"]


async def test_shutdown_completes_running_reconciles_and_writes_conditions_and_events() -> None:
    cluster = harness.tenants()
    async with harness.running(sample(), cluster=cluster, settle=False):
        await virtual_time.until(cluster.written, "the first write is sent")
    assert cluster.objects.get(KEY) is not None

    conditions = cluster.objects.read(PROFILE)["status"]["conditions"]
    assert ["True"] == [one["status"] for one in conditions]
    assert 1 == len(cluster.objects.all_of("Event"))
