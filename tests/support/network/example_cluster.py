"""A cluster for tests of network policies: two tenants, the platform and external addresses.

Pods are named as a reviewer of policies speaks of them. Where nothing else matters, addresses are
private, as those of pods and machines are.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from typing import Any

from controllers.manifests import Body
from controllers.network import desired
from controllers.network.config import NetworkSettings
from tests.support import builders
from tests.support.network.evaluate import (
    External,
    IPBlockScope,
    Namespace,
    Network,
    Peer,
    Pod,
    Port,
)

NO_FACTS = desired.Facts()
PURPOSE = "namespace.statcan.gc.ca/purpose"
PROTECTED_B = {"data.statcan.gc.ca/classification": "protected-b"}
NOTEBOOK = {"notebook-name": "nb"}
PIPELINE = {"workflows.argoproj.io/workflow": "run-1"}

LABELS_OF_PODS: Mapping[str, Mapping[str, str]] = {
    "workload": {},
    "unclassified": {"data.statcan.gc.ca/classification": "unclassified"},
    "notebook": NOTEBOOK,
    "pipeline": PIPELINE,
    "agent": {"workflows.argoproj.io/component": "agent"},
    "knative": {"serving.knative.dev/service": "model"},
    "s3proxy": {"app": "s3proxy"},
    "artifacts": {"app": "ml-pipeline-ui-artifact"},
    "gitea": {"app": "gitea", "app.kubernetes.io/instance": "gitea-unclassified"},
    "pb-workload": PROTECTED_B,
    "pb-notebook": NOTEBOOK | PROTECTED_B,
    "pb-pipeline": PIPELINE | PROTECTED_B,
    "pb-agent": {"workflows.argoproj.io/component": "agent"} | PROTECTED_B,
    "pb-knative": {"serving.knative.dev/service": "model"} | PROTECTED_B,
    "pb-gitea": {"app": "gitea", "app.kubernetes.io/instance": "gitea-protected-b"} | PROTECTED_B,
}
NAMED_PORTS = {"notebook-port": (8888, "TCP"), "http": (8000, "TCP")}

_ISTIO = Namespace(
    name="istio-system", labels={PURPOSE: "system", "install.operator.istio.io/owner-name": "istio"}
)
_DAAAS = Namespace(name="daaas", labels={PURPOSE: "daaas"})
_KUBEFLOW = Namespace(name="kubeflow")
_PLATFORM: Mapping[str, tuple[Namespace, Mapping[str, str]]] = {
    "gateway": (_ISTIO, {"istio": "ingressgateway"}),
    "local-gateway": (_ISTIO, {"istio": "ingressgateway-kfserving"}),
    "istiod": (_ISTIO, {"app": "istiod"}),
    "daaas": (_DAAAS, {"app": "anything"}),
    "vault": (_DAAAS, {"app.kubernetes.io/instance": "vault", "component": "server"}),
    "elastic": (_DAAAS, {"common.k8s.elastic.co/type": "elasticsearch"}),
    "jfrog": (_DAAAS, {"app": "artifactory"}),
    "kfp": (_KUBEFLOW, {"app": "ml-pipeline"}),
    "kfp-ui": (_KUBEFLOW, {"app": "ml-pipeline-ui"}),
    "kfp-driver": (_KUBEFLOW, {"app": "ml-pipeline-driver"}),
    "seaweedfs": (_KUBEFLOW, {"app": "seaweedfs"}),
    "metadata": (_KUBEFLOW, {"component": "metadata-grpc-server"}),
    "kserving": (
        Namespace(
            name="knative-serving",
            labels={"app.kubernetes.io/component": "knative-serving-install"},
        ),
        {"app": "activator"},
    ),
    "trino": (Namespace(name="trino-system"), {"release": "trino"}),
    "trino-pb": (Namespace(name="trino-protb-system"), {"component": "coordinator"}),
    "cloud-main": (Namespace(name="cloud-main-system"), {"app": "anything"}),
    "dns": (Namespace(name="kube-system"), {"k8s-app": "kube-dns"}),
}
TENANTS = {"": "alice", "other/": "bob"}
"""The prefix of the names of a tenant's pods, and its namespace."""


