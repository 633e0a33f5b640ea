"""Echoes: what a watch tells of our own writes, recognised before it is parsed. Pure."""

from __future__ import annotations

import re

_MOST = 2000
"""More than come in the time between an answer and its echo."""
_END = b'{"type":"DELETED"'
_VERSION = re.compile(rb'"resourceVersion":"([0-9]+)"')


class Echoes:
    """The resourceVersions that our latest writes were answered with, a few thousand of them.

    A resourceVersion names one write to the whole cluster, so an event that bears it tells nothing
    new. Which of them were told already need not be known: none comes twice.
    """

    def __init__(self) -> None:
        """None yet."""
        self._versions: dict[str, None] = {}
        self.heeded = True
        """False while a list is under way: it must show everything that there is."""

    def add(self, version: str) -> None:
        """Expect no news of this version."""
        self._versions[version] = None
        if len(self._versions) > _MOST:
            del self._versions[next(iter(self._versions))]

    def __contains__(self, version: object) -> bool:
        """Whether it is one of them."""
        return self.heeded and version in self._versions

    def __len__(self) -> int:
        """How many there are to be left out."""
        return len(self._versions) if self.heeded else 0

    def clear(self) -> None:
        """Forget all: the cluster's history may be another one now."""
        self._versions.clear()


def version_of(line: bytes) -> str | None:
    """The resourceVersion in a watch's line, by a look at its text; None where it is not plain.

    A quote within a JSON string is escaped, so the pattern only matches a key; an annotation may
    be called so too, and then there are two. The end of an object is always news.
    """
    if line.startswith(_END):
        return None
    found = _VERSION.findall(line)
    return found[0].decode() if len(found) == 1 else None
