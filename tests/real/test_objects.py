"""Changes of others to owned objects: one process, a real API server."""

from typing import Any

import pytest

from tests.support.cluster import kubeflow, observe, waiting
from tests.support.controlplane import ControlPlane, Json

pytestmark = [pytest.mark.xdist_group("objects"), pytest.mark.usefixtures("manager")]

LABELS = {
    "app.kubernetes.io/managed-by": "profiles-controller",
    "app.kubernetes.io/component": "quotas",
}


def uid(found: Json | None) -> Any:
    return found["metadata"]["uid"] if found else None


def quota(plane: ControlPlane, namespace: str) -> Json:
    return plane.request("GET", observe.quota_path(namespace))


def theirs(namespace: str, **metadata: Any) -> Json:
    """Somebody else's quota under the name of ours."""
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": observe.QUOTA, "namespace": namespace, **metadata},
        "spec": {"hard": {"pods": "1"}},
    }


def test_an_edited_object_is_restored_in_place(control_plane: ControlPlane) -> None:
    observe.create_ready_tenant(control_plane, "edited")
    before = quota(control_plane, "edited")

    change = {"spec": {"hard": {"pods": "1", "secrets": "3", "limits.cpu": None}}}
    observe.patch(control_plane, observe.quota_path("edited"), change)

    waiting.until(
        lambda: quota(control_plane, "edited")["spec"] == before["spec"], "the quota is as it was"
    )
    assert uid(quota(control_plane, "edited")) == uid(before)


def test_a_deleted_object_is_created_again(control_plane: ControlPlane) -> None:
    observe.create_ready_tenant(control_plane, "emptied")
    before = observe.find(control_plane, observe.limits_path("emptied"))

    observe.delete(control_plane, observe.limits_path("emptied"))

    waiting.until(
        lambda: observe.limit_range_item(control_plane, "emptied"), "the limits are there again"
    )
    assert uid(observe.find(control_plane, observe.limits_path("emptied"))) != uid(before)


@pytest.mark.parametrize(
    ("name", "metadata"),
    [
        ("unlabelled", {"labels": None}),
        ("unmanaged", {"labels": {"app.kubernetes.io/managed-by": None}}),
        ("claimed", {"labels": {"app.kubernetes.io/managed-by": "somebody"}}),
        ("relabelled", {"labels": {"app.kubernetes.io/component": "limitranges"}}),
        ("disowned", {"ownerReferences": None}),
    ],
)
def test_a_removed_label_or_owner_reference_is_restored(
    control_plane: ControlPlane, name: str, metadata: Json
) -> None:
    observe.create_ready_tenant(control_plane, name)
    before = quota(control_plane, name)

    observe.patch(control_plane, observe.quota_path(name), {"metadata": metadata})

    def is_marked() -> bool:
        found: Json = quota(control_plane, name)["metadata"]
        owners = found.get("ownerReferences")
        assert owners == before["metadata"]["ownerReferences"]
        assert found.get("labels") == LABELS
        return True

    waiting.until(is_marked, "labels and owner reference are back")
    assert uid(quota(control_plane, name)) == uid(before)


def test_metadata_of_other_writers_is_preserved(control_plane: ControlPlane) -> None:
    observe.create_ready_tenant(control_plane, "decorated")
    control_plane.apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "another", "namespace": "decorated"},
        }
    )
    another = control_plane.get("ConfigMap", "another", "decorated")
    before = quota(control_plane, "decorated")
    reference = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "name": "another",
        "uid": another["metadata"]["uid"],
    }
    added = {
        "labels": {"theirs": "label"},
        "annotations": {"theirs": "note"},
        "finalizers": ["example.ca/theirs"],
        "ownerReferences": [*before["metadata"]["ownerReferences"], reference],
    }

    observe.patch(
        control_plane,
        observe.quota_path("decorated"),
        {"metadata": added, "spec": {"hard": {"pods": "1"}}},
    )

    waiting.until(
        lambda: quota(control_plane, "decorated")["spec"] == before["spec"],
        "the quota is restored",
    )
    after = quota(control_plane, "decorated")["metadata"]
    observe.patch(
        control_plane, observe.quota_path("decorated"), {"metadata": {"finalizers": None}}
    )
    assert after["labels"] == LABELS | {"theirs": "label"}
    assert after["annotations"] == {"theirs": "note"}
    assert after["finalizers"] == ["example.ca/theirs"]
    assert {one["name"]: one.get("controller", False) for one in after["ownerReferences"]} == {
        "decorated": True,
        "another": False,
    }


