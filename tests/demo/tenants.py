"""The Profiles of the demo: twenty tenants of a statistics office, and the role of each."""

import dataclasses
from collections.abc import Mapping

from controllers.profiles import PAUSED_ANNOTATION

GPU = "requests.nvidia.com/gpu"
GPU_LABEL = "quotas.statcan.gc.ca/gpu"
MEMORY_LABEL = "quotas.statcan.gc.ca/requests.memory"
PODS_LABEL = "quotas.statcan.gc.ca/pods"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tenant:
    """A Profile. `note` states what is special about it."""

    name: str
    owner: str
    note: str = ""
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    annotations: Mapping[str, str] = dataclasses.field(default_factory=dict)
    foreign: bool = False
    """Whether the Profile does not control the namespace of its name."""
    unready: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """The controllers whose condition must be False, with a word of the expected message."""
    quota: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Values that `spec.hard` of its ResourceQuota must have."""

    @property
    def paused(self) -> bool:
        """Whether the Profile pauses every controller."""
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
"""Their objects are edited, stripped of labels and deleted, in turn."""

OVERRIDING = tenant("fisheries-catch", "marc.leblanc")
HANDED_OVER = tenant("health-surveys", "sofia.rossi")
RECREATED = tenant("housing-starts", "li.wei")
DELETED = tenant("internship-2025", "noah.martin")
NEW = tenant("wildfire-response", "emma.roy")
"""Not one of the twenty: it is created during the demo."""

RAISED = Tenant(
    name="satellite-lab",
    owner="hans.meier@example.ca",
    note="requests more than the default by labels",
    labels={GPU_LABEL: "8", MEMORY_LABEL: "1500G"},
    quota={GPU: "8", "requests.memory": "1500G"},
)
INVALID = Tenant(
    name="price-scanner",
    owner="olivia.chen@example.ca",
    note="has the label pods=plenty, which is not a quantity",
    labels={PODS_LABEL: "plenty", GPU_LABEL: "4"},
    unready={"quotas": "plenty"},
    quota={GPU: "4", "pods": "100"},
)
FOREIGN = Tenant(
    name="kube-system",
    owner="mallory@example.ca",
    note="has the name of a namespace that it does not control",
    foreign=True,
)
PAUSED = Tenant(
    name="marine-traffic",
    owner="ingrid.larsen@example.ca",
    note="is paused by its owner",
    annotations={PAUSED_ANNOTATION: "true"},
)

UNTOUCHED = (
    tenant("jobs-vacancy", "fatima.haddad"),
    tenant("labour-force", "thomas.berg"),
    tenant("national-accounts", "claire.dubois"),
    tenant("tourism-flows", "mateo.silva"),
    tenant("trade-flows", "hannah.cohen"),
    tenant("wastewater", "george.brown"),
)
"""They are not touched, so nothing may be written there after the first reconcile."""

TENANTS = tuple(
    sorted(
        (
            *(*DAMAGED, OVERRIDING, HANDED_OVER, RECREATED, DELETED),
            *(RAISED, INVALID, FOREIGN, PAUSED),
            *UNTOUCHED,
        ),
        key=lambda each: each.name,
    )
)
