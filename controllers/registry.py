"""The controllers of this suite: the one explicit list that everything else follows from."""

from __future__ import annotations

from collections.abc import Mapping

from controllers.authz_policies.controller import CONTROLLER as AUTHZ_POLICIES
from controllers.blob_csi.controller import CONTROLLER as BLOB_CSI
from controllers.gitea.controller import CONTROLLER as GITEA
from controllers.limitranges.controller import CONTROLLER as LIMITRANGES
from controllers.network.controller import CONTROLLER as NETWORK
from controllers.notebook.controller import CONTROLLER as NOTEBOOK
from controllers.pipelines.controller import CONTROLLER as PIPELINES
from controllers.quotas.controller import CONTROLLER as QUOTAS
from controllers.rbac.controller import CONTROLLER as RBAC
from controllers.runtime.declarations import AnyController

CONTROLLERS: tuple[AnyController, ...] = (
    QUOTAS,
    LIMITRANGES,
    RBAC,
    NETWORK,
    NOTEBOOK,
    AUTHZ_POLICIES,
    PIPELINES,
    BLOB_CSI,
    GITEA,
)


def by_name() -> Mapping[str, AnyController]:
    """The controllers by their names, hidden ones (``aliases``) not included."""
    return {controller.name: controller for controller in CONTROLLERS}
