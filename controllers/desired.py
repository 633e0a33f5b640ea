"""The desired state of one profile, as one controller decides it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from controllers.findings import Finding
from controllers.manifests import Addition, Key, Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """What a controller decides for one profile, in one call.

    ``error`` is a Waiting or Terminal of ``controllers.runtime.errors``. The objects are applied
    first; then the reconcile ends as if the error had been raised.
    """

    objects: Sequence[Manifest] = ()
    additions: Sequence[Addition] = ()
    """What objects of other owners should have (``Controller.shared``). What an earlier reconcile
    added and is not among them is removed."""
    findings: Sequence[Finding] = ()
    retain: frozenset[Key] = frozenset()
    """Existing objects that are not in ``objects`` and are not pruned either, because the decision
    about them is not possible yet. Missing ones are not created."""
    delete: Sequence[Key] = ()
    """Objects to delete now: of an owned or deletable kind, in the profile's namespace or
    cluster-scoped, and in none of ``objects``. The UID and resourceVersion of the cached object are
    the precondition. While there is one, the profile is not ready and is reconciled again soon:
    this is how a controller deletes objects in an order, one step in each reconcile."""
    error: Exception | None = None
