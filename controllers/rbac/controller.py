"""What the rbac controller owns, and the rights that it grants to others."""

from __future__ import annotations

from controllers.rbac import desired, names
from controllers.rbac.config import PipelineRole, RbacSettings
from controllers.runtime import (
    Access,
    Command,
    Controller,
    Owned,
    Rule,
    RulesFromSetting,
    RulesWhen,
    always,
    no_facts,
)


def _bind(resource: str, role: str) -> tuple[Rule, ...]:
    return (Rule(groups=(names.API_GROUP,), resources=(resource,), verbs=("bind",), names=(role,)),)


CONTROLLER = Controller(
    name="rbac",
    summary="Role and RoleBindings of each profile namespace: pipelines, support, other namespaces",
    settings=RbacSettings,
    facts=None,
    observe=no_facts,
    desired=desired.desired,
    owned=always(Owned(kind="Role"), Owned(kind="RoleBinding", adopt_legacy=names.is_legacy)),
    # RBAC lets a client write only rules that it has itself, and bind only roles for which it has
    # `bind` or all rules. The verb `escalate` would lift this for every Role in every namespace.
    access=Access(
        by_settings=(
            RulesFromSetting(setting="pipeline_verbs"),
            RulesWhen(
                setting="ml_pipeline",
                values=(PipelineRole.CLUSTER_ROLE,),
                rules=_bind("clusterroles", names.ML_PIPELINE),
            ),
            RulesWhen(setting="support_groups", rules=_bind("clusterroles", names.SUPPORT)),
            RulesWhen(
                setting="cross_namespace_access", rules=_bind("clusterroles", names.EDIT_ROLE)
            ),
            # Needed beside the rules of the Role: the binding may be created before the Role.
            RulesWhen(
                setting="ml_pipeline",
                values=(PipelineRole.ROLE,),
                rules=_bind("roles", names.PIPELINES_ROLE),
            ),
        )
    ),
    command=Command(flags=("support_groups",)),
)
