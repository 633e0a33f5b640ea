"""The volumes and claims that a profile should have, and how it comes from here to there. Pure.

A volume whose source changed, or that nobody may use any more, goes in an order, a step in each
reconcile: its claim, the pods that still hold it, the volume. The data stays in Azure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from controllers.blob_csi import names, observations, volumes
from controllers.blob_csi.config import BlobCsiSettings
from controllers.blob_csi.grants.resolve import Facts, Wish, granted
from controllers.blob_csi.grants.sources import SOURCES
from controllers.blob_csi.volumes import Volume
from controllers.desired import Desired
from controllers.findings import Finding, Severity
from controllers.manifests import Key, Manifest
from controllers.profiles import Profile


class State(Enum):
    """How a volume that a profile should have stands on the cluster."""

    MISSING = "neither it nor a claim of it is there: both are made"
    IN_PLACE = "it is there, from the same source: kept in shape, whatever size it has"
    CHANGED = "its source or its claim is another one: withdrawn, then made anew"
    USED_UP = "its claim went, so that no other can have it: withdrawn, then made anew"
    FOREIGN = "another's volume has its name: left alone, and no claim is made that could bind it"


@dataclass(kw_only=True)
class Decision:
    """What is to be done for one profile.

    ``spared`` are existing objects that are not wanted, or not now, and must not be pruned.
    ``removed`` is what goes now in a withdrawal, or is on its way out.
    """

    manifests: list[Manifest] = field(default_factory=list)
    spared: set[Key] = field(default_factory=set)
    removed: list[Key] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


def desired(profile: Profile, facts: Facts, settings: BlobCsiSettings) -> Desired:
    """Return the volumes and claims to create or update, and the next step of a withdrawal."""
    decision = decide(profile, facts, settings)
    return Desired(
        objects=decision.manifests,
        findings=decision.findings,
        retain=frozenset(decision.spared),
        delete=decision.removed,
        error=facts.error,
    )


def decide(profile: Profile, facts: Facts, settings: BlobCsiSettings) -> Decision:
    """Everything that follows from the grants and from what is on the cluster."""
    grants = granted(profile.namespace, facts, settings)
    decision = Decision(findings=list(grants.findings))
    for wish in grants.wishes:
        _grant(wish, profile, facts, decision)
    wished = {wish.volume.name for wish in grants.wishes}
    for name, volume in facts.volumes.items():
        namespace, claim = volume.claim
        if name in wished:
            continue
        if not _is_ours(volume, profile) or _may_be_granted(name, volume, facts, settings):
            decision.spared |= {volumes.volume_key(name), volumes.claim_key(namespace, claim)}
        else:
            why = f"nothing gives it to {namespace} any more"
            _withdraw(name, claim, profile, facts, decision, why=why)
    _orphans(profile, facts, settings, decision)
    return decision


def determine_state(want: Volume, facts: Facts, profile: Profile) -> State:
    """Where a volume stands; of several reasons to replace it, any."""
    have, claim = facts.volumes.get(want.name), facts.claims.get(want.claim)
    if have is not None and not _is_ours(have, profile):
        return State.FOREIGN
    if have is not None and have.phase:
        return State.USED_UP
    if have is not None and any(volumes.differences(want, have)):
        return State.CHANGED
    if claim is not None and claim.owner == profile.uid:
        if claim.phase:
            return State.USED_UP
        if volumes.claim_differs(want, claim):
            return State.CHANGED
    return State.MISSING if have is None and claim is None else State.IN_PLACE


def _is_ours(volume: observations.Volume, profile: Profile) -> bool:
    """The Profile's, and of the driver that this controller makes volumes for."""
    owned = volume.owner == profile.uid or (not volume.owner and volume.marked)
    return owned and volume.driver == names.DRIVER


def _grant(wish: Wish, profile: Profile, facts: Facts, decision: Decision) -> None:
    want = wish.volume
    if wish.refusal is not None:
        decision.findings.append(wish.refusal)
    if wish.refusal is not None or wish.waits:
        decision.spared.update(want.keys)
        return
    have, claim = facts.volumes.get(want.name), facts.claims.get(want.claim)
    match state := determine_state(want, facts, profile):
        case State.MISSING | State.IN_PLACE:
            decision.manifests += (
                volumes.volume_manifest(want, have),
                volumes.claim_manifest(want, claim, have),
            )
            decision.findings += _kept(want, have)
        case State.CHANGED | State.USED_UP:
            changed = ", ".join(volumes.differences(want, have)) if have else ""
            why = f"it has another {changed}" if changed else state.value
            _withdraw(want.name, want.claim, profile, facts, decision, why=why)
        case State.FOREIGN:
            decision.spared.update(want.keys)
            message = f"PersistentVolume {want.name} is another's: expected it renamed or deleted"
            decision.findings.append(Finding(reason="ForeignVolume", message=message))


