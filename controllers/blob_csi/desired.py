"""Desired volumes and claims of a profile, and the steps that replace or remove one. Pure.

A volume whose source changed, or that the profile may no longer use, is removed in order, one step
in each reconcile: its claim, the Pods that still mount the claim, the volume. The data in Azure is
retained.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from controllers.blob_csi import names, volumes
from controllers.blob_csi.config import BlobCsiSettings
from controllers.blob_csi.facts import Facts
from controllers.blob_csi.grants.resolve import DesiredVolume, resolve
from controllers.blob_csi.grants.sources import SOURCES
from controllers.blob_csi.volumes import ObservedClaim, ObservedVolume, VolumeSpec
from controllers.desired import Desired
from controllers.findings import Finding, Severity
from controllers.manifests import Key, Manifest
from controllers.profiles import Profile


class VolumeState(Enum):
    """The state of a desired volume on the cluster."""

    MISSING = "neither the volume nor its claim exists: both are created"
    IN_SYNC = "the volume has the desired source: updated in place, its size unchanged"
    CHANGED = "the source of the volume or of its claim differs: removed, then recreated"
    RELEASED = "its claim was deleted, so no claim can bind to it: removed, then recreated"
    NOT_OWNED = "the profile does not own the volume: unchanged, and no claim is created for it"


@dataclass(kw_only=True)
class Decision:
    """All changes for one profile."""

    manifests: list[Manifest] = field(default_factory=list)
    retained: set[Key] = field(default_factory=set)
    """Existing objects that are not desired at present and must not be pruned."""
    deleted: list[Key] = field(default_factory=list)
    """Objects to delete now; also those that are being deleted."""
    findings: list[Finding] = field(default_factory=list)


def desired(profile: Profile, facts: Facts, settings: BlobCsiSettings) -> Desired:
    """Return the volumes and claims to create or update, and the next step of each removal."""
    decision = decide(profile, facts, settings)
    return Desired(
        objects=decision.manifests,
        findings=decision.findings,
        retain=frozenset(decision.retained),
        delete=decision.deleted,
        error=facts.error,
    )


def decide(profile: Profile, facts: Facts, settings: BlobCsiSettings) -> Decision:
    """Return all changes that follow from the grants and from the observed objects."""
    resolution = resolve(profile.namespace, facts, settings)
    decision = Decision(findings=list(resolution.findings))
    for volume in resolution.volumes:
        _reconcile_desired(volume, profile, facts, decision)
    desired_names = {one.spec.name for one in resolution.volumes}
    for name, observed in facts.volumes.items():
        namespace, claim = observed.claim
        if name in desired_names:
            continue
        if not _is_owned(observed, profile) or _may_be_granted(name, observed, facts, settings):
            decision.retained |= {volumes.volume_key(name), volumes.claim_key(namespace, claim)}
        else:
            reason = f"namespace {namespace} has no access any more"
            _remove(name, claim, profile, facts, decision, reason=reason)
    _remove_orphaned_claims(profile, facts, settings, decision)
    return decision


def determine_state(spec: VolumeSpec, facts: Facts, profile: Profile) -> VolumeState:
    """Return the state of a desired volume."""
    observed, claim = facts.volumes.get(spec.name), facts.claims.get(spec.claim)
    if observed is not None and not _is_owned(observed, profile):
        return VolumeState.NOT_OWNED
    if observed is not None and observed.phase:
        return VolumeState.RELEASED
    if observed is not None and any(volumes.differences(spec, observed)):
        return VolumeState.CHANGED
    if claim is not None and claim.owner_uid == profile.uid:
        if claim.phase:
            return VolumeState.RELEASED
        if volumes.claim_differs(spec, claim):
            return VolumeState.CHANGED
    return VolumeState.MISSING if observed is None and claim is None else VolumeState.IN_SYNC


def _is_owned(volume: ObservedVolume, profile: Profile) -> bool:
    """Return whether the Profile owns the volume, and its driver is that of this controller."""
    is_owner = volume.owner_uid == profile.uid or (not volume.owner_uid and volume.managed)
    return is_owner and volume.driver == names.DRIVER


def _reconcile_desired(
    volume: DesiredVolume, profile: Profile, facts: Facts, decision: Decision
) -> None:
    spec = volume.spec
    if volume.refusal is not None:
        decision.findings.append(volume.refusal)
    if volume.refusal is not None or volume.waits:
        decision.retained.update(spec.keys)
        return
    observed, claim = facts.volumes.get(spec.name), facts.claims.get(spec.claim)
    match state := determine_state(spec, facts, profile):
        case VolumeState.MISSING | VolumeState.IN_SYNC:
            decision.manifests += (
                volumes.volume_manifest(spec, observed),
                volumes.claim_manifest(spec, claim, observed),
            )
            decision.findings += _unchanged_fields(spec, observed)
        case VolumeState.CHANGED | VolumeState.RELEASED:
            changed = ", ".join(volumes.differences(spec, observed)) if observed else ""
            reason = f"{changed} changed" if changed else state.value
            _remove(spec.name, spec.claim, profile, facts, decision, reason=reason)
        case VolumeState.NOT_OWNED:
            decision.retained.update(spec.keys)
            message = (
                f"PersistentVolume {spec.name} exists and does not belong to profile"
                f" {profile.name}; rename or delete it"
            )
            decision.findings.append(Finding(reason="VolumeNotOwned", message=message))


def _unchanged_fields(spec: VolumeSpec, observed: ObservedVolume | None) -> Iterator[Finding]:
    """Yield a finding for each difference that applies only to a recreated volume."""
    if observed is None:
        return
    if volumes.capacity_differs(spec, observed.capacity):
        message = (
            f"PersistentVolume {spec.name} has capacity {observed.capacity}; the configured"
            f" {spec.capacity} applies to new volumes only"
        )
        yield Finding(reason="CapacityNotChanged", message=message, severity=Severity.NOTICE)
    attributes = volumes.transport_differences(spec, observed)
    if attributes:
        message = (
            f"PersistentVolume {spec.name} has another {' and '.join(attributes)} than configured;"
            " the configuration applies to new volumes only"
        )
        yield Finding(reason="AttributesNotChanged", message=message, severity=Severity.NOTICE)


def _may_be_granted(
    name: str, volume: ObservedVolume, facts: Facts, settings: BlobCsiSettings
) -> bool:
    """Return whether a source that has no document, or is disabled, may grant the volume.

    The storage account of a volume shows its source. A volume with an account that no source has is
    retained until all sources of its classification have a document.
    """
    for classification in names.CLASSIFICATIONS:
        if not name.startswith(names.shared_volume_prefix(volume.claim[0], classification)):
            continue
        account = volume.attributes.get("storageAccount")
        sources = [one for one in SOURCES if one.classification == classification]
        read = [one for one in sources if one in settings.sources and one in facts.buckets]
        unread = [one for one in settings.sources if one in sources and one not in read]
        if any(settings.sources[one].account == account for one in unread):
            return True
        return all(settings.sources[one].account != account for one in read) and (
            bool(unread) or not read
        )
    return False


def _remove(
    name: str, claim: str, profile: Profile, facts: Facts, decision: Decision, *, reason: str
) -> None:
    """Add the next step: delete claims, Pods, or the volume.

    A claim of the volume is deleted without regard to its owner: a tenant can remove the owner
    reference.
    """
    namespace = profile.namespace
    message = (
        f"PersistentVolume {name} is being deleted, after its claim and the Pods that mount it:"
        f" {reason}; the data in Azure is retained"
    )
    decision.findings.append(
        Finding(reason="DeletingVolume", message=message, severity=Severity.NOTICE)
    )
    observed = facts.volumes.get(name)
    candidates = {claim}
    if observed and observed.claim[0] == namespace:
        candidates.add(observed.claim[1])
    claims = [
        (one, found)
        for one in sorted(candidates)
        if (found := facts.claims.get(one))
        and (found.volume == name or found.owner_uid == profile.uid)
    ]
    for one, found in claims:
        _delete_claim(one, found, namespace, facts, decision)
    if claims:
        decision.retained.add(volumes.volume_key(name))
    else:
        decision.deleted.append(volumes.volume_key(name))


def _delete_claim(
    name: str, observed: ObservedClaim, namespace: str, facts: Facts, decision: Decision
) -> None:
    """Delete a claim, then its Pods: an earlier deletion would make their owner recreate them."""
    decision.deleted.append(volumes.claim_key(namespace, name))
    if observed.deleting:
        decision.deleted += (Key("Pod", namespace, pod) for pod in facts.pods.get(name, ()))


def _remove_orphaned_claims(
    profile: Profile, facts: Facts, settings: BlobCsiSettings, decision: Decision
) -> None:
    """Delete owned claims that are not desired and whose volume no longer exists.

    A claim is retained while a source that may grant it has no document.
    """
    namespace = profile.namespace
    unread = {one.classification for one in settings.sources if one not in facts.buckets}
    handled = {one.key for one in decision.manifests} | decision.retained | {*decision.deleted}
    for name, observed in facts.claims.items():
        key = volumes.claim_key(namespace, name)
        if key in handled or not observed.managed or observed.owner_uid != profile.uid:
            continue
        if any(names.is_shared_claim_name(name, classification) for classification in unread):
            decision.retained.add(key)
        else:
            _delete_claim(name, observed, namespace, facts, decision)
