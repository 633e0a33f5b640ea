"""Where it is said who may use which shared bucket, and what its buckets share. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import NamedTuple

from controllers.blob_csi import names


class Origin(Enum):
    """A kind of document; each kind's buckets are in a storage account of their own."""

    INTERNAL = "internal"
    """A key of the ConfigMap: buckets that only employees are to see."""
    EXTERNAL = "external"
    """A key of the ConfigMap: buckets for everybody."""
    GATEWAY = "gateway"
    """An OPA gateway's reply."""


class Source(NamedTuple):
    """One document of shared buckets."""

    classification: str
    origin: Origin

    @property
    def key(self) -> str:
        """The ConfigMap's key that holds it; a gateway is called alike in messages."""
        suffix = "" if self.origin is Origin.GATEWAY else ".json"
        return f"{names.SHARED}-{self.classification}-{self.origin.value}{suffix}"


SOURCES = tuple(Source(one, origin) for one in names.CLASSIFICATIONS for origin in Origin)
"""In the order of precedence: of two that claim one volume's name the first has it."""

PREFIXES = MappingProxyType(
    {names.UNCLASSIFIED: "fdi_unclass", names.PROTECTED_B: "fdi_protected_b"}
)
"""What the names of the settings of each classification begin with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """What all buckets of one source have in common.

    ``secret``, ``client_id`` and ``tenant_id`` are empty where they follow from the bucket's
    service principal; ``aad_endpoint`` where it is Azure's own.
    """

    account: str
    resource_group: str
    capacity: str
    secret_namespace: str
    auth_type: str = "spn"
    aad_endpoint: str = ""
    secret: str = ""
    client_id: str = ""
    tenant_id: str = ""