def _kept(want: Volume, have: observations.Volume | None) -> Iterator[Finding]:
    """In what a volume is not as configured, and stays so until it is made anew."""
    if have is None:
        return
    if volumes.is_resized(want, have.capacity):
        message = (
            f"PersistentVolume {want.name} keeps its capacity {have.capacity}: {want.capacity}"
            " applies to new volumes only"
        )
        yield Finding(reason="CapacityKept", message=message, severity=Severity.NOTICE)
    kept = volumes.kept_attributes(want, have)
    if kept:
        message = (
            f"PersistentVolume {want.name} keeps its {' and '.join(kept)}: what is configured"
            " applies to new volumes only"
        )
        yield Finding(reason="AttributesKept", message=message, severity=Severity.NOTICE)


def _may_be_granted(
    name: str, volume: observations.Volume, facts: Facts, settings: BlobCsiSettings
) -> bool:
    """Whether a source that has not answered yet, or is not asked, may be the one that grants it.

    Volumes are told apart by their storage account. One of an account that no longer is any
    source's waits until all of its classification have answered.
    """
    for classification in names.CLASSIFICATIONS:
        if not name.startswith(names.shared_prefix(volume.claim[0], classification)):
            continue
        account = volume.attributes.get("storageAccount")
        sources = [one for one in SOURCES if one.classification == classification]
        spoke = [one for one in sources if one in settings.storages and one in facts.answers]
        silent = [one for one in settings.storages if one in sources and one not in spoke]
        if any(settings.storages[one].account == account for one in silent):
            return True
        return all(settings.storages[one].account != account for one in spoke) and (
            bool(silent) or not spoke
        )
    return False


def _withdraw(
    name: str, claim: str, profile: Profile, facts: Facts, decision: Decision, *, why: str
) -> None:
    """The next step of claims, pods, volume.

    A claim that holds the volume goes whoever owns it: a tenant could strip it of its owner.
    """
    namespace = profile.namespace
    message = f"PersistentVolume {name} is withdrawn, its claim and the pods with it first: {why}"
    decision.findings.append(
        Finding(reason="Withdrawing", message=message, severity=Severity.NOTICE)
    )
    there = facts.volumes.get(name)
    holders = {claim, there.claim[1]} if there and there.claim[0] == namespace else {claim}
    holding = [
        (one, have)
        for one in sorted(holders)
        if (have := facts.claims.get(one)) and (have.volume == name or have.owner == profile.uid)
    ]
    for one, have in holding:
        _remove_claim(one, have, namespace, facts, decision)
    if holding:
        decision.spared.add(volumes.volume_key(name))
    else:
        decision.removed.append(volumes.volume_key(name))


def _remove_claim(
    name: str, have: observations.Claim, namespace: str, facts: Facts, decision: Decision
) -> None:
    """Then the pods that hold it: before, whoever keeps them would make them anew."""
    decision.removed.append(volumes.claim_key(namespace, name))
    if have.deleting:
        decision.removed += (Key("Pod", namespace, pod) for pod in facts.pods.get(name, ()))


def _orphans(profile: Profile, facts: Facts, settings: BlobCsiSettings, decision: Decision) -> None:
    """Claims of ours that nothing wants, and whose volume went before them.

    They stay, too, while whoever may grant them has not answered.
    """
    namespace = profile.namespace
    silent = {one.classification for one in settings.storages if one not in facts.answers}
    accounted = {one.key for one in decision.manifests} | decision.spared | {*decision.removed}
    for name, have in facts.claims.items():
        key = volumes.claim_key(namespace, name)
        if key in accounted or not have.marked or have.owner != profile.uid:
            continue
        if any(names.is_shared_claim(name, classification) for classification in silent):
            decision.spared.add(key)
        else:
            _remove_claim(name, have, namespace, facts, decision)