def peers() -> dict[str, Peer]:
    """All peers by name: `notebook` is a pod of the tenant, `other/notebook` of the other."""
    addresses = (f"10.244.{number}.2" for number in count())
    found: dict[str, Peer] = {
        "internet": External("93.184.216.34"),
        "datacentre": External("192.168.7.7"),
        "api-server": External("10.96.0.1"),
    }
    for prefix, tenant in TENANTS.items():
        for name, labels in LABELS_OF_PODS.items():
            found[prefix + name] = Pod(
                namespace=Namespace(name=tenant),
                labels=labels,
                address=next(addresses),
                names=NAMED_PORTS,
            )
    for name, (namespace, labels) in _PLATFORM.items():
        found[name] = Pod(namespace=namespace, labels=labels, address=next(addresses))
    return found


def network(
    blocks: IPBlockScope,
    *,
    labels: Mapping[str, str] | None = None,
    settings: Any = None,
    facts: desired.Facts = NO_FACTS,
) -> Network:
    """The policies of both tenants, whose Profiles have the same labels."""
    parsed = NetworkSettings.model_validate(settings or {})
    return Network(
        policies={
            tenant: list(specs(tenant, labels or {}, parsed, facts)) for tenant in TENANTS.values()
        },
        blocks=blocks,
    )


def specs(
    tenant: str, labels: Mapping[str, str], settings: NetworkSettings, facts: desired.Facts
) -> Iterator[Body]:
    """The specs of one profile's policies."""
    profile = builders.profile(tenant, labels=labels)
    for manifest in desired.desired(profile, facts, settings).objects:
        yield manifest.content["spec"]


def parse_port(text: str) -> Port:
    """`53/UDP` or `443`."""
    number, _, protocol = text.partition("/")
    return Port(int(number), protocol or "TCP")


def parse_ports(text: str) -> tuple[Port, ...]:
    """Several ports, separated by blanks."""
    return tuple(map(parse_port, text.split()))


def format_port(port: Port) -> str:
    """The text that `parse_port` parses."""
    return str(port.number) if port.protocol == "TCP" else f"{port.number}/{port.protocol}"


def parse_target(text: str) -> tuple[str, Port]:
    """Name and port of `dns:53/UDP`."""
    name, _, port = text.rpartition(":")
    return name, parse_port(port)


Matrix = dict[str, dict[str, str]]


def parse_matrix(text: str) -> Matrix:
    """Parses a table: named rows and columns, with a mark in each cell."""
    lines = [line for line in text.splitlines() if line.strip()]
    columns = lines[0].split()
    rows = {}
    for line in lines[1:]:
        row, *marks = re.split(r"\s+", line.strip())
        assert len(marks) == len(columns), line
        rows[row] = dict(zip(columns, marks, strict=True))
    return rows


def format_matrix(rows: Matrix) -> str:
    """The table as text, for the message of a failure."""
    columns = list(next(iter(rows.values())))
    first = max(map(len, rows))
    head = " " * first + "".join(f"  {column}" for column in columns)
    body = (
        row.ljust(first) + "".join(f"  {marks[column]:<{len(column)}}" for column in columns)
        for row, marks in rows.items()
    )
    return "\n".join(line.rstrip() for line in (head, *body))


MARKS = {(True, True): "yes", (False, False): "-", (True, False): "block"}


def cell_of(networks: Mapping[IPBlockScope, Network], allows: Callable[[Network], bool]) -> str:
    """`yes`, `-`, or `block` if it is allowed only where ipBlock matches the addresses of pods.

    No policy denies, so what is allowed where blocks hold for fewer is allowed where for more.
    """
    return MARKS[
        allows(networks[IPBlockScope.ANY_ADDRESS]), allows(networks[IPBlockScope.EXTERNAL_ONLY])
    ]


def networks(
    labels: Mapping[str, str] | None = None, **settings: Any
) -> dict[IPBlockScope, Network]:
    """The cluster with both scopes of ipBlock."""
    return {blocks: network(blocks, labels=labels, settings=settings) for blocks in IPBlockScope}
