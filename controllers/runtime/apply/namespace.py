"""Whose a namespace is. Pure; the rule that keeps one tenant's controller out of another's."""

from __future__ import annotations

from enum import Enum

from controllers.profiles import Profile
from controllers.runtime.objects import cached_object
from controllers.runtime.objects.cached_object import Record

PART_OF = {"app.kubernetes.io/part-of": "kubeflow-profile"}
OWNER_ANNOTATION = "owner"


class Standing(Enum):
    """How a namespace stands to the Profile of its name."""

    ABSENT = "it does not exist (yet)"
    TERMINATING = "it is being deleted"
    OWNED = "the Profile controls it"
    ADOPTED = "it existed before, names the same owner, and the operator lets us serve such ones"
    FOREIGN = "it exists, and the Profile does not control it"

    def sentence(self, profile: Profile) -> str:
        """What to tell the person who made the Profile."""
        return (
            f"namespace {profile.namespace} is not controlled by Profile {profile.name} "
            f"(it has no controller owner reference with UID {profile.uid}): nothing is written "
            "there; rename the Profile, or let Kubeflow's profile-controller make the namespace"
        )


def standing_of(profile: Profile, namespace: Record | None, *, adopted: bool) -> Standing:
    """How the namespace, as an informer remembers it, stands to the Profile.

    ``adopted`` lets a namespace count that has no controller, the label of Kubeflow's namespaces
    and the annotation ``owner`` with the Profile's owner.
    """
    if namespace is None:
        return Standing.ABSENT
    ours = namespace.owner == profile.uid
    if not ours and not (adopted and _is_adopted(profile, namespace)):
        return Standing.FOREIGN
    if namespace.deleting:
        return Standing.TERMINATING
    return Standing.OWNED if ours else Standing.ADOPTED


def _is_adopted(profile: Profile, namespace: Record) -> bool:
    return (
        not namespace.owned
        and cached_object.includes(namespace.labels, PART_OF)
        and bool(profile.owner.name)
        and cached_object.includes(namespace.annotations, {OWNER_ANNOTATION: profile.owner.name})
    )
