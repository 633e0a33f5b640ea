"""What the rbac controller owns, and the rights that it needs to hand on."""

from __future__ import annotations

from controllers.rbac import desired, names
from controllers.rbac.config import Bound, RbacSettings
from controllers.runtime.controller import Controller, Granted, Listed, Owned, Rule, no_facts


def _bind(resource: str, role: str) -> tuple[Rule, ...]:
    return (Rule(groups=(names.API_GROUP,), resources=(resource,), verbs=("bind",), names=(role,)),)


CONTROLLER = Controller(
    name="rbac",
    summary="A Role and bindings for each profile namespace: pipelines, support, other namespaces",
    settings=RbacSettings,
    facts=None,
    owned=(Owned(kind="Role"), Owned(kind="RoleBinding", legacy=names.is_legacy)),
    desired=desired.desired,
    findings=desired.findings,
    gather=no_facts,
    # The rules of the Role that is written, and `bind` on each role that is bound. The verb
    # `escalate` would lift both for every Role in every namespace: these are the smaller rights.
    configured_rules=(
        Listed(setting="pipeline_verbs"),
        Granted(
            setting="ml_pipeline",
            values=(Bound.CLUSTER_ROLE,),
            rules=_bind("clusterroles", names.ML_PIPELINE),
        ),
        Granted(setting="support_groups", rules=_bind("clusterroles", names.SUPPORT)),
        Granted(setting="cross_namespace_access", rules=_bind("clusterroles", names.EDIT_ROLE)),
        # Held though its rules are, too: the binding may be written before the Role.
        Granted(
            setting="ml_pipeline",
            values=(Bound.ROLE,),
            rules=_bind("roles", names.PIPELINES_ROLE),
        ),
    ),
    flags=("support_groups",),
)
