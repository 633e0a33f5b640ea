"""What the network controller owns, and what it reads of the API server's own endpoints."""

from __future__ import annotations

import ipaddress
from typing import Any

from controllers.manifests import Body
from controllers.network import desired, names
from controllers.network.config import NetworkSettings
from controllers.profiles import Profile
from controllers.runtime.controller import EVERY_PROFILE, Controller, Owned, View, Watched


def keep(body: Body) -> dict[str, Any] | None:
    """The egress rule to the endpoints that are ready; None when there are none.

    Behind the Service ``kubernetes`` nearly every network plugin sees these addresses, and not the
    Service's. A port without a number is every port, as EndpointSlices have it.
    """
    blocks = {
        block
        for endpoint in body.get("endpoints") or ()
        if (endpoint.get("conditions") or {}).get("ready") is not False
        for block in map(_block, endpoint.get("addresses") or ())
        if block
    }
    if not blocks:
        return None
    rule: dict[str, Any] = {"to": [{"ipBlock": {"cidr": block}} for block in sorted(blocks)]}
    ports = [
        {key: port[key] for key in ("protocol", "port") if port.get(key) is not None}
        for port in body.get("ports") or ()
    ]
    return {**rule, "ports": ports} if ports else rule


def _block(address: str) -> str | None:
    """The block of one address; None for a host's name, which a policy cannot hold."""
    try:
        return str(ipaddress.ip_network(address))
    except ValueError:
        return None


def wakes(_body: Body) -> str:
    """Pipelines of all profiles reach the API server."""
    return EVERY_PROFILE


ENDPOINTS = Watched(kind="EndpointSlice", keep=keep, wakes=wakes, only=names.ENDPOINTS)


async def gather(_profile: Profile, view: View) -> desired.Facts:
    """Where the API server is."""
    return desired.Facts(api_server=view.kept(ENDPOINTS.kind, *names.ENDPOINTS))


CONTROLLER = Controller(
    name="network",
    summary="NetworkPolicies in each profile namespace, by the classification of the data",
    settings=NetworkSettings,
    facts=desired.Facts(),
    # Listed without a selector: what the older suite left carries no label.
    owned=(Owned(kind="NetworkPolicy", legacy=names.is_legacy),),
    watched=(ENDPOINTS,),
    desired=desired.desired,
    findings=desired.findings,
    gather=gather,
)
