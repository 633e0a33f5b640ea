"""The sources of shared buckets, and the storage parameters of the buckets of each. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import NamedTuple

from controllers.blob_csi import names


class Origin(Enum):
    """The kind of a source. The buckets of each kind are in their own storage account."""

    INTERNAL = "internal"
    """A key of the ConfigMap: buckets for employees only."""
    EXTERNAL = "external"
    """A key of the ConfigMap: buckets for employees and external users."""
    GATEWAY = "gateway"
    """The response of an OPA gateway."""


class Source(NamedTuple):
    """One document that lists shared buckets."""

    classification: str
    origin: Origin

    @property
    def name(self) -> str:
        """The key of the ConfigMap; for a gateway, a name of the same form without ``.json``."""
        suffix = "" if self.origin is Origin.GATEWAY else ".json"
        return f"{names.SHARED_PREFIX}-{self.classification}-{self.origin.value}{suffix}"


SOURCES = tuple(Source(one, origin) for one in names.CLASSIFICATIONS for origin in Origin)
"""All sources in order of precedence: of two buckets with one volume name the first wins."""

SETTING_PREFIXES = MappingProxyType(
    {names.UNCLASSIFIED: "fdi_unclass", names.PROTECTED_B: "fdi_protected_b"}
)
"""The prefix of the settings of each classification."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageParameters:
    """What all buckets of one source have in common.

    ``secret``, ``client_id`` and ``tenant_id`` are empty if they follow from the bucket's service
    principal. An empty ``aad_endpoint`` selects the default of Azure.
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
