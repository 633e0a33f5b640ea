"""What happens to Profiles: labels, owners, namespaces, arrivals and departures, and a restart."""

import dataclasses
from collections.abc import Iterator

from controllers.manifests import Key
from controllers.profiles import PAUSED_ANNOTATION
from tests.demo import tenants
from tests.demo.scenes import Restored, Scene, first_kept
from tests.demo.scripts import OVERRIDES, Override
from tests.demo.stages import Stage, UnmetError
from tests.support.cluster import garbage, kubeflow
from tests.support.controlplane import Json, StatusError

MODEL = tenants.BYSTANDERS[0].name
NOT_FOUND = 404
NEW_OWNER = "adele.fortin@example.ca"


def overridden(stage: Stage, override: Override) -> Iterator[Scene]:
    """A label comes, goes bad, and is taken away."""
    tenant = tenants.RELABELLED
    default = override.read(stage.world.get(override.key(tenant.name)))
    misled = dataclasses.replace(tenant, unready={override.controller: override.refused})
    yield Scene(
        tenant=tenant.name,
        title=f"label {shortened(override.label)}={override.value}",
        act=lambda: set_label(stage, tenant, override, override.value),
        lacking=lambda: differs(stage, tenant, override, override.value),
        verdict="followed",
    )
    yield Scene(
        tenant=tenant.name,
        title=f"label {shortened(override.label)}={override.refused}",
        act=lambda: set_label(stage, misled, override, override.refused),
        lacking=lambda: differs(stage, tenant, override, default) or stage.unsettled(),
        verdict="default kept, told",
    )
    yield Scene(
        tenant=tenant.name,
        title=f"label {shortened(override.label)} removed",
        act=lambda: set_label(stage, tenant, override, None),
        lacking=lambda: differs(stage, tenant, override, default) or stage.unsettled(),
        verdict="ready again",
    )


def mended(stage: Stage) -> Scene:
    """The tenant who came with a bad label corrects it."""
    override = OVERRIDES[0]
    tenant = dataclasses.replace(tenants.MISTAKEN, unready={}, quota={})
    return Scene(
        tenant=tenant.name,
        title=f"bad label corrected: {shortened(override.label)}=40",
        act=lambda: set_label(stage, tenant, override, "40"),
        lacking=lambda: differs(stage, tenant, override, "40") or stage.unsettled(),
        verdict="followed, ready",
    )


def shortened(label: str) -> str:
    """`quotas…/pods`: the domain in between says nothing new."""
    prefix, _, name = label.partition("/")
    return f"{prefix.partition('.')[0]}../{name}"


def set_label(stage: Stage, tenant: tenants.Tenant, override: Override, value: str | None) -> None:
    """The tenant is now as given, and its Profile has the label."""
    stage.cast[tenant.name] = tenant
    patch = {"metadata": {"labels": {override.label: value}}}
    kubeflow.patch_profile(stage.plane, tenant.name, patch)


def differs(stage: Stage, tenant: tenants.Tenant, override: Override, expected: object) -> str:
    key = override.key(tenant.name)
    found = override.read(stage.world.get(key))
    where = ".".join(str(step) for step in override.path)
    return "" if found == expected else f"{key} has {found!r} at {where}, expected {expected!r}"


def arrived(stage: Stage) -> Scene:
    """A new tenant: the Profile first, its namespace when Kubeflow comes round to it."""
    tenant = tenants.NEWCOMER
    profiles: list[Json] = []
    return Scene(
        tenant=tenant.name,
        title="a new tenant's namespace appears",
        prepare=lambda: profiles.append(stage.enter(tenant)),
        act=lambda: kubeflow.create_namespace(stage.plane, profiles[0]),
        lacking=lambda: stage.incomplete(tenant.name, MODEL),
        verdict="furnished",
    )


