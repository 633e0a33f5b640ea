"""What the rbac controller owns, and the rights that it needs to hand on."""

from __future__ import annotations

from collections.abc import Sequence

from controllers.rbac import desired, names
from controllers.rbac.config import Bound, RbacSettings
from controllers.runtime.declarations import Controller, Owned, Rule, no_facts


def rules(settings: RbacSettings) -> Sequence[Rule]:
    """``bind`` on each role that is bound, and the rules of the Role that is written.

    Kubernetes lets nobody write a Role with rights that he lacks. The verb ``escalate`` would lift
    that for every Role in every namespace, so the rules themselves are the smaller right.
    """
    cluster_roles = []
    if settings.ml_pipeline is Bound.CLUSTER_ROLE:
        cluster_roles.append(names.ML_PIPELINE)
    if settings.support_groups:
        cluster_roles.append(names.SUPPORT)
    if settings.cross_namespace_access:
        cluster_roles.append(names.EDIT_ROLE)
    found = [
        Rule(
            groups=tuple(rule["apiGroups"]),
            resources=tuple(rule["resources"]),
            verbs=tuple(rule["verbs"]),
        )
        for rule in desired.pipeline_rules(settings)
    ]
    if cluster_roles:
        found.append(_bind("clusterroles", *cluster_roles))
    if settings.ml_pipeline is Bound.ROLE:
        # Held though its rules are, too: the binding may be written before the Role.
        found.append(_bind("roles", names.PIPELINES_ROLE))
    return found


def _bind(resource: str, *roles: str) -> Rule:
    return Rule(groups=(names.API_GROUP,), resources=(resource,), verbs=("bind",), names=roles)


CONTROLLER = Controller(
    name="rbac",
    summary="A Role and bindings for each profile namespace: pipelines, support, other namespaces",
    settings=RbacSettings,
    facts=None,
    owned=(Owned(kind="Role"), Owned(kind="RoleBinding", legacy=names.is_legacy)),
    desired=desired.desired,
    findings=desired.findings,
    gather=no_facts,
    configured_rules=rules,
    flags=("support_groups",),
)
