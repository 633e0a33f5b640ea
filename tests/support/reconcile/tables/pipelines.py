"""The reconcile table of pipelines, by the declared facts: an enabled namespace and a key."""

from collections.abc import Mapping
from typing import Any

from controllers.pipelines.controller import CONTROLLER
from tests.support.reconcile.case import Case, Table

CENTRAL = {"driver_mode": "central", "driver_tokens": True, "driver_without_isolation": True}
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "sidecar driver": {"driver_mode": "sidecar", "driver_tokens": True},
    "central driver": CENTRAL,
    "artifacts proxy": {"artifacts_proxy_enabled": True, "kfp_version": "2.17.0"},
}
TABLE = Table(
    controller=CONTROLLER,
    cases={name: Case(settings=one, requests=None) for name, one in SETTINGS.items()},
)
