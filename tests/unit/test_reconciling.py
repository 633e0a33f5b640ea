"""The plan: what is wanted against what is remembered."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from controllers.manifests import COMPONENT_LABEL, MANAGED_BY_LABEL, Manifest
from controllers.profiles import PAUSED_ANNOTATION
from controllers.runtime.apply import plan as apply_plan
from controllers.runtime.apply.changeset import Action
from controllers.runtime.objects import cached_object
from controllers.runtime.objects.cached_object import CachedObject
from controllers.runtime.objects.kinds import KINDS
from tests.support import builders

DATA = {"data": {"key": "value"}}
EDITED = {"data": {"key": "edited"}}
SOMEBODY = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "uid-web"}
BOB = builders.profile_reference("bob", "uid-bob")
EARLIER_ALICE = builders.profile_reference("alice", "uid-before")


@dataclass(frozen=True)
class Memory:
    """An informer's memory, for one kind."""

    records: Sequence[tuple[str, str, CachedObject]] = ()

    def get(self, namespace: str, name: str) -> CachedObject | None:
        found = (one for where, who, one in self.records if (where, who) == (namespace, name))
        return next(found, None)

    def by_owner(self, _namespace: str, uid: str) -> Iterable[tuple[str, str, CachedObject]]:
        return [entry for entry in self.records if entry[2].owner_uid == uid]


def planned(
    *manifests: Manifest,
    records: Sequence[tuple[str, str, CachedObject]] = (),
    kind: str = "ConfigMap",
    component: str = "samples",
    namespaces: Sequence[str] = (),
) -> list[str]:
    """Each change as text, the unchanged ones included."""
    changes, _ = apply_plan.plan(
        manifests,
        profile=builders.profile(),
        component=component,
        stores={kind: Memory(records)},
        namespaces=namespaces,
    )
    return [str(change) for change in changes]


@pytest.mark.parametrize(
    ("managers", "action"),
    [
        (("profiles-controller-samples", "kubectl-label"), Action.UPDATE),
        (("profiles-controller-others", "profiles-controller-samples"), Action.REFUSED),
        (("profiles-controller-others",), Action.REFUSED),
        (("velero",), Action.REFUSED),
        ((), Action.REFUSED),
    ],
)
def test_the_label_of_a_controller_that_never_wrote_it_is_put_right(
    managers: Sequence[str], action: Action
) -> None:
    body = builders.object_body("ConfigMap", labels=builders.managed_labels("others"))
    body["metadata"]["managedFields"] = [{"manager": one} for one in managers]
    record = cached_object.from_body(KINDS["ConfigMap"], body)

    assert action is judged(record, name=body["metadata"]["name"])[0]
    mine = planned(records=[("alice", body["metadata"]["name"], record)], component="others")
    assert bool(mine) is (action is Action.REFUSED)  # who is only named by a label removes nothing


def judged(
    record: CachedObject | None, kind: str = "ConfigMap", **manifest: Any
) -> tuple[Action, str]:
    wanted = apply_plan.desired_object(
        builders.manifest(kind, **manifest), builders.profile(), "samples"
    )
    change = apply_plan.decide(wanted, record)
    return change.action, change.detail


