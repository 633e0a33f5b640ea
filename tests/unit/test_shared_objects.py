"""Items and fields that a controller adds to objects of other owners."""

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from controllers.desired import Desired
from controllers.manifests import Addition, Body, Key
from controllers.profiles import PAUSED_ANNOTATION, Profile
from controllers.runtime import rbac
from controllers.runtime.cache.subscriptions import subscriptions
from controllers.runtime.controller import AnyController, Owned, Shared, always
from controllers.runtime.objects import shared
from controllers.runtime.objects.kinds import KINDS
from controllers.runtime.options import Options
from tests.support import builders
from tests.support.builders import kubeflow_objects
from tests.support.fakes import Failure, FakeCluster, harness, virtual_time

pytestmark = pytest.mark.virtual_time

EDITOR = Key("ServiceAccount", "alice", "default-editor")
PATHS = ("imagePullSecrets", "automountServiceAccountToken")
DECLARED = Shared(kind="ServiceAccount", names=("default-editor",), paths=PATHS, owner="Kubeflow")
OURS = {"name": "registry"}
THEIRS = {"name": "somebody"}
RECORD = shared.annotation("samples")
REPORT_KINDS = ("Event", "Profile")


class Additions:
    """What the controller wants to add; a test changes it."""

    def __init__(self, *items: Mapping[str, str], **fields: Any) -> None:
        self.items = list(items)
        self.fields = fields
        self.wanted = True

    def desired(self, profile: Profile, _facts: object, _settings: object) -> Desired:
        if not self.wanted:
            return Desired()
        addition = Addition(
            kind=EDITOR.kind,
            name=EDITOR.name,
            namespace=profile.namespace,
            items={"imagePullSecrets": self.items} if self.items else {},
            fields=self.fields,
        )
        return Desired(additions=[addition])


def controller(additions: Additions, **fields: Any) -> AnyController:
    made = builders.controller(owned=(), desired=additions.desired)
    return dataclasses.replace(made, **{"shared": always(DECLARED), **fields})


def tenants(**content: Any) -> FakeCluster:
    """A cluster with Alice and what Kubeflow creates for her."""
    cluster = harness.tenants()
    for body in kubeflow_objects.bodies():
        cluster.objects.put(body)
    cluster.objects.edit(EDITOR, lambda body: body.update(content))
    return cluster


def running(additions: Additions, cluster: FakeCluster, **fields: Any) -> Any:
    made = controller(additions, **fields.pop("controller", {}))
    return harness.running((made, builders.Settings()), cluster=cluster, **fields)


def editor(cluster: FakeCluster) -> Body:
    return cluster.objects.read(EDITOR)


def without_record(body: Body) -> Body:
    metadata = {k: v for k, v in body["metadata"].items() if k != "resourceVersion"}
    annotations = {k: v for k, v in metadata.get("annotations", {}).items() if k != RECORD}
    return {**body, "metadata": {**metadata, "annotations": annotations}}


async def test_an_item_is_added_and_everything_else_stays() -> None:
    cluster, additions = (
        tenants(imagePullSecrets=[THEIRS], secrets=[{"name": "token"}]),
        Additions(OURS),
    )
    before = editor(cluster)
    async with running(additions, cluster) as process:
        after = editor(cluster)
        assert [THEIRS, OURS] == after["imagePullSecrets"]
        expected = {**before, "imagePullSecrets": [THEIRS, OURS]}
        assert without_record(expected) == without_record(after)
        assert [f"PATCH {EDITOR}"] == cluster.written(but=REPORT_KINDS)
        assert "True" == process.conditions()["SamplesReady"][0]

        cluster.requests.clear()
        await process.resync()
        assert [] == cluster.requests


async def test_a_restart_writes_nothing_and_still_knows_what_it_added() -> None:
    cluster, additions = tenants(imagePullSecrets=[THEIRS]), Additions(OURS)
    async with running(additions, cluster):
        pass
    cluster.requests.clear()
    async with running(additions, cluster):
        assert [] == cluster.written(but=REPORT_KINDS)
    additions.wanted = False
    async with running(additions, cluster):
        assert [THEIRS] == editor(cluster)["imagePullSecrets"]
        assert RECORD not in editor(cluster)["metadata"]["annotations"]


@pytest.mark.parametrize("before", [None, [], [THEIRS]])
async def test_what_was_added_is_removed_when_it_is_no_longer_desired(
    before: list[Body] | None,
) -> None:
    cluster = tenants(**({} if before is None else {"imagePullSecrets": before}))
    additions = Additions(OURS, automountServiceAccountToken=False)
    original = without_record(editor(cluster))
    async with running(additions, cluster) as process:
        assert editor(cluster)["automountServiceAccountToken"] is False
        additions.wanted = False
        await process.resync()

        after = without_record(editor(cluster))
        assert (before or None) == after.pop("imagePullSecrets", None)
        original.pop("imagePullSecrets", None)
        assert original == after


