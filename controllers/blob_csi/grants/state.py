"""The state of each source of shared buckets: its last valid document and its health. No I/O."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from enum import Enum

import structlog

from controllers.blob_csi.grants.parse import Bucket, Buckets, invalid_namespaces
from controllers.blob_csi.grants.sources import Origin, Source
from controllers.runtime.external.system import ComponentStatus

logger = structlog.stdlib.get_logger(__name__)

_TRANSIENT_FAILURES = 2
"""Failures in a row of a gateway that are not reported to profiles: most recover at once."""
_MAX_LOGGED, _MAX_LOGGED_LENGTH = 10, 80
"""Names in a log line, and characters of each."""


class SourceHealth(Enum):
    """Whether the last response of a source was valid."""

    PENDING = "the source has not been read yet"
    HEALTHY = "the last response was valid"
    DEGRADED = "a gateway failed once or twice: metrics and log show it, profiles do not"
    FAILING = "the failure lasts: it is reported to the profiles that use the source"


@dataclass(kw_only=True)
class SourceState:
    """One source. ``buckets`` is its last valid document; None before the first one."""

    source: Source
    parse: Callable[[bytes], Buckets]
    clock: Callable[[], float]
    """Returns Unix seconds."""
    buckets: Buckets | None = None
    error: str = "not read yet"
    """Why the last response was invalid; empty if it was valid."""
    failures: int = 0
    """Failures in a row."""
    last_success: float | None = None
    digest: bytes = b""
    """Of the last valid document."""

    @property
    def health(self) -> SourceHealth:
        """The health after the last response."""
        if not self.failures:
            return SourceHealth.HEALTHY if self.last_success else SourceHealth.PENDING
        transient = _TRANSIENT_FAILURES if self.source.origin is Origin.GATEWAY else 0
        return SourceHealth.FAILING if self.failures > transient else SourceHealth.DEGRADED

    def status(self) -> ComponentStatus:
        """Return the status for probes and metrics, from any thread."""
        return ComponentStatus(
            name=self.source.name, error=self.error, last_success=self.last_success
        )

    def parse_if_changed(self, body: bytes) -> Buckets | None:
        """Return the buckets, or None if the document is unchanged. Raises DocumentError."""
        if self.buckets is not None and _digest(body) == self.digest:
            return None
        return self.parse(body)

    def update(self, body: bytes, buckets: Buckets) -> Collection[str] | None:
        """Store a document. Returns the affected namespaces; None, at first, for all of them."""
        before, self.buckets, self.digest = self.buckets, buckets, _digest(body)
        self.succeeded()
        affected = None if before is None else frozenset(affected_namespaces(before, buckets))
        logger.info(
            "source of shared buckets changed",
            source=self.source.name,
            buckets=len(buckets),
            namespaces="all" if affected is None else len(affected),
        )
        invalid = list(invalid_namespaces(buckets))
        if invalid:
            examples = [one[:_MAX_LOGGED_LENGTH] for one in invalid[:_MAX_LOGGED]]
            fields = {"source": self.source.name, "count": len(invalid), "names": examples}
            logger.warning("readers and writers that are not valid namespaces ignored", **fields)
        return affected

    def succeeded(self) -> None:
        """Record a valid response, whether it changed or not."""
        if self.failures:
            logger.info("source of shared buckets recovered", source=self.source.name)
        self.error, self.failures, self.last_success = "", 0, self.clock()

    def failed(self, error: str) -> Collection[str] | None:
        """Record a failure. Returns the namespaces to reconcile; None for all of them.

        The buckets stay. Namespaces are returned once, when the source becomes FAILING.
        """
        is_new = error != self.error or not self.failures
        before = self.health
        self.error = error
        self.failures += 1
        changed = self.health is SourceHealth.FAILING and before is not SourceHealth.FAILING
        if is_new or changed:
            logger.warning(
                "source of shared buckets failed",
                source=self.source.name,
                error=error,
                failures=self.failures,
                buckets="none" if self.buckets is None else "unchanged",
            )
        if not changed:
            return ()
        if self.buckets is None:
            return None
        return frozenset(one for bucket in self.buckets for one in bucket.readers)


def affected_namespaces(before: Buckets, after: Buckets) -> Iterator[str]:
    """Yield the namespaces whose volumes may differ between two documents; some repeatedly.

    For a bucket in the same place, these are the added and removed readers and writers; otherwise
    all that it lists.
    """
    old = {bucket.volume: bucket for bucket in before}
    new = {bucket.volume: bucket for bucket in after}
    for volume in old.keys() | new.keys():
        old_bucket, new_bucket = old.get(volume), new.get(volume)
        if old_bucket == new_bucket:
            continue
        if old_bucket and new_bucket and _place(old_bucket) == _place(new_bucket):
            yield from old_bucket.readers ^ new_bucket.readers
            yield from old_bucket.writers ^ new_bucket.writers
            continue
        for bucket in (old_bucket, new_bucket):
            if bucket is not None:
                yield from bucket.readers | bucket.writers


def _place(bucket: Bucket) -> tuple[str, str, str]:
    return bucket.container, bucket.subfolder, bucket.principal


def _digest(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=16).digest()
