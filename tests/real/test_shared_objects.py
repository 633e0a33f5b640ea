"""Sharing Kubeflow's default-editor on a real API server, with exactly the rights of the role."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import pytest

from controllers.desired import Desired
from controllers.manifests import Addition
from controllers.profiles import Profile
from controllers.runtime import rbac
from controllers.runtime.commands import oneshot
from controllers.runtime.controller import AnyController, Shared, always
from controllers.runtime.objects import shared
from controllers.runtime.options import Connection, Options
from tests.support import builders
from tests.support.cluster import kubeflow, observe, service_account
from tests.support.controlplane import ControlPlane, Json

pytestmark = pytest.mark.xdist_group("shared-objects")

NAME = "sharing"
RECORD = shared.annotation(NAME)
OURS, THEIRS = {"name": "registry"}, {"name": "of-a-user"}


def controller(tenant: str, *items: Mapping[str, str]) -> AnyController:
    """It adds the items to default-editor of one tenant."""

    def desired(profile: Profile, _facts: object, _settings: object) -> Desired:
        if profile.name != tenant or not items:
            return Desired()
        addition = Addition(
            kind="ServiceAccount",
            name="default-editor",
            namespace=profile.namespace,
            items={"imagePullSecrets": items},
        )
        return Desired(additions=[addition])

    declared = Shared(
        kind="ServiceAccount",
        names=("default-editor",),
        paths=("imagePullSecrets",),
        owner="Kubeflow",
    )
    made = builders.controller(NAME, owned=(), desired=desired)
    return dataclasses.replace(made, shared=always(declared))


@pytest.fixture(scope="module")
def kubeconfig(control_plane: ControlPlane) -> Path:
    role = rbac.cluster_role([controller("")], NAME)
    (rule,) = [one for one in role["rules"] if one["resources"] == ["serviceaccounts"]]
    assert set(rule["verbs"]) == {"get", "list", "watch", "patch"}
    assert rule["resourceNames"] == ["default-editor"]
    return service_account.bind(control_plane, NAME, role)


def path(tenant: str) -> str:
    return f"/api/v1/namespaces/{tenant}/serviceaccounts/default-editor"


async def reconcile(
    kubeconfig: Path, tenant: str, *items: Mapping[str, str]
) -> tuple[str, Mapping[str, int]]:
    """Reconciles every profile once; the result and the counts of the tenant's changes."""
    summary = await oneshot.run_once(
        [(controller(tenant, *items), builders.Settings())],
        Connection(kubeconfig=kubeconfig),
        Options(listen=None),
    )
    (found,) = [one for one in summary.results if one.profile == tenant]
    return found.result.value, found.changes.counts()


def editor(plane: ControlPlane, tenant: str) -> Json:
    return plane.request("GET", path(tenant))


def without_record(body: Json) -> Json:
    """The object without what every write changes."""
    hidden = ("resourceVersion", "managedFields", "annotations")
    metadata = {key: value for key, value in body["metadata"].items() if key not in hidden}
    return {**body, "metadata": metadata}


async def test_only_the_item_that_was_added_is_removed(
    control_plane: ControlPlane, kubeconfig: Path
) -> None:
    tenant = "shared-list"
    kubeflow.create_tenant(control_plane, tenant)
    observe.patch(control_plane, path(tenant), {"imagePullSecrets": [THEIRS]})
    before = editor(control_plane, tenant)

    assert {"update": 1} == (await reconcile(kubeconfig, tenant, OURS))[1]
    after = editor(control_plane, tenant)
    assert [THEIRS, OURS] == after["imagePullSecrets"]
    assert without_record({**before, "imagePullSecrets": [THEIRS, OURS]}) == without_record(after)

    assert {"unchanged": 1} == (await reconcile(kubeconfig, tenant, OURS))[1]
    assert after == editor(control_plane, tenant)

    assert {"update": 1} == (await reconcile(kubeconfig, tenant))[1]
    assert without_record(before) == without_record(editor(control_plane, tenant))
    assert RECORD not in editor(control_plane, tenant)["metadata"].get("annotations", {})


async def test_an_item_that_a_user_added_first_is_preserved(
    control_plane: ControlPlane, kubeconfig: Path
) -> None:
    tenant = "shared-before"
    kubeflow.create_tenant(control_plane, tenant)
    observe.patch(control_plane, path(tenant), {"imagePullSecrets": [OURS]})
    before = editor(control_plane, tenant)

    for items in ([OURS], []):
        await reconcile(kubeconfig, tenant, *items)
        assert before == editor(control_plane, tenant)


async def test_no_item_is_removed_after_a_user_edited_the_record(
    control_plane: ControlPlane, kubeconfig: Path
) -> None:
    """The API server's managed fields name the user as the author."""
    tenant = "shared-forged"
    kubeflow.create_tenant(control_plane, tenant)
    await reconcile(kubeconfig, tenant, OURS)
    forged = shared.Added(items={"imagePullSecrets": [OURS, THEIRS]}).to_json()
    observe.patch(
        control_plane,
        path(tenant),
        {
            "metadata": {"annotations": {RECORD: forged}},
            "imagePullSecrets": [OURS, THEIRS],
        },
    )

    await reconcile(kubeconfig, tenant)
    assert [OURS, THEIRS] == editor(control_plane, tenant)["imagePullSecrets"]


async def test_a_missing_object_is_not_created(
    control_plane: ControlPlane, kubeconfig: Path
) -> None:
    tenant = "shared-missing"
    kubeflow.create_namespace(control_plane, kubeflow.create_profile(control_plane, tenant))

    result, changes = await reconcile(kubeconfig, tenant, OURS)
    assert ("waiting", {"pending": 1}) == (result, changes)
    assert observe.find(control_plane, path(tenant)) is None
