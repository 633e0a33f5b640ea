"""What the controller observes for one profile besides the Profile. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from controllers.blob_csi.grants.parse import Buckets
from controllers.blob_csi.grants.sources import Source
from controllers.blob_csi.volumes import ObservedClaim, ObservedVolume


@dataclass(frozen=True, slots=True, kw_only=True)
class Unavailable:
    """Why a container of the profile cannot be used."""

    reason: str
    message: str
    retry_after: float | None = None
    """Seconds until the next attempt. None if a retry cannot succeed until a person acts."""
    action_required: bool = False
    """Whether a person must act although the controller retries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The observed state. Without arguments: no source responded, and nothing exists."""

    buckets: Mapping[Source, Buckets] = field(default_factory=dict)
    """Per source its last valid document. A source without a valid response has no key."""
    failing: frozenset[Source] = frozenset()
    """The sources whose failure is no longer transient."""
    unavailable: Mapping[str, Unavailable] = field(default_factory=dict)
    """The instances, by name, whose container cannot be used."""
    volumes: Mapping[str, ObservedVolume] = field(default_factory=dict)
    """PersistentVolumes by name: those of the profile, and all with the name of a desired one."""
    claims: Mapping[str, ObservedClaim] = field(default_factory=dict)
    """The claims of the profile's namespace, by name."""
    pods: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """For each claim the names of the Pods that mount it."""
    error: Exception | None = None
    """The error that ends the reconcile after the available volumes were applied."""