def handed_over(stage: Stage) -> Scene:
    """The Profile has a new owner: what names the former one must follow, the rest must stay."""
    tenant = tenants.HANDED_OVER
    follows = bool(mentions(stage, tenant.owner))

    def act() -> None:
        stage.cast[tenant.name] = dataclasses.replace(tenant, owner=NEW_OWNER)
        owner = {"spec": {"owner": {"name": NEW_OWNER}}}
        profile = kubeflow.patch_profile(stage.plane, tenant.name, owner)
        # Kubeflow's own binding follows, or the former owner stays on as a contributor.
        (binding,) = (
            one
            for one in kubeflow.furniture(profile)
            if one["metadata"]["name"] == "namespaceAdmin"
        )
        stage.patch(
            Key("RoleBinding", tenant.name, "namespaceAdmin"),
            {
                "metadata": {"annotations": binding["metadata"]["annotations"]},
                "subjects": binding["subjects"],
            },
        )

    return Scene(
        tenant=tenant.name,
        title="Profile handed over to another owner",
        act=act,
        lacking=lambda: mentions(stage, tenant.owner),
        verdict="followed" if follows else "nothing to write",
        timed=follows,
    )


def mentions(stage: Stage, owner: str) -> str:
    """The first object of the tenant that was handed over which names this owner."""
    for key, body in stage.world.kept(tenants.HANDED_OVER.name).items():
        if owner in str(body):
            return f"{key} names {owner}"
    return ""


def recreated(stage: Stage) -> Scene:
    """The namespace is deleted, and Kubeflow makes it anew."""
    name = tenants.RECREATED.name

    def prepare() -> None:
        garbage.delete_namespace(stage.plane, name)
        stage.wait(lambda: remains(stage, name), f"{name}: deletion of the namespace")

    def act() -> None:
        profile = stage.plane.request("GET", f"{kubeflow.PROFILES}/{name}")
        kubeflow.create_namespace(stage.plane, profile)

    return Scene(
        tenant=name,
        title="namespace deleted, and made anew by Kubeflow",
        prepare=prepare,
        act=act,
        lacking=lambda: stage.incomplete(name, MODEL),
        verdict="furnished again",
    )


def remains(stage: Stage, name: str) -> str:
    """What is left of the tenant's namespace."""
    for key in stage.world.kept(name):
        return f"{key} is still there"
    try:
        stage.plane.get("Namespace", name)
    except StatusError as error:
        if error.status != NOT_FOUND:
            raise
        return ""
    return f"Namespace {name} is still there"


def restarted(stage: Stage) -> Scene:
    """Objects are damaged while no suite runs; the time is from its start."""
    name = tenants.DAMAGED[0].name
    harmed: list[Restored] = []

    def prepare() -> None:
        stage.suite.stop()
        for controller in stage.controllers:
            for key in first_kept(stage, controller.name, name):
                harmed.append(Restored(stage, key))
                harmed[-1].delete()

    return Scene(
        tenant=name,
        title="the suite restarts, objects deleted meanwhile",
        prepare=prepare,
        act=stage.suite.start,
        lacking=lambda: next((lack for each in harmed if (lack := each.lacking())), ""),
        verdict="made anew",
    )


def left(stage: Stage) -> Scene:
    """A Profile is deleted: namespace and objects go with it, and nothing is written any more."""
    name = tenants.LEAVING.name

    def act() -> None:
        stage.cast.pop(name)
        profile = stage.plane.request("GET", f"{kubeflow.PROFILES}/{name}")
        kubeflow.delete_profile(stage.plane, name)
        garbage.delete_dependents(stage.plane, profile)

    def lacking() -> str:
        if name in stage.world.profiles():
            return f"Profile {name} is still there"
        return next((f"{key} is still there" for key in stage.world.kept(name)), "")

    return Scene(
        tenant=name,
        title="Profile deleted",
        act=act,
        lacking=lacking,
        verdict="nothing of it left",
    )


def resumed(stage: Stage) -> Scene:
    """The tenant who paused the suite since before it was started lets it work."""
    tenant = tenants.PAUSED

    def prepare() -> None:
        if trespass := stage.meddled([tenant.name]):
            raise UnmetError(f"{tenant.name} is paused: {trespass}")

    def act() -> None:
        stage.cast[tenant.name] = dataclasses.replace(tenant, annotations={})
        annotations = {"metadata": {"annotations": {PAUSED_ANNOTATION: None}}}
        kubeflow.patch_profile(stage.plane, tenant.name, annotations)

    return Scene(
        tenant=tenant.name,
        title="pause lifted",
        prepare=prepare,
        act=act,
        lacking=lambda: stage.incomplete(tenant.name, MODEL),
        verdict="furnished",
    )
