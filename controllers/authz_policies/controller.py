"""What the authz-policies controller owns, watches and observes."""

from __future__ import annotations

from controllers.authz_policies import desired, names
from controllers.authz_policies.config import AuthzPoliciesSettings
from controllers.manifests import Body
from controllers.profiles import Profile
from controllers.runtime import (
    CacheReader,
    Command,
    Controller,
    Owned,
    Watch,
    always,
    by_namespace,
)


def transform(body: Body) -> desired.Binding | None:
    """Return the users and groups of a RoleBinding with a role annotation, None for all others.

    A binding that is being deleted admits nobody. Kubeflow's own binding of the owner is excluded:
    the Profile names the owner, and Kubeflow may update the binding later.
    """
    metadata = body["metadata"]
    role = (metadata.get("annotations") or {}).get(names.ROLE_ANNOTATION)
    subjects = tuple(
        (str(subject["kind"]), str(subject.get("name") or ""))
        for subject in body.get("subjects") or ()
        if subject.get("kind") in {"User", "Group"}
    )
    if role is None or not subjects or "deletionTimestamp" in metadata:
        return None
    if metadata["name"] == names.OWNERS_BINDING:
        return None
    return desired.Binding(role=role, subjects=subjects)


async def observe(
    profile: Profile, cache: CacheReader, _settings: AuthzPoliciesSettings, _external: None
) -> desired.Facts:
    """Read the contributors of the namespace."""
    bindings = cache.list("RoleBinding", profile.namespace)
    return desired.Facts(bindings=tuple(sorted(bindings.items(), key=lambda one: one[0])))


CONTROLLER = Controller(
    name="authz-policies",
    summary="Istio AuthorizationPolicies: access to the workloads of a namespace, blocked requests",
    settings=AuthzPoliciesSettings,
    facts=desired.Facts(),
    observe=observe,
    desired=desired.desired,
    owned=always(Owned(kind=names.KIND, adopt_legacy=names.is_legacy)),
    watches=always(Watch(kind="RoleBinding", transform=transform, map=by_namespace)),
    command=Command(aliases=("auth-policies",)),
)
