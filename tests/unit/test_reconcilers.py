"""One controller at work: what it says in condition, events, metrics and queue."""

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


async def test_what_is_in_place_is_ready() -> None:
    async with harness.running(sample()) as process:
        assert {"SamplesReady": ("True", "ConfigMap settings is in place")} == process.conditions()
        assert [CREATED] == process.events()


async def test_several_objects_are_counted_and_the_sentence_stays_the_same() -> None:
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


async def test_a_problem_is_told_and_does_not_stop_the_rest() -> None:
    async with harness.running(sample(findings=finding(PROBLEM, NOTICE))) as process:
        assert {"SamplesReady": ("False", PROBLEM.message)} == process.conditions()
        assert [
            CREATED,
            ("Warning", "BadLabel", PROBLEM.message),
            ("Warning", "Noted", NOTICE.message),
        ] == process.events()


async def test_a_notice_leaves_the_condition_as_it_is() -> None:
    async with harness.running(sample(findings=finding(NOTICE))) as process:
        assert {"SamplesReady": ("True", "ConfigMap settings is in place")} == process.conditions()


@pytest.mark.parametrize("findings", [(), (PROBLEM,), (NOTICE,)], ids=["alone", "bad", "noted"])
async def test_a_refusal_is_told_whatever_else_there_is_to_say(findings: list[Finding]) -> None:
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


async def test_an_object_in_the_way_is_looked_for_again() -> None:
    cluster = harness.tenants()
    cluster.objects.put(builders.object_body(labels={}, owners=[]))
    async with harness.running(sample(), cluster=cluster) as process:
        cluster.objects.delete(KEY)
        began = virtual_time.now()
        await virtual_time.until(
            lambda: process.conditions()["SamplesReady"][0] == "True",
            "the object is made",
            seconds=2 * REFUSED_RETRY_SECONDS,
        )

        assert REFUSED_RETRY_SECONDS == pytest.approx(virtual_time.now() - began, abs=1.0)


async def test_what_is_on_its_way_out_is_waited_for_and_then_made_anew() -> None:
    cluster = harness.tenants()
    cluster.objects.put(builders.object_body(deleting=True))
    async with harness.running(sample(), cluster=cluster) as process:
        status, message = process.conditions()["SamplesReady"]
        assert "False" == status
        assert "pending (is being deleted" in message
        cluster.objects.edit(KEY, lambda body: body["metadata"].update(finalizers=[]))
        await process.settled()

        assert "True" == process.conditions()["SamplesReady"][0]


async def test_a_namespace_that_comes_later_is_waited_for_in_silence() -> None:
    cluster = FakeCluster()
    cluster.objects.put(builders.profile_body(version=0))
    async with harness.running(sample(), cluster=cluster) as process:
        assert {"SamplesReady": ("False", "namespace alice does not exist")} == process.conditions()
        assert [] == process.events()
        cluster.objects.put(builders.namespace_body())
        await process.settled()

        assert "True" == process.conditions()["SamplesReady"][0]


async def test_a_namespace_that_comes_soon_costs_no_condition() -> None:
    cluster = FakeCluster()
    async with harness.running(sample(), cluster=cluster) as process:
        cluster.objects.put(builders.profile_body(version=0))
        await asyncio.sleep(1.0)
        cluster.objects.put(builders.namespace_body())
        await process.settled()

        assert 1 == process.cluster.written().count("PATCH Profile alice status")
        assert "True" == process.conditions()["SamplesReady"][0]


async def test_a_namespace_that_is_not_the_profiles_is_said_to_its_owner() -> None:
    cluster = harness.tenants()
    cluster.objects.put(builders.namespace_body(owned=False))
    async with harness.running(sample(), cluster=cluster) as process:
        assert [("Warning", "NamespaceNotOwned")] == [one[:2] for one in process.events()]
        assert "False" == process.conditions()["SamplesReady"][0]


async def test_an_adopted_namespace_is_served_where_the_operator_lets_it() -> None:
    cluster = harness.tenants()
    cluster.objects.put(builders.namespace_body(owned=False))
    options = Options(listen=None, adopted_namespaces=True)
    async with harness.running(sample(), cluster=cluster, options=options) as process:
        assert [CREATED] == process.events()


