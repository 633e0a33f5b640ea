"""Evaluates NetworkPolicies: which connections they allow.

By networking.k8s.io/v1 and "Network Policies" in the Kubernetes documentation:

- A policy selects pods of its own namespace. A pod that no policy selects for a direction may do
  anything in that direction. A selected pod may do what at least one of the policies allows.
- A connection between pods must be allowed for the source and for the target. Replies need no rule.
- `podSelector` alone selects pods of the policy's namespace, `namespaceSelector` alone all pods of
  the selected namespaces, both together the pods that match both. Without `from` or `to` a rule
  holds for all peers, without `ports` for all ports of all protocols.
- A named port is looked up in the target pod, with its protocol. An external address has no names.
- A pod always reaches itself, and the kubelet of its node always reaches it.
- Whether an `ipBlock` matches the address of a pod depends on the network plugin: it does in Calico
  and not in Cilium. `IPBlockScope` has both cases. What is denied in ANY_ADDRESS is denied
  everywhere, what is allowed in EXTERNAL_ONLY is allowed everywhere.
"""

import enum
import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from controllers.manifests import Body

NAME_LABEL = "kubernetes.io/metadata.name"


class IPBlockScope(enum.Enum):
    """Which addresses an ipBlock matches."""

    ANY_ADDRESS = "addresses of pods as well"
    EXTERNAL_ONLY = "addresses outside of the cluster only"


@dataclass(frozen=True, kw_only=True)
class Namespace:
    """A namespace. The API server adds the label with its name."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def all_labels(self) -> Mapping[str, str]:
        return {**self.labels, NAME_LABEL: self.name}


@dataclass(frozen=True, kw_only=True)
class Pod:
    """A pod. `names` has the number and protocol of its named ports."""

    namespace: Namespace
    labels: Mapping[str, str] = field(default_factory=dict)
    address: str = "10.244.1.7"
    names: Mapping[str, tuple[int, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class External:
    """An address outside of the cluster."""

    address: str


Peer = Pod | External


class Port(NamedTuple):
    """The number and protocol of a port."""

    number: int
    protocol: str = "TCP"


@dataclass(frozen=True, kw_only=True)
class Network:
    """The policies of a cluster, by namespace."""

    policies: Mapping[str, Sequence[Body]]
    blocks: IPBlockScope

    def allows(self, source: Peer, target: Peer, port: Port) -> bool:
        """Whether the connection is allowed."""
        if source == target:
            return True
        return self.allows_egress(source, target, port) and self.allows_ingress(
            source, target, port
        )

    def allows_egress(self, source: Peer, target: Peer, port: Port) -> bool:
        """Whether the policies of the source allow the connection."""
        return self._side("Egress", source, target, target, port)

    def allows_ingress(self, source: Peer, target: Peer, port: Port) -> bool:
        """Whether the policies of the target allow the connection."""
        return self._side("Ingress", target, source, target, port)

    def _side(self, direction: str, subject: Peer, other: Peer, target: Peer, port: Port) -> bool:
        if isinstance(subject, External):
            return True
        specs = [
            spec
            for spec in self.policies.get(subject.namespace.name, ())
            if direction in spec["policyTypes"] and selects(spec["podSelector"], subject.labels)
        ]
        peers_field = "to" if direction == "Egress" else "from"
        return not specs or any(
            self._is_peer(rule.get(peers_field), subject, other)
            and is_open(rule.get("ports"), target, port)
            for spec in specs
            for rule in spec.get(direction.lower(), ())
        )

    def _is_peer(self, peers: Sequence[Body] | None, subject: Pod, other: Peer) -> bool:
        return not peers or any(self._matches(peer, subject, other) for peer in peers)

    def _matches(self, peer: Body, subject: Pod, other: Peer) -> bool:
        if "ipBlock" in peer:
            holds = isinstance(other, External) or self.blocks is IPBlockScope.ANY_ADDRESS
            return holds and covers(peer["ipBlock"], other.address)
        if isinstance(other, External):
            return False
        if "namespaceSelector" not in peer:
            near = other.namespace == subject.namespace
        else:
            near = selects(peer["namespaceSelector"], other.namespace.all_labels)
        return near and selects(peer.get("podSelector", {}), other.labels)


def selects(selector: Body, labels: Mapping[str, str]) -> bool:
    """Whether a label selector matches. An empty one matches everything."""
    exact: Mapping[str, str] = selector.get("matchLabels", {})
    expressions: Iterable[Body] = selector.get("matchExpressions", ())
    return exact.items() <= labels.items() and all(_meets(one, labels) for one in expressions)


def _meets(requirement: Body, labels: Mapping[str, str]) -> bool:
    value = labels.get(requirement["key"])
    match requirement["operator"]:
        case "In":
            return value in requirement["values"]
        case "NotIn":  # matches a missing label, too
            return value not in requirement["values"]
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case unknown:
            raise AssertionError(f"operator {unknown}")


def covers(block: Body, address: str) -> bool:
    """Whether the block contains the address, outside of its exceptions."""
    one = ipaddress.ip_address(address)
    return one in ipaddress.ip_network(block["cidr"]) and not any(
        one in ipaddress.ip_network(excepted) for excepted in block.get("except", ())
    )


def is_open(ports: Sequence[Body] | None, target: Peer, port: Port) -> bool:
    """Whether the ports of a rule include this port of the target."""
    return not ports or any(_is_port(one, target, port) for one in ports)


def _is_port(stated: Body, target: Peer, port: Port) -> bool:
    number: Any = stated.get("port")
    protocol = stated.get("protocol", "TCP")
    if isinstance(number, str):
        named = target.names.get(number) if isinstance(target, Pod) else None
        return named == port and protocol == port.protocol
    if protocol != port.protocol:
        return False
    return number is None or number <= port.number <= stated.get("endPort", number)
