"""What the network controller owns."""

from __future__ import annotations

from controllers.network import desired, names
from controllers.network.config import NetworkSettings
from controllers.runtime.declarations import Controller, Owned, no_facts

CONTROLLER = Controller(
    name="network",
    summary="NetworkPolicies in each profile namespace, by the classification of the data",
    settings=NetworkSettings,
    facts=None,
    # Listed without a selector: what the older suite left carries no label.
    owned=(Owned(kind="NetworkPolicy", legacy=names.is_legacy),),
    desired=desired.desired,
    findings=desired.findings,
    gather=no_facts,
)