async def test_a_namespace_that_is_made_again_is_filled_again() -> None:
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


async def test_a_profile_that_is_made_again_is_a_new_one() -> None:
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


async def test_a_label_that_changes_is_acted_upon() -> None:
    def manifests(profile: Profile) -> list[Manifest]:
        return [builders.manifest(content={"data": dict(profile.labels)})]

    async with harness.running(
        (builders.controller(), builders.Settings(manifests=manifests))
    ) as process:
        for labels in ({"a": "1"}, {"a": "2"}, {}):
            process.cluster.objects.edit(PROFILE, functools.partial(relabel, labels))
            await process.settled()

            assert labels == process.cluster.objects.read(KEY)["data"]


async def test_a_failure_that_is_over_soon_is_nobodys_business() -> None:
    cluster = harness.tenants()
    for _ in range(2):
        cluster.fail_next(Failure.INTERNAL_ERROR, posts)
    async with harness.running(sample(), cluster=cluster) as process:
        assert [CREATED] == process.events()
        assert 1 == cluster.written().count("PATCH Profile alice status")
        assert 0 == process.manager.reconcilers["samples"].queue.num_requeues("alice")


async def test_a_failure_that_lasts_is_told_with_its_reason() -> None:
    cluster = harness.tenants()
    async with harness.running(
        sample(observe=raising(ApiError(code=403, reason="Forbidden", message="no right"))),
        cluster=cluster,
        settle=False,
    ) as process:
        await virtual_time.until(process.events, "an event tells of it", seconds=60.0)
        await virtual_time.until(process.conditions, "the condition tells of it", seconds=60.0)

        assert [("Warning", "Forbidden", "403 Forbidden: no right")] == process.events()
        assert {"SamplesReady": ("False", "403 Forbidden: no right")} == process.conditions()


async def test_a_mistake_of_ours_stops_nobody_else() -> None:
    def desired(profile: Profile, _facts: object, _settings: object) -> Desired:
        if profile.name == "alice":
            raise KeyError("spec")
        return Desired(objects=[builders.manifest(namespace=profile.namespace)])

    cluster = FakeCluster()
    for name in ("alice", "bob"):
        harness.put_tenant(cluster, name, uid=f"uid-{name}")
    async with harness.running(sample(desired=desired), cluster=cluster, settle=False) as process:
        await virtual_time.until(lambda: process.conditions("bob"), "Bob is served")
        await virtual_time.until(process.conditions, "Alice is told", seconds=60.0)

        assert "True" == process.conditions("bob")["SamplesReady"][0]
        assert {"SamplesReady": ("False", "KeyError: 'spec'")} == process.conditions()


async def test_a_manifest_for_another_namespace_writes_nothing_at_all() -> None:
    def manifests(_profile: Profile) -> list[Manifest]:
        return [builders.manifest(), builders.manifest(namespace="kube-system")]

    async with harness.running(
        (builders.controller(), builders.Settings(manifests=manifests)), settle=False
    ) as process:
        await virtual_time.until(process.conditions, "it is told", seconds=60.0)
        _, message = process.conditions()["SamplesReady"]

        assert "ConfigMap kube-system/settings is outside the namespace" in message
        assert [] == process.cluster.written(but=("Event", "Profile"))


@pytest.mark.parametrize("where", ["desired", "findings"])
async def test_a_controller_that_cannot_say_what_is_right_writes_nothing(where: str) -> None:
    def fail(_profile: Profile, _facts: object, _settings: object) -> Any:
        raise ValueError("no idea")

    functions: dict[str, Any] = {where: fail}
    async with harness.running(sample(**functions), settle=False) as process:
        await virtual_time.until(process.conditions, "it is told", seconds=60.0)

        assert [] == process.cluster.written(but=("Event", "Profile"))


