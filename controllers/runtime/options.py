"""The options of a process, which the command line parses and validates."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """The API server and the identity. Without a kubeconfig it is the pod's ServiceAccount."""

    kubeconfig: Path | None = None
    context: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaderElectionConfig:
    """Leader election by Lease. Durations are in seconds.

    kubernetes.aio.leaderelection requires ``lease_duration > renew_deadline > 1.2 * retry_period``
    and ``retry_period >= 1``; the settings validate it.
    """

    namespace: str
    identity: str
    lease_duration: float = 15.0
    renew_deadline: float = 10.0
    retry_period: float = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """Shard ``index`` of ``count``. A hash of its UID assigns each Profile to one shard."""

    index: int = 0
    count: int = 1

    def contains(self, uid: str) -> bool:
        """Return whether the Profile with this UID belongs to the shard."""
        return self.count == 1 or zlib.crc32(uid.encode()) % self.count == self.index


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is the same for all controllers of a process. Times are in seconds."""

    listen: tuple[str, int] | None = ("", 8080)
    """Host and port of probes and metrics. An empty host is every address; None serves nothing."""
    workers: int = 16
    """How many Profiles each controller reconciles at the same time."""
    max_writes: int = 16
    """How many writes the process has in flight at the same time."""
    qps: float | None = None
    """How many writes the process sends per second; None is no limit."""
    resync: float = 600.0
    """How often every Profile is reconciled without an event."""
    dry_run: bool = False
    """Plan and report, but write nothing."""
    shard: Shard = Shard()
    leader_election: LeaderElectionConfig | None = None
    adopted_namespaces: bool = False
    """Also reconcile namespaces that existed before their Profile (docs/operations.md)."""
    controller_names: frozenset[str] = frozenset()
    """The names of all controllers. A name in an annotation that is none of them is misspelled."""
    watch_down_timeout: float = 60.0
    """/readyz fails when a watch has been down for longer."""
    hang_timeout: float = 300.0
    """/livez fails when a reconcile has been running, or the event loop blocked, for longer."""
