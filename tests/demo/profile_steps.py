"""Steps that change Profiles and namespaces: labels, owners, creation, deletion, and a restart."""

import dataclasses
from collections.abc import Iterator

from controllers.manifests import Key
from controllers.profiles import PAUSED_ANNOTATION
from tests.demo import tenants
from tests.demo.damage import Damaged, Step, first_of_each_kind
from tests.demo.edits import OVERRIDES, Override
from tests.demo.environment import Environment, ExpectationError
from tests.support.cluster import garbage, kubeflow
from tests.support.controlplane import Json, StatusError

REFERENCE = tenants.UNTOUCHED[0].name
NOT_FOUND = 404
NEW_OWNER = "adele.fortin@example.ca"


def set_and_remove_label(environment: Environment, override: Override) -> Iterator[Step]:
    """Sets a label, then an invalid value, then removes it."""
    tenant = tenants.OVERRIDING
    label = short_label(override.label)
    default = override.read(environment.state.get(override.key(tenant.name)))
    invalid = dataclasses.replace(tenant, unready={override.controller: override.invalid})

    def pending_default() -> str:
        differs = differs_from(environment, tenant, override, default)
        return differs or environment.unexpected_status()

    yield Step(
        tenant=tenant.name,
        title=f"label {label}={override.value}",
        act=lambda: set_label(environment, tenant, override, override.value),
        pending=lambda: differs_from(environment, tenant, override, override.value),
        outcome="applied",
    )
    yield Step(
        tenant=tenant.name,
        title=f"label {label}={override.invalid}",
        act=lambda: set_label(environment, invalid, override, override.invalid),
        pending=pending_default,
        outcome="reported, default",
    )
    yield Step(
        tenant=tenant.name,
        title=f"label {label} removed",
        act=lambda: set_label(environment, tenant, override, None),
        pending=pending_default,
        outcome="ready again",
    )


def correct_label(environment: Environment) -> Step:
    """Replaces the invalid label of a tenant."""
    override = OVERRIDES[0]
    tenant = dataclasses.replace(tenants.INVALID, unready={}, quota={})

    def pending() -> str:
        differs = differs_from(environment, tenant, override, "40")
        return differs or environment.unexpected_status()

    return Step(
        tenant=tenant.name,
        title=f"invalid label corrected: {short_label(override.label)}=40",
        act=lambda: set_label(environment, tenant, override, "40"),
        pending=pending,
        outcome="applied, ready",
    )


def short_label(label: str) -> str:
    """The label without its domain: `quotas../pods`."""
    prefix, _, name = label.partition("/")
    return f"{prefix.partition('.')[0]}../{name}"


def set_label(
    environment: Environment, tenant: tenants.Tenant, override: Override, value: str | None
) -> None:
    """Sets the label on the Profile; None removes it. `tenant` is the tenant to expect."""
    environment.tenants[tenant.name] = tenant
    patch = {"metadata": {"labels": {override.label: value}}}
    kubeflow.patch_profile(environment.plane, tenant.name, patch)


def differs_from(
    environment: Environment, tenant: tenants.Tenant, override: Override, expected: object
) -> str:
    """A text if the overridden value is not the expected one."""
    key = override.key(tenant.name)
    found = override.read(environment.state.get(key))
    where = ".".join(str(element) for element in override.path)
    return "" if found == expected else f"{key} has {found!r} at {where}, expected {expected!r}"


def create_namespace(environment: Environment) -> Step:
    """Creates a Profile, and then its namespace, as Kubeflow does."""
    tenant = tenants.NEW
    profiles: list[Json] = []
    return Step(
        tenant=tenant.name,
        title="namespace of a new Profile created",
        prepare=lambda: profiles.append(environment.create_profile(tenant)),
        act=lambda: kubeflow.create_namespace(environment.plane, profiles[0]),
        pending=lambda: environment.missing_objects(tenant.name, REFERENCE),
        outcome="objects created",
    )