async def test_waiting_for_the_world_is_looked_at_again_and_told_when_it_lasts() -> None:
    answers = iter([Waiting("NoBucket", "the bucket is not there", after=10.0)] * 3)

    async def observe(
        _profile: Profile, _cache: CacheReader, _settings: object, _external: object
    ) -> None:
        waiting = next(answers, None)
        if waiting is not None:
            raise waiting

    async with harness.running(sample(observe=observe), settle=False) as process:
        await virtual_time.until(process.conditions, "it is told")
        assert {"SamplesReady": ("False", "the bucket is not there")} == process.conditions()
        assert [] == process.events()
        await virtual_time.until(
            lambda: process.conditions()["SamplesReady"][0] == "True", "it is there", seconds=60
        )


async def test_what_is_terminal_is_not_tried_again() -> None:
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


async def test_every_profile_is_looked_at_again_after_the_resync_period() -> None:
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


async def test_a_paused_profile_is_shown_and_left() -> None:
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


async def test_gather_sees_what_was_kept_of_watched_objects_and_nothing_of_others() -> None:
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


async def test_an_object_that_concerns_every_profile_wakes_each_for_its_controller() -> None:
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
        for data, woken in (({"word": "a"}, ["alice", "bob"]), ({"word": "a", "x": "y"}, [])):
            seen.clear()
            cluster.objects.put(
                builders.object_body(
                    "Secret", "shared", "platform", labels={}, owners=[], data=data
                )
            )
            await process.settled()
            assert woken == sorted(seen)
        seen.clear()
        cluster.objects.delete(Key("Secret", "platform", "shared"))
        await process.settled()
        assert ["alice", "bob"] == sorted(seen)


async def test_two_controllers_of_one_kind_leave_each_others_objects() -> None:
    def wanting(name: str) -> tuple[AnyController, Any]:
        def manifests(profile: Profile) -> list[Manifest]:
            return [builders.manifest(name=name, namespace=profile.namespace)]

        return builders.controller(name), builders.Settings(manifests=manifests)

    async with harness.running(wanting("one"), wanting("other")) as process:
        await process.resynced()

        found = harness.names_of(process.cluster.objects.all_of("ConfigMap"))
        assert ["alice/one", "alice/other"] == found
        assert ["OneReady", "OtherReady"] == sorted(process.conditions())
        assert 1 == process.cluster.written().count("PATCH Profile alice status")


async def test_one_controllers_older_objects_are_not_anothers_to_prune() -> None:
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


async def test_a_profile_that_goes_in_the_middle_leaves_no_trace() -> None:
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


async def test_only_this_shards_profiles_are_served() -> None:
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


async def test_a_kind_that_is_not_served_is_said_and_served_when_it_appears() -> None:
    cluster = harness.tenants()
    cluster.unserved |= {("AuthorizationPolicy", "v1"), ("AuthorizationPolicy", "v1beta1")}
    key = Key("AuthorizationPolicy", "alice", "meshed")
    settings = builders.Settings(
        manifests=lambda _profile: [builders.manifest(key.kind, key.name, content={"spec": {}})]
    )
    meshed = builders.controller("meshed", owned=[Owned(kind=key.kind)])
    async with harness.running((meshed, settings), sample(), cluster=cluster) as process:
        told = "AuthorizationPolicy: the cluster serves no authorizationpolicies.security.istio.io"
        status, message = process.conditions()["MeshedReady"]

        assert ("False", True) == (status, message.startswith(told))
        assert ("Warning", "KindNotServed", message) in process.events()
        assert "True" == process.conditions()["SamplesReady"][0]
        assert 0 == process.manager.informers[key.kind].count("meshed")

        cluster.unserved.clear()
        await virtual_time.until(lambda: cluster.objects.get(key) is not None, "it is made")
        await process.settled()
        assert ("True", "AuthorizationPolicy meshed is in place") == process.conditions()[
            "MeshedReady"
        ]


async def test_a_kind_that_is_served_in_a_later_version_only_is_not_complained_of() -> None:
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


async def test_stopping_finishes_what_runs_and_says_what_is_to_be_said() -> None:
    cluster = harness.tenants()
    async with harness.running(sample(), cluster=cluster, settle=False):
        await virtual_time.until(cluster.written, "the work has begun")
    assert cluster.objects.get(KEY) is not None

    conditions = cluster.objects.read(PROFILE)["status"]["conditions"]
    assert ["True"] == [one["status"] for one in conditions]
    assert 1 == len(cluster.objects.all_of("Event"))
