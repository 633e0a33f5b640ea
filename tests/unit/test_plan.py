"""The plan: desired objects compared with cached objects."""

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
DEPLOYMENT = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "uid-web"}
BOB = builders.profile_reference("bob", "uid-bob")
EARLIER_ALICE = builders.profile_reference("alice", "uid-before")


@dataclass(frozen=True)
class FakeStore:
    """A store of cached objects of one kind."""

    entries: Sequence[tuple[str, str, CachedObject]] = ()

    def get(self, namespace: str, name: str) -> CachedObject | None:
        keys = {(entry[0], entry[1]): entry[2] for entry in self.entries}
        return keys.get((namespace, name))

    def by_owner(self, _namespace: str, uid: str) -> Iterable[tuple[str, str, CachedObject]]:
        return [entry for entry in self.entries if entry[2].owner_uid == uid]


def planned(
    *manifests: Manifest,
    entries: Sequence[tuple[str, str, CachedObject]] = (),
    kind: str = "ConfigMap",
    component: str = "samples",
    namespaces: Sequence[str] = (),
) -> list[str]:
    """Each change as text, the unchanged ones included."""
    changes, _ = apply_plan.plan(
        manifests,
        profile=builders.profile(),
        component=component,
        stores={kind: FakeStore(entries)},
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
def test_the_label_of_a_controller_that_never_wrote_the_object_is_corrected(
    managers: Sequence[str], action: Action
) -> None:
    body = builders.object_body("ConfigMap", labels=builders.managed_labels("others"))
    body["metadata"]["managedFields"] = [{"manager": one} for one in managers]
    cached = cached_object.from_body(KINDS["ConfigMap"], body)

    assert action is decided(cached, name=body["metadata"]["name"])[0]
    changes = planned(entries=[("alice", body["metadata"]["name"], cached)], component="others")
    assert bool(changes) is (action is Action.REFUSED)  # a label alone does not allow a prune


def decided(
    cached: CachedObject | None, kind: str = "ConfigMap", **manifest: Any
) -> tuple[Action, str]:
    desired = apply_plan.desired_object(
        builders.manifest(kind, **manifest), builders.profile(), "samples"
    )
    change = apply_plan.decide(desired, cached)
    return change.action, change.detail


RULES: dict[str, tuple[dict[str, Any], dict[str, Any], Action, str]] = {
    # existing object, fields of the manifest, action, text in the detail
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
        DATA | {"owners": [DEPLOYMENT], "labels": {}},
        {},
        Action.REFUSED,
        "belongs to another owner",
    ),
    "unowned": (
        DATA | {"owners": [], "labels": {}},
        {},
        Action.REFUSED,
        "is not managed by profiles-controller",
    ),
    "unowned_and_adoptable": (
        EDITED | {"owners": [], "labels": {}},
        {"adoptable": True},
        Action.ADOPT,
        "",
    ),
    "of_another_owner_is_never_adoptable": (
        DATA | {"owners": [DEPLOYMENT], "labels": {}},
        {"adoptable": True},
        Action.REFUSED,
        "belongs to another owner",
    ),
    "managed_without_its_owner": (DATA | {"owners": []}, {}, Action.ADOPT, ""),
    "of_the_older_suite": (EDITED | {"labels": {}}, {}, Action.ADOPT, ""),
    "create_only_and_edited": (EDITED, {"create_only": True}, Action.UNCHANGED, ""),
    "create_only_without_its_owner": (
        EDITED | {"owners": []},
        {"create_only": True},
        Action.ADOPT,
        "",
    ),
    "create_only_of_the_older_suite": (
        EDITED | {"labels": {}},
        {"create_only": True},
        Action.ADOPT,
        "",
    ),
    "create_only_of_another_profile": (
        DATA | {"owners": [BOB]},
        {"create_only": True},
        Action.REFUSED,
        "belongs to Profile bob",
    ),
    "a_desired_label_changed": (
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
    "a_desired_annotation_missing": (DATA, {"annotations": {"note": "a"}}, Action.UPDATE, ""),
    "an_annotation_of_others_added": (
        DATA | {"annotations": {"note": "b"}},
        {},
        Action.UNCHANGED,
        "",
    ),
}


@pytest.mark.parametrize("case", RULES)
def test_the_first_matching_rule_decides(case: str) -> None:
    existing, manifest, action, text = RULES[case]
    found, detail = decided(builders.cached_object(**existing), **manifest)

    assert action is found
    assert text in detail
    assert bool(text) == bool(detail)


@pytest.mark.parametrize("case", RULES)
def test_a_write_is_blocked_exactly_where_the_plan_gives_a_reason_not_to_write(case: str) -> None:
    existing, manifest, action, text = RULES[case]
    cached = builders.cached_object(**existing)
    desired = apply_plan.desired_object(
        builders.manifest("ConfigMap", **manifest), builders.profile(), "samples"
    )

    blocked = apply_plan.blocked_write(desired, cached)

    assert (blocked is not None) is bool(text)
    if blocked is not None:
        assert blocked == apply_plan.decide(desired, cached)
        assert blocked.action is action


def test_an_object_that_does_not_exist_may_be_written() -> None:
    desired = apply_plan.desired_object(builders.manifest(), builders.profile(), "samples")

    assert apply_plan.blocked_write(desired, None) is None


def test_a_component_label_of_an_unknown_controller_is_corrected() -> None:
    siblings = ("samples", "others")
    manifest = apply_plan.desired_object(
        builders.manifest("ConfigMap"), builders.profile(), "samples", siblings
    )
    actions = []
    for component in ("others", "nonsense"):
        existing: dict[str, Any] = DATA | {"labels": builders.managed_labels(component)}
        actions.append(apply_plan.decide(manifest, builders.cached_object(**existing)).action)

    assert [Action.REFUSED, Action.UPDATE] == actions


def test_a_missing_object_is_created() -> None:
    assert (Action.CREATE, "") == decided(None)


def test_an_object_with_another_immutable_field_is_recreated() -> None:
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}
    existing = builders.cached_object("RoleBinding", roleRef=role | {"name": "edit"}, subjects=[])
    content = {"roleRef": role, "subjects": []}

    assert (Action.RECREATE, "roleRef is immutable") == decided(
        existing, "RoleBinding", content=content
    )


