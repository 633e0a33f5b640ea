"""What a source of shared buckets last said, and whom a new answer concerns. No I/O."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

import structlog

from controllers.blob_csi.grants.parse import Answer, Bucket, strangers
from controllers.blob_csi.grants.sources import Origin, Source
from controllers.runtime.external.system import ComponentStatus

logger = structlog.stdlib.get_logger(__name__)

_PATIENT_FAILURES = 3
"""A gateway that fails for the first time is mostly back at once."""
_SHOWN, _LONGEST = 10, 80
"""Names in a log line, and characters of each."""


@dataclass(kw_only=True)
class Feed:
    """One source. ``answer`` is its last good one, whatever came after it; None: never any."""

    source: Source
    parse: Callable[[bytes], Answer]
    clock: Callable[[], float]
    """Unix seconds."""
    answer: Answer | None = None
    trouble: str = "it has not been asked yet"
    failures: int = 0
    success: float | None = None
    digest: bytes = b""
    """Of the last good answer."""

    @property
    def failing(self) -> bool:
        """Whether it fails for longer than a moment: worth telling those whom it concerns."""
        patience = _PATIENT_FAILURES if self.source.origin is Origin.GATEWAY else 1
        return self.failures >= patience

    @property
    def status(self) -> ComponentStatus:
        """How it is, from any thread."""
        return ComponentStatus(name=self.source.key, error=self.trouble, last_success=self.success)

    def reread(self, body: bytes) -> Answer | None:
        """A good answer that is not the last one; None: it is. Raises DocumentError."""
        if self.answer is not None and _digest(body) == self.digest:
            return None
        return self.parse(body)

    def take(self, body: bytes, answer: Answer) -> Collection[str] | None:
        """``reread`` found this: the namespaces that it concerns; None: all, as it is the first."""
        before, self.answer, self.digest = self.answer, answer, _digest(body)
        self.succeed()
        concerned = None if before is None else frozenset(concerned_by(before, answer))
        logger.info(
            "source of shared buckets answered anew",
            source=self.source.key,
            buckets=len(answer),
            namespaces="all" if concerned is None else len(concerned),
        )
        odd = list(strangers(answer))
        if odd:
            shown = [one[:_LONGEST] for one in odd[:_SHOWN]]
            told = {"source": self.source.key, "count": len(odd), "names": shown}
            logger.warning("names that no namespace can have are granted nothing", **told)
        return concerned

    def succeed(self) -> None:
        """It answered well, be it what it said before."""
        if self.failures:
            logger.info("source of shared buckets answers again", source=self.source.key)
        self.trouble, self.failures, self.success = "", 0, self.clock()

    def fail(self, why: str) -> Collection[str] | None:
        """It gave no good answer. The namespaces to tell, once it has lasted; None: all."""
        news = why != self.trouble or not self.failures
        before = self.failing
        self.trouble = why
        self.failures += 1
        if news or self.failing is not before:
            kept = "none yet" if self.answer is None else "the last good one"
            told = {"source": self.source.key, "error": why, "answer": kept}
            logger.warning("source of shared buckets fails", failures=self.failures, **told)
        if self.failing is before:
            return ()
        if self.answer is None:
            return None
        return frozenset(one for bucket in self.answer for one in bucket.readers)


def concerned_by(before: Answer, after: Answer) -> Iterator[str]:
    """Whose volumes may change between two answers: namespaces, some of them more than once.

    Of a bucket that stays the same, those who come or go as reader or writer; else all it names.
    """
    old = {bucket.volume: bucket for bucket in before}
    new = {bucket.volume: bucket for bucket in after}
    for volume in old.keys() | new.keys():
        had, has = old.get(volume), new.get(volume)
        if had == has:
            continue
        if had is not None and has is not None and _place(had) == _place(has):
            yield from had.readers ^ has.readers
            yield from had.writers ^ has.writers
            continue
        for bucket in (had, has):
            if bucket is not None:
                yield from bucket.readers | bucket.writers


def _place(bucket: Bucket) -> tuple[str, str, str]:
    return bucket.container, bucket.subfolder, bucket.principal


def _digest(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=16).digest()