RULES: dict[str, tuple[dict[str, Any], dict[str, Any], Action, str]] = {
    # what is there, what is wanted beside the default, action, words of the reason
    "in_sync": (DATA, {}, Action.UNCHANGED, ""),
    "edited": (EDITED, {}, Action.UPDATE, ""),
    "edited_but_paused": (
        EDITED | {"annotations": {PAUSED_ANNOTATION: "true"}},
        {},
        Action.UNCHANGED,
        "paused",
    ),
    "edited_and_paused_false": (
        EDITED | {"annotations": {PAUSED_ANNOTATION: "false"}},
        {},
        Action.UPDATE,
        "",
    ),
    "being_deleted": (DATA | {"deleting": True}, {}, Action.PENDING, "is being deleted"),
    "of_an_earlier_profile": (
        DATA | {"owners": [EARLIER_ALICE]},
        {},
        Action.PENDING,
        "belongs to an earlier Profile",
    ),
    "of_another_controller": (
        DATA | {"labels": builders.managed_labels("others")},
        {},
        Action.REFUSED,
        "is managed by controller others",
    ),
    "of_another_profile": (DATA | {"owners": [BOB]}, {}, Action.REFUSED, "belongs to Profile bob"),
    "of_a_deployment": (
        DATA | {"owners": [SOMEBODY], "labels": {}},
        {},
        Action.REFUSED,
        "belongs to another owner",
    ),
    "nobodys": (
        DATA | {"owners": [], "labels": {}},
        {},
        Action.REFUSED,
        "is not managed by profiles-controller",
    ),
    "nobodys_and_adoptable": (
        EDITED | {"owners": [], "labels": {}},
        {"adoptable": True},
        Action.ADOPT,
        "",
    ),
    "anothers_is_never_adoptable": (
        DATA | {"owners": [SOMEBODY], "labels": {}},
        {"adoptable": True},
        Action.REFUSED,
        "belongs to another owner",
    ),
    "ours_without_its_owner": (DATA | {"owners": []}, {}, Action.ADOPT, ""),
    "an_older_suites": (EDITED | {"labels": {}}, {}, Action.ADOPT, ""),
    "create_only_and_edited": (EDITED, {"create_only": True}, Action.UNCHANGED, ""),
    "create_only_without_its_owner": (
        EDITED | {"owners": []},
        {"create_only": True},
        Action.ADOPT,
        "",
    ),
    "create_only_and_an_older_suites": (
        EDITED | {"labels": {}},
        {"create_only": True},
        Action.ADOPT,
        "",
    ),
    "create_only_and_anothers": (
        DATA | {"owners": [BOB]},
        {"create_only": True},
        Action.REFUSED,
        "belongs to Profile bob",
    ),
    "a_label_of_ours_changed": (
        DATA | {"labels": builders.managed_labels() | {"tier": "low"}},
        {"labels": {"tier": "high"}},
        Action.UPDATE,
        "",
    ),
    "a_label_of_others_added": (
        DATA | {"labels": builders.managed_labels() | {"theirs": "yes"}},
        {},
        Action.UNCHANGED,
        "",
    ),
    "an_annotation_of_ours_missing": (DATA, {"annotations": {"note": "a"}}, Action.UPDATE, ""),
    "an_annotation_of_others_added": (
        DATA | {"annotations": {"note": "b"}},
        {},
        Action.UNCHANGED,
        "",
    ),
}


@pytest.mark.parametrize("case", RULES)
def test_the_first_rule_that_speaks_decides(case: str) -> None:
    there, wanted, action, words = RULES[case]
    found, detail = judged(builders.cached_object(**there), **wanted)

    assert action is found
    assert words in detail
    assert bool(words) == bool(detail)


@pytest.mark.parametrize("case", RULES)
def test_a_write_is_blocked_exactly_where_the_plan_gives_a_reason_not_to_write(case: str) -> None:
    there, wanted, action, words = RULES[case]
    record = builders.cached_object(**there)
    want = apply_plan.desired_object(
        builders.manifest("ConfigMap", **wanted), builders.profile(), "samples"
    )

    blocked = apply_plan.blocked_write(want, record)

    assert (blocked is not None) is bool(words)
    if blocked is not None:
        assert blocked == apply_plan.decide(want, record)
        assert blocked.action is action


def test_an_object_that_does_not_exist_may_be_written() -> None:
    want = apply_plan.desired_object(builders.manifest(), builders.profile(), "samples")

    assert apply_plan.blocked_write(want, None) is None


def test_a_component_that_names_no_controller_is_put_right() -> None:
    siblings = ("samples", "others")
    wanted = apply_plan.desired_object(
        builders.manifest("ConfigMap"), builders.profile(), "samples", siblings
    )
    actions = []
    for component in ("others", "nonsense"):
        there: dict[str, Any] = DATA | {"labels": builders.managed_labels(component)}
        actions.append(apply_plan.decide(wanted, builders.cached_object(**there)).action)

    assert [Action.REFUSED, Action.UPDATE] == actions


def test_what_is_missing_is_created() -> None:
    assert (Action.CREATE, "") == judged(None)


