"""What the network controller owns, and the endpoints of the API server that it watches."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from typing import Any

from controllers.manifests import Body
from controllers.network import desired, names
from controllers.network.config import NetworkSettings
from controllers.profiles import Profile
from controllers.runtime import ALL_PROFILES, CacheReader, Controller, Owned, Watch, always


def transform(body: Body) -> dict[str, Any] | None:
    """Return the egress rule to the ready endpoints; None when there are none.

    For traffic to the Service ``kubernetes``, nearly every network plugin sees these addresses and
    not the Service's. In an EndpointSlice a port without a number means every port.
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
    """Return the block of one address; None for a host name, which a policy cannot contain."""
    try:
        return str(ipaddress.ip_network(address))
    except ValueError:
        return None


def map_to_all(_body: Body) -> Collection[str]:
    """Map the endpoints to all profiles: pipelines in each namespace connect to the API server."""
    return ALL_PROFILES


async def observe(
    _profile: Profile, cache: CacheReader, _settings: NetworkSettings, _external: None
) -> desired.Facts:
    """Read the addresses of the API server."""
    return desired.Facts(api_server=cache.get("EndpointSlice", *names.ENDPOINTS))


CONTROLLER = Controller(
    name="network",
    summary="NetworkPolicies in each profile namespace, by the classification of the data",
    settings=NetworkSettings,
    facts=desired.Facts(),
    observe=observe,
    desired=desired.desired,
    # Listed without a label selector: the objects of the older suite have no label.
    owned=always(Owned(kind="NetworkPolicy", adopt_legacy=names.is_legacy)),
    watches=always(
        Watch(kind="EndpointSlice", transform=transform, map=map_to_all, object=names.ENDPOINTS)
    ),
)