def change_owner(environment: Environment) -> Step:
    """Changes the owner of a Profile. Only objects that contain the owner's name may change."""
    tenant = tenants.HANDED_OVER
    affected = bool(object_with_owner(environment, tenant.owner))

    def act() -> None:
        environment.tenants[tenant.name] = dataclasses.replace(tenant, owner=NEW_OWNER)
        owner = {"spec": {"owner": {"name": NEW_OWNER}}}
        profile = kubeflow.patch_profile(environment.plane, tenant.name, owner)
        # Kubeflow updates its own binding. Otherwise the former owner remains a contributor.
        (binding,) = (
            one
            for one in kubeflow.namespace_objects(profile)
            if one["metadata"]["name"] == "namespaceAdmin"
        )
        environment.patch(
            Key("RoleBinding", tenant.name, "namespaceAdmin"),
            {
                "metadata": {"annotations": binding["metadata"]["annotations"]},
                "subjects": binding["subjects"],
            },
        )

    return Step(
        tenant=tenant.name,
        title="owner of the Profile changed",
        act=act,
        pending=lambda: object_with_owner(environment, tenant.owner),
        outcome="applied" if affected else "no write needed",
        timed=affected,
    )


def object_with_owner(environment: Environment, owner: str) -> str:
    """The first object of the handed-over tenant that contains this owner's name."""
    for key, body in environment.state.owned(tenants.HANDED_OVER.name).items():
        if owner in str(body):
            return f"{key} contains {owner}"
    return ""


def recreate_namespace(environment: Environment) -> Step:
    """Deletes a namespace, and creates it again as Kubeflow does."""
    name = tenants.RECREATED.name

    def prepare() -> None:
        garbage.delete_namespace(environment.plane, name)
        environment.wait(lambda: remaining_object(environment, name), f"{name}: namespace deletion")

    def act() -> None:
        profile = environment.plane.request("GET", f"{kubeflow.PROFILES}/{name}")
        kubeflow.create_namespace(environment.plane, profile)

    return Step(
        tenant=name,
        title="namespace deleted and recreated by Kubeflow",
        prepare=prepare,
        act=act,
        pending=lambda: environment.missing_objects(name, REFERENCE),
        outcome="objects recreated",
    )


def remaining_object(environment: Environment, name: str) -> str:
    """The first object of the namespace, or the namespace, that still exists."""
    for key in environment.state.owned(name):
        return f"{key} still exists"
    try:
        environment.plane.get("Namespace", name)
    except StatusError as error:
        if error.status != NOT_FOUND:
            raise
        return ""
    return f"Namespace {name} still exists"


def restart(environment: Environment) -> Step:
    """Deletes objects while the manager is stopped. The time starts with its start."""
    name = tenants.DAMAGED[0].name
    damaged: list[Damaged] = []

    def prepare() -> None:
        environment.manager.stop()
        for controller in environment.controllers:
            for key in first_of_each_kind(environment, controller.name, name):
                damaged.append(Damaged(environment, key))
                damaged[-1].delete()

    return Step(
        tenant=name,
        title="manager restarted after objects were deleted",
        prepare=prepare,
        act=environment.manager.start,
        pending=lambda: next((text for each in damaged if (text := each.pending())), ""),
        outcome="recreated",
    )


def delete_profile(environment: Environment) -> Step:
    """Deletes a Profile with its namespace. The controllers must not write there any more."""
    name = tenants.DELETED.name

    def act() -> None:
        environment.tenants.pop(name)
        profile = environment.plane.request("GET", f"{kubeflow.PROFILES}/{name}")
        kubeflow.delete_profile(environment.plane, name)
        garbage.delete_dependents(environment.plane, profile)

    def pending() -> str:
        if name in environment.state.profiles():
            return f"Profile {name} still exists"
        return next((f"{key} still exists" for key in environment.state.owned(name)), "")

    return Step(
        tenant=name,
        title="Profile deleted",
        act=act,
        pending=pending,
        outcome="all objects deleted",
    )


def resume(environment: Environment) -> Step:
    """Removes the pause that a tenant has had since before the start."""
    tenant = tenants.PAUSED

    def prepare() -> None:
        if text := environment.unwanted_object([tenant.name]):
            raise ExpectationError(f"{tenant.name} is paused: {text}")

    def act() -> None:
        environment.tenants[tenant.name] = dataclasses.replace(tenant, annotations={})
        annotations = {"metadata": {"annotations": {PAUSED_ANNOTATION: None}}}
        kubeflow.patch_profile(environment.plane, tenant.name, annotations)

    return Step(
        tenant=tenant.name,
        title="pause removed",
        prepare=prepare,
        act=act,
        pending=lambda: environment.missing_objects(tenant.name, REFERENCE),
        outcome="objects created",
    )