async def test_one_item_of_several_is_removed_alone() -> None:
    cluster, additions = tenants(), Additions(OURS, {"name": "mirror"})
    async with running(additions, cluster) as process:
        additions.items = [{"name": "mirror"}]
        await process.resync()

        assert [{"name": "mirror"}] == editor(cluster)["imagePullSecrets"]


async def test_an_item_that_somebody_had_added_before_stays_theirs() -> None:
    cluster, additions = tenants(imagePullSecrets=[OURS]), Additions(OURS)
    before = editor(cluster)
    async with running(additions, cluster) as process:
        assert before == editor(cluster)
        additions.wanted = False
        await process.resync()

        assert before == editor(cluster)
    assert [] == cluster.written(but=REPORT_KINDS)


async def test_a_field_that_somebody_has_set_is_reported_and_stays() -> None:
    cluster = tenants(automountServiceAccountToken=True)
    before = editor(cluster)
    additions = Additions(automountServiceAccountToken=False)
    async with running(additions, cluster) as process:
        status, message = process.conditions()["SamplesReady"]
        assert ("False", True) == (
            status,
            "automountServiceAccountToken has another value" in message,
        )
        assert before == editor(cluster)


async def test_a_field_that_somebody_changed_afterwards_is_not_removed() -> None:
    cluster, additions = tenants(), Additions(automountServiceAccountToken=False)
    async with running(additions, cluster) as process:
        cluster.objects.edit(EDITOR, lambda body: body.update(automountServiceAccountToken=True))
        additions.wanted = False
        await process.resync()

        assert editor(cluster)["automountServiceAccountToken"] is True


async def test_an_item_that_somebody_removes_is_added_again() -> None:
    cluster, additions = tenants(), Additions(OURS)
    async with running(additions, cluster) as process:
        cluster.objects.edit(EDITOR, lambda body: body.update(imagePullSecrets=[THEIRS]))
        await process.settled()

        assert [THEIRS, OURS] == editor(cluster)["imagePullSecrets"]


async def test_the_object_is_never_created_and_the_profile_waits_for_it() -> None:
    cluster, additions = harness.tenants(), Additions(OURS)
    async with running(additions, cluster) as process:
        await virtual_time.until(process.conditions, "the condition is written", seconds=60.0)
        status, message = process.conditions()["SamplesReady"]
        assert ("False", True) == (status, "does not exist yet; Kubeflow creates it" in message)
        assert [] == cluster.written(but=REPORT_KINDS)

        for body in kubeflow_objects.bodies():
            cluster.objects.put(body)
        await process.settled()
        assert [OURS] == editor(cluster)["imagePullSecrets"]
        assert "True" == process.conditions()["SamplesReady"][0]


async def test_a_deleted_object_is_not_recreated() -> None:
    cluster, additions = tenants(), Additions(OURS)
    async with running(additions, cluster) as process:
        cluster.objects.delete(EDITOR)
        await process.settled()

        assert cluster.objects.get(EDITOR) is None


def pause(body: Body) -> None:
    body["metadata"]["annotations"] = {PAUSED_ANNOTATION: "true"}


async def test_a_paused_object_is_left_alone() -> None:
    cluster, additions = tenants(), Additions(OURS)
    cluster.objects.edit(EDITOR, pause)
    async with running(additions, cluster):
        assert [] == cluster.written(but=REPORT_KINDS)


async def test_a_dry_run_plans_the_addition_and_writes_nothing() -> None:
    cluster, additions = tenants(), Additions(OURS)
    options = Options(listen=None, dry_run=True)
    async with running(additions, cluster, options=options) as process:
        report = await process.reconcile("samples")

        assert f"{EDITOR} update (shared with Kubeflow)" == str(report.changes)
        assert [] == cluster.written()


async def test_a_concurrent_modification_is_a_conflict_and_nothing_is_lost() -> None:
    cluster, additions = tenants(), Additions(OURS)
    cluster.fail_next(
        Failure.CONFLICT, lambda one: one.method == "PATCH" and one.kind == EDITOR.kind
    )
    async with running(additions, cluster):
        patches = [
            one for one in cluster.requests if one.method == "PATCH" and one.kind == EDITOR.kind
        ]
        assert 2 == len(patches)
        assert all((one.body or {})["metadata"]["resourceVersion"] for one in patches)
        assert [OURS] == editor(cluster)["imagePullSecrets"]


# A tenant edits the record


async def test_a_record_of_somebody_else_removes_nothing() -> None:
    """The managed fields show who wrote the annotation."""
    cluster, additions = tenants(imagePullSecrets=[THEIRS]), Additions(OURS)
    forged = shared.Added(items={"imagePullSecrets": [THEIRS]}).to_json()
    fields: Body = {"f:metadata": {"f:annotations": {f"f:{RECORD}": {}}}}

    def forge(body: Body) -> None:
        body["metadata"]["annotations"] = {RECORD: forged}
        body["metadata"]["managedFields"] = [
            {"manager": "kubectl-edit", "operation": "Update", "fieldsV1": fields}
        ]

    cluster.objects.edit(EDITOR, forge)
    async with running(additions, cluster):
        assert [THEIRS, OURS] == editor(cluster)["imagePullSecrets"]
        record = editor(cluster)["metadata"]["annotations"][RECORD]
        assert {"imagePullSecrets": [OURS]} == json.loads(record)["items"]


