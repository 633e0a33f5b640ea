"""What a manifest and a controller may state beyond the usual: finalizers, presence, variants."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest

from controllers.manifests import Body, Key, Manifest
from controllers.profiles import PAUSED_ANNOTATION
from controllers.runtime.apply.render import render
from controllers.runtime.controller import Access, AnyController, Command, Owned, Variants, always
from controllers.runtime.external.system import ComponentStatus
from controllers.runtime.options import Options
from profiles_controller.config.load import ALL, component_names, select_controllers
from tests.support import builders
from tests.support.fakes import harness

pytestmark = pytest.mark.virtual_time

KEY = Key("ConfigMap", "alice", "settings")
HOLD = "example.ca/hold"


def running(*manifests: Manifest, before: Sequence[Body] = (), **fields: Any) -> Any:
    cluster = harness.tenants(annotations=fields.pop("annotations", None))
    for body in before:
        cluster.objects.put(body)
    settings = builders.Settings(manifests=lambda _profile: manifests)
    made = dataclasses.replace(builders.controller(), **fields)
    return harness.running((made, settings), cluster=cluster)


def finalizers(process: harness.Harness) -> list[str]:
    return list(process.cluster.objects.read(KEY)["metadata"].get("finalizers") or ())


async def test_a_required_finalizer_is_added_and_added_again() -> None:
    async with running(builders.manifest(finalizers={HOLD: True})) as process:
        assert [HOLD] == finalizers(process)

        process.cluster.objects.edit(KEY, lambda body: body["metadata"].pop("finalizers"))
        await process.settled()
        assert [HOLD] == finalizers(process)


async def test_an_unwanted_finalizer_is_removed_and_others_stay() -> None:
    there = builders.object_body(data={"key": "value"})
    there["metadata"]["finalizers"] = ["example.ca/theirs", HOLD]
    async with running(builders.manifest(finalizers={HOLD: False}), before=[there]) as process:
        assert ["example.ca/theirs"] == finalizers(process)

        process.cluster.requests.clear()
        await process.resync()
        assert [] == process.cluster.requests


async def test_an_update_only_object_is_updated_and_never_created() -> None:
    wanted = builders.manifest(update_only=True)
    async with running(wanted) as process:
        assert process.cluster.objects.get(KEY) is None
        assert ("True", "0 objects are in place") == process.conditions()["SamplesReady"]
    async with running(wanted, before=[builders.object_body(data={"key": "other"})]) as process:
        assert {"key": "value"} == process.cluster.objects.read(KEY)["data"]

        process.cluster.objects.delete(KEY)
        await process.settled()
        assert process.cluster.objects.get(KEY) is None


UPDATE_ONLY = always(Owned(kind="ConfigMap", update_only=True))


async def test_an_update_only_kind_is_never_pruned() -> None:
    stale = builders.object_body(name="stale")
    async with running(before=[stale], owned=UPDATE_ONLY) as process:
        assert process.cluster.objects.get(Key("ConfigMap", "alice", "stale")) is not None
        assert [] == process.cluster.written(but=("Event", "Profile"))


async def test_a_manifest_that_could_create_an_object_of_an_update_only_kind_is_an_error() -> None:
    async with running(builders.manifest(), owned=UPDATE_ONLY) as process:
        report = await process.reconcile("samples")

        assert f"{KEY} is not update_only" in report.outcome.message
        assert process.cluster.objects.get(KEY) is None


def test_an_update_only_object_is_not_rendered() -> None:
    manifests = [builders.manifest(update_only=True), builders.manifest(name="other")]
    settings = builders.Settings(manifests=lambda _profile: manifests)

    (body,) = render(builders.controller(), settings, builders.profile())
    assert "other" == body["metadata"]["name"]


async def test_a_declared_namespace_is_written_to_and_pruned() -> None:
    elsewhere = builders.manifest(namespace="platform")
    stale = builders.object_body(name="stale", namespace="platform")
    access: Access[Any] = Access(namespaces=lambda _settings: ("platform",))
    platform = builders.namespace_body("platform", owned=False)
    async with running(elsewhere, before=[platform, stale], access=access) as process:
        assert process.cluster.objects.get(elsewhere.key) is not None
        assert process.cluster.objects.get(Key("ConfigMap", "platform", "stale")) is None


class Outside:
    async def close(self) -> None:
        """Holds nothing."""

    def components(self) -> list[ComponentStatus]:
        return [ComponentStatus(name="database", error="the database is down", next_request=4.2)]


async def test_an_external_system_that_fails_is_reported_and_fails_no_probe() -> None:
    async with running(external=builders.external(Outside())) as process:
        (check,) = (
            one for one in process.health.readyz() if one.name == "external/samples/database"
        )

        assert ("the database is down; next request in 4 s", "") == (check.note, check.error)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lettered(builders.Settings):
    letter: str = "b"


def varied() -> AnyController:
    return builders.controller(
        variants=Variants(setting="letter", names=("a", "b")), command=Command(standalone=True)
    )


async def test_a_variant_has_its_own_condition_and_is_paused_by_either_name() -> None:
    for name in ("samples", "samples-b"):
        annotations = {PAUSED_ANNOTATION: name}
        options = Options(
            listen=None, controller_names=frozenset({"samples", "samples-a", "samples-b"})
        )
        cluster = harness.tenants(annotations=annotations)
        settings = Lettered()
        assembly = (varied().for_settings(settings), settings)
        async with harness.running(assembly, cluster=cluster, options=options) as process:
            assert {"SamplesBReady"} == set(process.conditions())
            assert "Unknown" == process.conditions()["SamplesBReady"][0]
            assert [] == process.events()


async def test_variants_leave_each_others_objects_alone() -> None:
    theirs = builders.object_body(name="theirs", labels=builders.managed_labels("samples-a"))
    cluster = harness.tenants()
    cluster.objects.put(theirs)
    settings = Lettered()
    assembly = (varied().for_settings(settings), settings)
    async with harness.running(assembly, cluster=cluster) as process:
        assert cluster.objects.get(Key("ConfigMap", "alice", "theirs")) is not None
        labels = process.cluster.objects.read(KEY)["metadata"]["labels"]
        assert "samples-b" == labels["app.kubernetes.io/component"]


def test_a_standalone_controller_is_selected_by_its_name_only() -> None:
    registry = (varied(), builders.controller("others", owned=(Owned(kind="Secret"),)))

    assert ["others"] == [one.name for one in select_controllers(registry, [ALL])]
    assert ["samples"] == [one.name for one in select_controllers(registry, ["samples"])]
    known = ["samples", "samples-a", "samples-b", "others", "more", "more-x"]
    assert known == component_names(registry, {"more": ("x",)})
