"""What the authz-policies controller owns, watches and gathers."""

from __future__ import annotations

from controllers.authz_policies import desired, names
from controllers.authz_policies.config import AuthzPoliciesSettings
from controllers.manifests import Body
from controllers.profiles import Profile
from controllers.runtime.controller import Controller, Owned, View, Watched


def keep(body: Body) -> desired.Binding | None:
    """Users and groups of a RoleBinding that says which role they have; None for all others.

    One that is being deleted admits nobody any more. Kubeflow's own of the owner is left out: who
    the owner is, the Profile says, and a former one must not stay until Kubeflow has followed.
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


def wakes(body: Body) -> str:
    """The Profile of the namespace that the binding is in: they have the same name."""
    return str(body["metadata"]["namespace"])


async def gather(profile: Profile, view: View) -> desired.Facts:
    """The contributors of the namespace."""
    kept = view.all_kept("RoleBinding", profile.namespace)
    return desired.Facts(bindings=tuple(sorted(kept.items(), key=lambda one: one[0])))


CONTROLLER = Controller(
    name="authz-policies",
    summary="Istio AuthorizationPolicies: who may reach a namespace's workloads, what is blocked",
    settings=AuthzPoliciesSettings,
    facts=desired.Facts(),
    owned=(Owned(kind=names.KIND, legacy=names.is_legacy),),
    watched=(Watched(kind="RoleBinding", keep=keep, wakes=wakes),),
    desired=desired.desired,
    findings=desired.findings,
    gather=gather,
    aliases=("auth-policies",),
)
