"""Reads and changes a tenant's objects, conditions and events on a cluster."""

from collections.abc import Mapping

from tests.support.builders import registered
from tests.support.cluster import kubeflow, waiting
from tests.support.cluster.manager_process import ManagerProcess
from tests.support.controlplane import ControlPlane, Json, StatusError

MERGE_PATCH = "application/merge-patch+json"
QUOTA = "quotas"
LIMIT_RANGE = "default-container-limits"
CONDITIONS = ("QuotasReady", "LimitrangesReady")
GONE_SECONDS = waiting.TIMEOUT_SECONDS


def quota_path(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/resourcequotas/{QUOTA}"


def limits_path(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/limitranges/{LIMIT_RANGE}"


def find(plane: ControlPlane, path: str) -> Json | None:
    """The object, or None if it does not exist."""
    try:
        return plane.request("GET", path)
    except StatusError as error:
        if error.status != 404:
            raise
        return None


def is_deleted(plane: ControlPlane, path: str) -> bool:
    return find(plane, path) is None


def quota_hard(plane: ControlPlane, namespace: str) -> dict[str, str]:
    """`spec.hard` of the managed quota, empty if it does not exist."""
    found = find(plane, quota_path(namespace))
    return dict(found["spec"]["hard"]) if found else {}


def limit_range_item(plane: ControlPlane, namespace: str) -> Json:
    """The only item of the managed LimitRange, empty if it does not exist."""
    found = find(plane, limits_path(namespace))
    return dict(found["spec"]["limits"][0]) if found else {}


def conditions(plane: ControlPlane, profile: str) -> dict[str, tuple[str, str]]:
    """Status and message by type. Raises AssertionError for a duplicate type."""
    body = plane.request("GET", f"{kubeflow.PROFILES}/{profile}")
    listed = (body.get("status") or {}).get("conditions") or []
    found = {one["type"]: (one["status"], one["message"]) for one in listed}
    assert len(found) == len(listed), f"a condition twice: {listed}"
    return found


def condition_status(plane: ControlPlane, profile: str, condition: str) -> str:
    """`True`, `False`, `Unknown`, or an empty string when the Profile lacks the condition."""
    return conditions(plane, profile).get(condition, ("", ""))[0]


def condition_message(plane: ControlPlane, profile: str, condition: str) -> str:
    """The message of the condition, or an empty string when the Profile does not have it."""
    return conditions(plane, profile).get(condition, ("", ""))[1]


def is_ready(plane: ControlPlane, profile: str) -> bool:
    """Whether both objects exist and both conditions are True."""
    found = conditions(plane, profile)
    return (
        all(found.get(one, ("", ""))[0] == "True" for one in CONDITIONS)
        and find(plane, quota_path(profile)) is not None
        and find(plane, limits_path(profile)) is not None
    )


def wait_ready(plane: ControlPlane, profile: str, seconds: float = waiting.TIMEOUT_SECONDS) -> None:
    waiting.until(lambda: is_ready(plane, profile), f"{profile} is ready", seconds=seconds)


def wait_for_all_conditions(plane: ControlPlane, profile: str) -> None:
    """Returns once every controller that `all` runs has a condition on the Profile."""
    types = {controller.condition for controller in registered.RUN_BY_ALL}
    waiting.until(
        lambda: types <= conditions(plane, profile).keys(),
        f"every controller has a condition on {profile}",
    )


def create_ready_tenant(
    plane: ControlPlane, name: str, labels: Mapping[str, str] | None = None
) -> Json:
    """Creates a Profile with its namespace; returns it when both conditions are True."""
    (profile,) = kubeflow.create_tenants(plane, [name], labels=labels)
    wait_ready(plane, name)
    return profile


def set_quota_labels(plane: ControlPlane, profile: str, **labels: str | None) -> None:
    """Sets `quotas.statcan.gc.ca/<name>` on a Profile; None removes it."""
    patch_labels(
        plane, profile, {f"quotas.statcan.gc.ca/{name}": value for name, value in labels.items()}
    )


def patch_labels(plane: ControlPlane, profile: str, labels: Mapping[str, str | None]) -> None:
    """Sets labels on a Profile; None removes one."""
    kubeflow.patch_profile(plane, profile, {"metadata": {"labels": dict(labels)}})


def annotate(plane: ControlPlane, path: str, **annotations: str | None) -> Json:
    """Sets the annotation `profiles-controller.statcan.gc.ca/<name>`; None removes it."""
    named = {f"profiles-controller.statcan.gc.ca/{key}": text for key, text in annotations.items()}
    return patch(plane, path, {"metadata": {"annotations": named}})


def patch(plane: ControlPlane, path: str, body: Json) -> Json:
    return plane.request("PATCH", path, body, MERGE_PATCH)


def delete(plane: ControlPlane, path: str) -> None:
    plane.request("DELETE", path)


def delete_namespace(plane: ControlPlane, name: str) -> None:
    """Deletes a namespace, and waits until it is gone."""
    path = f"/api/v1/namespaces/{name}"
    plane.request("DELETE", path)
    waiting.until(
        lambda: find(plane, path) is None, f"namespace {name} is gone", seconds=GONE_SECONDS
    )


def events(plane: ControlPlane, profile: str, **fields: str) -> list[Json]:
    """The events of a Profile with these fields, such as `type="Warning"`."""
    listed = plane.request(
        "GET",
        f"/api/v1/namespaces/default/events?fieldSelector=involvedObject.kind=Profile,"
        f"involvedObject.name={profile}",
    )
    return [one for one in listed["items"] if fields.items() <= one.items()]


def count_objects(plane: ControlPlane, resource: str, selector: str = "") -> int:
    """The number of objects of a core resource, without a list of them."""
    listed = plane.request("GET", f"/api/v1/{resource}?limit=1&labelSelector={selector}")
    return len(listed["items"]) + int(listed["metadata"].get("remainingItemCount", 0))


def add_condition(plane: ControlPlane, profile: str, condition: Json) -> None:
    """Adds a condition of another writer, with the resource version that was read."""

    def added() -> bool:
        body = plane.request("GET", f"{kubeflow.PROFILES}/{profile}")
        listed = (body.get("status") or {}).get("conditions") or []
        version = {"resourceVersion": body["metadata"]["resourceVersion"]}
        change = {"metadata": version, "status": {"conditions": [*listed, condition]}}
        try:
            patch(plane, f"{kubeflow.PROFILES}/{profile}/status", change)
        except StatusError as error:
            if error.status != 409:
                raise
            return False
        return True

    waiting.until(added, f"{profile} has condition {condition['type']}")


def wait_for_reconciles(manager: ManagerProcess, count: int) -> None:
    """Waits until the process has ended `count` more reconciles, of any controller and profile."""
    total = "controller_runtime_reconcile_total"
    goal = manager.total(total) + count
    waiting.until(lambda: manager.total(total) >= goal, f"{count} more reconciles")
