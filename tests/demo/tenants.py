"""The cast: twenty tenants as a statistics office may have them, and who plays what."""

import dataclasses
from collections.abc import Mapping

from controllers.profiles import PAUSED_ANNOTATION

GPU = "requests.nvidia.com/gpu"
GPU_LABEL = "quotas.statcan.gc.ca/gpu"
MEMORY_LABEL = "quotas.statcan.gc.ca/requests.memory"
PODS_LABEL = "quotas.statcan.gc.ca/pods"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tenant:
    """A Profile. `part` is what is special about it, in words for the reader."""

    name: str
    owner: str
    part: str = ""
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    annotations: Mapping[str, str] = dataclasses.field(default_factory=dict)
    foreign: bool = False
    """The namespace of its name is somebody else's."""
    unready: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Controllers that will not call it ready, each with a word that their condition must say."""
    quota: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """What must be in force, of its ResourceQuota's `spec.hard`."""

    @property
    def paused(self) -> bool:
        """Whether every controller leaves it alone."""
        return PAUSED_ANNOTATION in self.annotations


def tenant(name: str, person: str) -> Tenant:
    return Tenant(name=name, owner=f"{person}@example.ca")


DAMAGED = (
    tenant("agri-imagery", "louise.gagnon"),
    tenant("business-register", "peter.novak"),
    tenant("census-2026", "amelie.tremblay"),
    tenant("consumer-prices", "ravi.sharma"),
    tenant("crime-severity", "jane.doe"),
    tenant("energy-balance", "daniel.okafor"),
)
"""Their objects are edited, relabelled and deleted, in turn."""

RELABELLED = tenant("fisheries-catch", "marc.leblanc")
HANDED_OVER = tenant("health-surveys", "sofia.rossi")
RECREATED = tenant("housing-starts", "li.wei")
LEAVING = tenant("internship-2025", "noah.martin")
NEWCOMER = tenant("wildfire-response", "emma.roy")
"""Not among the twenty: it arrives while everything runs."""

OVERRIDDEN = Tenant(
    name="satellite-lab",
    owner="hans.meier@example.ca",
    part="asks for more than the default",
    labels={GPU_LABEL: "8", MEMORY_LABEL: "1500G"},
    quota={GPU: "8", "requests.memory": "1500G"},
)
MISTAKEN = Tenant(
    name="price-scanner",
    owner="olivia.chen@example.ca",
    part="asks for pods=plenty, which is no quantity",
    labels={PODS_LABEL: "plenty", GPU_LABEL: "4"},
    unready={"quotas": "plenty"},
    quota={GPU: "4", "pods": "100"},
)
FOREIGN = Tenant(
    name="kube-system",
    owner="mallory@example.ca",
    part="a Profile with the name of a namespace that is not its own",
    foreign=True,
)
PAUSED = Tenant(
    name="marine-traffic",
    owner="ingrid.larsen@example.ca",
    part="paused by its owner",
    annotations={PAUSED_ANNOTATION: "true"},
)

BYSTANDERS = (
    tenant("jobs-vacancy", "fatima.haddad"),
    tenant("labour-force", "thomas.berg"),
    tenant("national-accounts", "claire.dubois"),
    tenant("tourism-flows", "mateo.silva"),
    tenant("trade-flows", "hannah.cohen"),
    tenant("wastewater", "george.brown"),
)
"""Nobody touches them; nothing may be written there once they are in shape."""

TENANTS = tuple(
    sorted(
        (
            *(*DAMAGED, RELABELLED, HANDED_OVER, RECREATED, LEAVING),
            *(OVERRIDDEN, MISTAKEN, FOREIGN, PAUSED),
            *BYSTANDERS,
        ),
        key=lambda each: each.name,
    )
)
