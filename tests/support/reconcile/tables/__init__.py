"""The reconcile tables of all controllers."""

from collections.abc import Sequence

from tests.support.reconcile.case import Table
from tests.support.reconcile.tables import (
    authz_policies,
    conformance,
    limitranges,
    network,
    notebook,
    pipelines,
    quotas,
    rbac,
)

TABLES: Sequence[Table] = (
    quotas.TABLE,
    limitranges.TABLE,
    rbac.TABLE,
    notebook.TABLE,
    network.TABLE,
    authz_policies.TABLE,
    pipelines.TABLE,
    *conformance.TABLES,
)