@pytest.mark.parametrize("text", ["", "no JSON", "[]", '{"items": [], "fields": {}}', "null"])
async def test_a_damaged_record_counts_as_none(text: str) -> None:
    cluster, additions = tenants(imagePullSecrets=[OURS]), Additions()
    additions.wanted = False
    cluster.objects.edit(EDITOR, lambda body: body["metadata"].update(annotations={RECORD: text}))
    async with running(additions, cluster):
        assert [OURS] == editor(cluster)["imagePullSecrets"]


async def test_labels_of_a_controller_do_not_make_the_object_its_own() -> None:
    cluster, additions = tenants(), Additions(OURS)

    def label(body: Body) -> None:
        body["metadata"]["labels"] = builders.managed_labels("samples")

    cluster.objects.edit(EDITOR, label)
    owned = always(Owned(kind="ServiceAccount", names=("agent",)))
    async with running(additions, cluster, controller={"owned": owned}) as process:
        additions.wanted = False
        await process.resync()

        assert cluster.objects.get(EDITOR) is not None
        cluster.objects.edit(EDITOR, lambda body: body["metadata"].update(labels={}))


# Mistakes in a controller


WRONG: Mapping[str, Callable[[Additions], Desired]] = {
    "not declared in Controller.shared": lambda _: Desired(
        additions=[Addition(kind="ServiceAccount", name="default", namespace="alice")]
    ),
    "in another namespace": lambda _: Desired(
        additions=[Addition(kind="ServiceAccount", name="default-editor", namespace="bob")]
    ),
    "secrets is not in Shared.paths": lambda _: Desired(
        additions=[
            Addition(
                kind="ServiceAccount",
                name="default-editor",
                namespace="alice",
                items={"secrets": [OURS]},
            )
        ]
    ),
    "use Desired.additions": lambda _: Desired(
        objects=[builders.manifest("ServiceAccount", "default-editor")]
    ),
}


@pytest.mark.parametrize("message", WRONG)
async def test_a_mistake_is_reported_and_nothing_is_written(message: str) -> None:
    cluster, additions = tenants(), Additions(OURS)

    def desired(*_: object) -> Desired:
        return WRONG[message](additions)

    fields: dict[str, Any] = {"desired": desired, "owned": always(Owned(kind="ServiceAccount"))}
    async with running(additions, cluster, controller=fields, settle=False) as process:
        report = await process.reconcile("samples")
        assert message in report.outcome.message
        assert [] == cluster.written(but=REPORT_KINDS)


# Rights and lists


Rights = set[tuple[tuple[str, ...], tuple[str, ...]]]
CASES: Sequence[tuple[tuple[Owned, ...], tuple[str, ...], Rights]] = (
    ((), ("default-editor",), {(("get", "list", "watch", "patch"), ("default-editor",))}),
    (
        (),
        ("default-editor", "default-viewer"),
        {(("get", "patch"), ("default-editor", "default-viewer")), (("list", "watch"), ())},
    ),
    (
        (Owned(kind="ServiceAccount", names=("agent",)),),
        ("default-editor",),
        {
            (("get", "patch", "delete"), ("agent",)),
            (("list", "watch", "create"), ()),
            (("get", "patch"), ("default-editor",)),
        },
    ),
)


@pytest.mark.parametrize(("owned", "names", "expected"), CASES)
def test_a_shared_object_is_never_created_or_deleted(
    owned: tuple[Owned, ...], names: tuple[str, ...], expected: Rights
) -> None:
    declared = dataclasses.replace(DECLARED, names=names)
    made = controller(Additions(), owned=always(*owned), shared=always(declared))
    rules = [rule for rule in rbac.rules(made) if "serviceaccounts" in rule.resources]

    assert expected == {(rule.verbs, rule.names) for rule in rules}


@pytest.mark.parametrize(
    ("owned", "expected"),
    [
        ((), {"fieldSelector": "metadata.name=default-editor"}),
        ((Owned(kind="ServiceAccount", names=("agent",)),), {}),
    ],
)
def test_only_the_shared_object_is_listed_where_no_other_is_needed(
    owned: tuple[Owned, ...], expected: Mapping[str, str]
) -> None:
    made = controller(Additions(), owned=always(*owned))
    found = subscriptions([(made, builders.Settings())])[EDITOR.kind]

    assert expected == found.selectors(KINDS[EDITOR.kind])


async def test_the_runner_catches_a_controller_that_owns_an_object_of_kubeflow() -> None:
    """Owned in the ordinary way, the object would be deleted after an opt-out."""
    made = builders.controller(owned=[Owned(kind="ServiceAccount")])
    manifest = builders.manifest("ServiceAccount", "default-editor")
    settings = builders.Settings(manifests=lambda _profile: [manifest])

    with pytest.raises(AssertionError, match=r"declare it in Controller\.shared"):
        async with harness.running((made, settings), cluster=tenants()):
            pass
