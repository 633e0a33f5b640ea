"""Which Profile a namespace belongs to, so that nothing is written to another tenant. Pure."""

from __future__ import annotations

from enum import Enum

from controllers.profiles import Profile
from controllers.runtime.objects import cached_object
from controllers.runtime.objects.cached_object import CachedObject

PART_OF = {"app.kubernetes.io/part-of": "kubeflow-profile"}
OWNER_ANNOTATION = "owner"


class NamespaceOwnership(Enum):
    """The relation of a namespace to the Profile of its name."""

    NOT_FOUND = "it does not exist (yet)"
    TERMINATING = "it is being deleted"
    OWNED = "the Profile controls it"
    ADOPTED = "it existed before, names the same owner, and adoption of such namespaces is enabled"
    FOREIGN = "it exists, and the Profile does not control it"


def ownership_of(
    profile: Profile, namespace: CachedObject | None, *, adopted: bool
) -> NamespaceOwnership:
    """Return the relation of the cached namespace to the Profile.

    ``adopted`` includes a namespace that has no controller, the label of Kubeflow's namespaces and
    the annotation ``owner`` with the Profile's owner.
    """
    if namespace is None:
        return NamespaceOwnership.NOT_FOUND
    owned = namespace.owner_uid == profile.uid
    if not owned and not (adopted and _is_adopted(profile, namespace)):
        return NamespaceOwnership.FOREIGN
    if namespace.deleting:
        return NamespaceOwnership.TERMINATING
    return NamespaceOwnership.OWNED if owned else NamespaceOwnership.ADOPTED


def not_owned_message(profile: Profile) -> str:
    """Return the message for the person who created the Profile."""
    return (
        f"namespace {profile.namespace} is not controlled by Profile {profile.name} "
        f"(it has no controller owner reference with UID {profile.uid}): nothing is written "
        "there; rename the Profile, or let Kubeflow's profile-controller create the namespace"
    )


def _is_adopted(profile: Profile, namespace: CachedObject) -> bool:
    return (
        not namespace.has_owner
        and cached_object.includes(namespace.labels, PART_OF)
        and bool(profile.owner.name)
        and cached_object.includes(namespace.annotations, {OWNER_ANNOTATION: profile.owner.name})
    )
