"""Which connections NetworkPolicies allow, by their semantics in Kubernetes.

What is relied on (networking.k8s.io/v1, and "Network Policies" in Kubernetes' concepts):

- A policy selects pods of its own namespace. A pod that no policy of a direction selects may do
  anything in that direction; one that is selected may do what at least one of them allows.
- A connection between pods needs the egress side's leave and the ingress side's. What answers it
  needs none: policies are about who opens a connection.
- A peer's `podSelector` alone is about pods of the policy's namespace, `namespaceSelector` alone
  about all pods of such namespaces, and both together about pods for which both hold. No `from` or
  `to` is everybody, no `ports` is every port of every protocol.
- A port by name is looked up in the pod that is connected to, protocol included. An address outside
  of the cluster has no names.
- A pod always reaches itself, and its node's kubelet always reaches it: no policy is asked.
- Whether an `ipBlock` holds for the address of a pod is the network plugin's choice: the API says
  that blocks are meant for addresses outside of the cluster, and leaves the rest open. Calico lets
  them hold, Cilium does not. `Blocks` is that choice, and a statement about a cluster should be
  right in both readings: what is denied in ANY_ADDRESS is denied everywhere, what is allowed in
  EXTERNAL_ONLY is allowed everywhere.
"""

import enum
import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from controllers.manifests import Body

NAME_LABEL = "kubernetes.io/metadata.name"


class IPBlockScope(enum.Enum):
    """For whom an ipBlock holds."""

    ANY_ADDRESS = "for pods as well, by their addresses"
    EXTERNAL_ONLY = "for addresses outside of the cluster alone"


@dataclass(frozen=True, kw_only=True)
class Namespace:
    """A namespace with its labels; the API server adds the one with its name."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def all_labels(self) -> Mapping[str, str]:
        return {**self.labels, NAME_LABEL: self.name}


@dataclass(frozen=True, kw_only=True)
class Pod:
    """A pod; `names` has the number and protocol of its named ports."""

    namespace: Namespace
    labels: Mapping[str, str] = field(default_factory=dict)
    address: str = "10.244.1.7"
    names: Mapping[str, tuple[int, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class External:
    """Somebody outside of the cluster."""

    address: str


Peer = Pod | External


class Port(NamedTuple):
    """A port by number, as it is on the wire."""

    number: int
    protocol: str = "TCP"


@dataclass(frozen=True, kw_only=True)
class Network:
    """A cluster's policies, by namespace."""

    policies: Mapping[str, Sequence[Body]]
    blocks: IPBlockScope

    def allows(self, source: Peer, target: Peer, port: Port) -> bool:
        """Whether the connection can be opened."""
        if source == target:
            return True
        return self.allows_egress(source, target, port) and self.allows_ingress(
            source, target, port
        )

    def allows_egress(self, source: Peer, target: Peer, port: Port) -> bool:
        """Whether the source's side lets it out."""
        return self._side("Egress", source, target, target, port)

    def allows_ingress(self, source: Peer, target: Peer, port: Port) -> bool:
        """Whether the target's side lets it in."""
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
    """Whether a label selector holds: all that it requires; an empty one holds for everything."""
    exact: Mapping[str, str] = selector.get("matchLabels", {})
    expressions: Iterable[Body] = selector.get("matchExpressions", ())
    return exact.items() <= labels.items() and all(_meets(one, labels) for one in expressions)


def _meets(requirement: Body, labels: Mapping[str, str]) -> bool:
    value = labels.get(requirement["key"])
    match requirement["operator"]:
        case "In":
            return value in requirement["values"]
        case "NotIn":  # holds where the label is missing, too
            return value not in requirement["values"]
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case unknown:
            raise AssertionError(f"operator {unknown}")


def covers(block: Body, address: str) -> bool:
    """Whether the block holds the address, and none of its exceptions does."""
    one = ipaddress.ip_address(address)
    return one in ipaddress.ip_network(block["cidr"]) and not any(
        one in ipaddress.ip_network(excepted) for excepted in block.get("except", ())
    )


def is_open(ports: Sequence[Body] | None, target: Peer, port: Port) -> bool:
    """Whether a rule's ports have this one of the target."""
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