def test_a_merge_kind_is_compared_by_its_desired_fields() -> None:
    spec = builders.partial_service()["spec"]
    existing = builders.cached_object("Service", spec=spec | {"clusterIP": "10.0.0.1"})

    assert (Action.UNCHANGED, "") == decided(existing, "Service", content={"spec": spec})
    assert (Action.UPDATE, "") == decided(
        existing, "Service", content={"spec": spec | {"type": "NodePort"}}
    )


def test_a_null_field_is_not_desired() -> None:
    existing = builders.cached_object(data={"key": "value"})

    assert (Action.UNCHANGED, "") == decided(existing, content={**DATA, "immutable": None})


def test_a_stripped_annotation_is_drift_and_others_are_not() -> None:
    stripped = ("user", "role")
    annotations = {"note": "theirs", "role": "admin"}
    existing = builders.cached_object(data={"key": "value"}, annotations=annotations)

    assert decided(existing, stripped_annotations=stripped) == (Action.UPDATE, "")
    assert decided(existing, stripped_annotations=("user",)) == (Action.UNCHANGED, "")


def test_changes_come_in_the_order_of_the_desired_state_and_prune_last() -> None:
    stale = builders.cached_object(name="stale")

    assert [
        "ConfigMap alice/b create",
        "ConfigMap alice/a create",
        "ConfigMap alice/stale prune (no longer desired)",
    ] == planned(
        builders.manifest(name="b"),
        builders.manifest(name="a"),
        entries=[("alice", "stale", stale)],
    )


@pytest.mark.parametrize(
    "existing",
    [
        pytest.param({"labels": builders.managed_labels("others")}, id="of_another_controller"),
        pytest.param({"labels": {}}, id="only_watched"),
        pytest.param({"labels": {}, "legacy": ("others",)}, id="legacy_of_another_controller"),
        pytest.param({"labels": {COMPONENT_LABEL: "samples"}}, id="without_managed_by_label"),
        pytest.param({"labels": {MANAGED_BY_LABEL: "helm"}}, id="managed_by_another"),
        pytest.param({"deleting": True}, id="being_deleted"),
        pytest.param({"owners": [BOB]}, id="of_another_profile"),
    ],
)
def test_an_object_that_the_controller_does_not_own_is_not_pruned(existing: dict[str, Any]) -> None:
    assert [] == planned(
        entries=[("alice", "existing", builders.cached_object(name="existing", **existing))]
    )


def test_an_object_of_the_older_suite_that_is_no_longer_desired_is_pruned() -> None:
    existing = builders.cached_object(name="existing", labels={}, legacy=("samples",))

    assert ["ConfigMap alice/existing prune (no longer desired)"] == planned(
        entries=[("alice", "existing", existing)]
    )


def test_a_paused_object_is_not_pruned() -> None:
    existing = builders.cached_object(name="existing", annotations={PAUSED_ANNOTATION: "true"})

    assert ["ConfigMap alice/existing unchanged (paused by its annotation)"] == planned(
        entries=[("alice", "existing", existing)]
    )


def test_an_owned_object_in_another_namespace_is_not_pruned() -> None:
    assert [] == planned(
        entries=[("kube-system", "existing", builders.cached_object(name="existing"))]
    )


def test_an_owned_object_in_an_additional_namespace_is_pruned() -> None:
    existing = ("argocd", "existing", builders.cached_object(name="existing", namespace="argocd"))

    assert ["ConfigMap argocd/existing prune (no longer desired)"] == planned(
        entries=[existing], namespaces=["argocd"]
    )


def test_a_manifest_for_another_namespace_raises_an_error() -> None:
    with pytest.raises(ValueError, match="ConfigMap bob/settings is outside the namespace of"):
        planned(builders.manifest(namespace="bob"))


def test_a_cluster_scoped_manifest_is_planned() -> None:
    assert ["Namespace extra create"] == planned(
        builders.manifest("Namespace", "extra", ""), kind="Namespace"
    )
