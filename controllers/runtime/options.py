"""How a process is run: the operator's choices, parsed and checked before anything starts."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """Which API server, and as whom. No kubeconfig means the pod's own service account."""

    kubeconfig: Path | None = None
    context: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Election:
    """Leader election by Lease; durations are in seconds.

    ``lease_duration > renew_deadline > 1.2 * retry_period`` and ``retry_period >= 1`` must hold,
    as kubernetes.aio.leaderelection demands; the settings check it.
    """

    namespace: str
    identity: str
    lease_duration: float = 15.0
    renew_deadline: float = 10.0
    retry_period: float = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """Profiles are split by a hash of their UID; this process has part ``index`` of ``count``."""

    index: int = 0
    count: int = 1

    def holds(self, uid: str) -> bool:
        """Whether the Profile with this UID is this process's."""
        return self.count == 1 or zlib.crc32(uid.encode()) % self.count == self.index


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Everything that is the same for all controllers of a process. Times are in seconds."""

    listen: tuple[str, int] | None = ("", 8080)
    """Where probes and metrics are served; None serves nothing, an empty host is every address."""
    workers: int = 16
    """Profiles reconciled at once, per controller."""
    max_writes: int = 16
    """Requests that change something in flight at once, in the whole process."""
    qps: float | None = None
    """Requests that change something per second, in the whole process; None is no limit."""
    resync: float = 600.0
    """Every profile is looked at again this often, whatever happened."""
    dry_run: bool = False
    """Plans and reports, writes nothing."""
    shard: Shard = Shard()
    election: Election | None = None
    adopted_namespaces: bool = False
    """Also serve namespaces that existed before their Profile (docs/operations.md)."""
    known: frozenset[str] = frozenset()
    """The names of all controllers there are, to tell a typing error from another process's."""
    watch_down_bound: float = 60.0
    """/readyz fails once a watch has been down for longer than this."""
    hang_bound: float = 300.0
    """/livez fails once one reconcile has taken, or the event loop been blocked, for this long."""