def test_an_object_of_another_owner_with_our_name_is_reported_and_not_changed(
    control_plane: ControlPlane,
) -> None:
    profile = kubeflow.create_profile(control_plane, "occupied")
    namespace = kubeflow.namespace_manifest(profile)
    owners = namespace["metadata"].pop("ownerReferences")
    control_plane.apply(namespace, theirs("occupied"))
    before = quota(control_plane, "occupied")

    observe.patch(
        control_plane,
        "/api/v1/namespaces/occupied",
        {"metadata": {"ownerReferences": owners}},
    )
    waiting.until(
        lambda: observe.limit_range_item(control_plane, "occupied"), "the other object is made"
    )
    (warning,) = waiting.until(
        lambda: observe.events(control_plane, "occupied", reason="Refused"), "a warning is reported"
    )
    waiting.until(
        lambda: "refused" in observe.condition_message(control_plane, "occupied", "QuotasReady"),
        "the condition reports the refusal",
    )

    assert quota(control_plane, "occupied")["spec"] == before["spec"]
    assert "labels" not in quota(control_plane, "occupied")["metadata"]
    assert observe.condition_status(control_plane, "occupied", "QuotasReady") == "False"
    message = observe.condition_message(control_plane, "occupied", "QuotasReady")
    assert "ResourceQuota occupied/quotas" in message
    assert "is not managed by profiles-controller" in message
    assert (warning["type"], warning["message"]) == ("Warning", message)

    observe.delete(control_plane, observe.quota_path("occupied"))

    observe.wait_ready(control_plane, "occupied")


def test_an_object_with_another_controlling_owner_is_not_adopted(
    control_plane: ControlPlane,
) -> None:
    profile = kubeflow.create_profile(control_plane, "lodging")
    namespace = kubeflow.namespace_manifest(profile)
    owners = namespace["metadata"].pop("ownerReferences")
    control_plane.apply(namespace)
    configmap = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "landlord", "namespace": "lodging"},
    }
    control_plane.apply(configmap)
    landlord = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "name": "landlord",
        "uid": uid(control_plane.get("ConfigMap", "landlord", "lodging")),
        "controller": True,
    }
    control_plane.apply(theirs("lodging", ownerReferences=[landlord]))
    before = quota(control_plane, "lodging")

    owner = {"metadata": {"ownerReferences": owners}}
    observe.patch(control_plane, "/api/v1/namespaces/lodging", owner)

    waiting.until(
        lambda: (
            observe.condition_status(control_plane, "lodging", "LimitrangesReady") == "True"
            and observe.condition_status(control_plane, "lodging", "QuotasReady") == "False"
        ),
        "the other object is made, and this one refused",
    )
    after = quota(control_plane, "lodging")
    assert after["metadata"]["ownerReferences"] == [landlord]
    assert after["spec"] == before["spec"]
    assert "belongs to another owner" in observe.condition_message(
        control_plane, "lodging", "QuotasReady"
    )


def test_objects_of_the_older_suite_are_adopted_in_place(control_plane: ControlPlane) -> None:
    profile = kubeflow.create_profile(control_plane, "inherited")
    namespace = kubeflow.namespace_manifest(profile)
    owners = namespace["metadata"].pop("ownerReferences")
    control_plane.apply(namespace)
    quotas = theirs("inherited", ownerReferences=owners)
    limits = {
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": kubeflow.owned_metadata(profile, observe.LIMIT_RANGE),
        "spec": {"limits": [{"type": "Container", "default": {"cpu": "1"}}]},
    }
    control_plane.apply(quotas, limits)
    paths = (observe.quota_path("inherited"), observe.limits_path("inherited"))
    before = [uid(observe.find(control_plane, path)) for path in paths]

    owner = {"metadata": {"ownerReferences": owners}}
    observe.patch(control_plane, "/api/v1/namespaces/inherited", owner)

    waiting.until(
        lambda: quota(control_plane, "inherited")["metadata"].get("labels") == LABELS,
        "the quota bears our labels",
    )
    observe.wait_ready(control_plane, "inherited")
    assert [uid(observe.find(control_plane, path)) for path in paths] == before
    assert observe.quota_hard(control_plane, "inherited")["pods"] == "100"
    assert observe.limit_range_item(control_plane, "inherited")["default"]["memory"] == "256M"