def test_an_immutable_field_that_differs_is_made_anew() -> None:
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}
    there = builders.cached_object("RoleBinding", roleRef=role | {"name": "edit"}, subjects=[])
    content = {"roleRef": role, "subjects": []}

    assert (Action.RECREATE, "roleRef is immutable") == judged(
        there, "RoleBinding", content=content
    )


def test_a_merge_kind_is_compared_on_the_fields_that_we_state() -> None:
    spec = builders.partial_service()["spec"]
    there = builders.cached_object("Service", spec=spec | {"clusterIP": "10.0.0.1"})

    assert (Action.UNCHANGED, "") == judged(there, "Service", content={"spec": spec})
    assert (Action.UPDATE, "") == judged(
        there, "Service", content={"spec": spec | {"type": "NodePort"}}
    )


def test_a_field_that_is_null_is_not_wanted() -> None:
    there = builders.cached_object(data={"key": "value"})

    assert (Action.UNCHANGED, "") == judged(there, content={**DATA, "immutable": None})


def test_a_barred_annotation_is_out_of_shape_and_others_are_not() -> None:
    barred = ("user", "role")
    annotations = {"note": "theirs", "role": "admin"}
    there = builders.cached_object(data={"key": "value"}, annotations=annotations)

    assert judged(there, stripped_annotations=barred) == (Action.UPDATE, "")
    assert judged(there, stripped_annotations=("user",)) == (Action.UNCHANGED, "")


def test_changes_come_in_the_order_of_the_desired_state_and_prune_last() -> None:
    stale = builders.cached_object(name="stale")

    assert [
        "ConfigMap alice/b create",
        "ConfigMap alice/a create",
        "ConfigMap alice/stale prune (no longer desired)",
    ] == planned(
        builders.manifest(name="b"),
        builders.manifest(name="a"),
        records=[("alice", "stale", stale)],
    )


@pytest.mark.parametrize(
    "there",
    [
        pytest.param({"labels": builders.managed_labels("others")}, id="of_another_controller"),
        pytest.param({"labels": {}}, id="only_watched"),
        pytest.param({"labels": {}, "legacy": ("others",)}, id="legacy_of_another_controller"),
        pytest.param({"labels": {COMPONENT_LABEL: "samples"}}, id="half_marked"),
        pytest.param({"labels": {MANAGED_BY_LABEL: "helm"}}, id="managed_by_another"),
        pytest.param({"deleting": True}, id="on_its_way_out"),
        pytest.param({"owners": [BOB]}, id="of_another_profile"),
    ],
)
def test_what_is_not_ours_to_delete_is_not_pruned(there: dict[str, Any]) -> None:
    assert [] == planned(
        records=[("alice", "there", builders.cached_object(name="there", **there))]
    )


def test_an_older_suites_object_that_is_no_longer_wanted_is_pruned() -> None:
    there = builders.cached_object(name="there", labels={}, legacy=("samples",))

    assert ["ConfigMap alice/there prune (no longer desired)"] == planned(
        records=[("alice", "there", there)]
    )


def test_a_paused_object_is_not_pruned() -> None:
    there = builders.cached_object(name="there", annotations={PAUSED_ANNOTATION: "true"})

    assert ["ConfigMap alice/there unchanged (paused by its annotation)"] == planned(
        records=[("alice", "there", there)]
    )


def test_an_owned_object_in_another_namespace_is_left_alone() -> None:
    assert [] == planned(records=[("kube-system", "there", builders.cached_object(name="there"))])


def test_an_owned_object_in_a_namespace_that_is_allowed_besides_is_pruned() -> None:
    there = ("argocd", "there", builders.cached_object(name="there", namespace="argocd"))

    assert ["ConfigMap argocd/there prune (no longer desired)"] == planned(
        records=[there], namespaces=["argocd"]
    )


def test_a_manifest_for_another_namespace_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="ConfigMap bob/settings is outside the namespace of"):
        planned(builders.manifest(namespace="bob"))


def test_a_cluster_scoped_manifest_is_within_reach() -> None:
    assert ["Namespace extra create"] == planned(
        builders.manifest("Namespace", "extra", ""), kind="Namespace"
    )
