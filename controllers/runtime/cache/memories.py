"""The records of one kind, found by place, by owner and by controller."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from controllers.runtime.objects.cached_object import Record


class Records:
    """What is remembered of one kind's objects. ``count`` may be asked from any thread."""

    def __init__(self) -> None:
        """Empty."""
        self._by_namespace: dict[str, dict[str, Record]] = {}
        self._elsewhere: dict[str, set[tuple[str, str]]] = {}
        """Places that are not in the namespace of the owner's name, by the owner's UID."""
        self._concerning: dict[str, set[str]] = {}
        """Names of objects without a namespace, by the Profile that they wake."""
        self._counts: dict[str | None, int] = {}

    def __len__(self) -> int:
        """How many objects are remembered."""
        return sum(self._counts.values())

    def __iter__(self) -> Iterator[tuple[str, str, Record]]:
        """Namespace, name and record of each, as of now: it may change meanwhile."""
        everything = [(where, dict(records)) for where, records in self._by_namespace.items()]
        for where, records in everything:
            for name, record in records.items():
                yield where, name, record

    def get(self, namespace: str, name: str) -> Record | None:
        """The record of one object, or None."""
        return self._by_namespace.get(namespace, {}).get(name)

    def named(self, namespace: str) -> Mapping[str, Record]:
        """The records of a namespace, by name."""
        return self._by_namespace.get(namespace, {})

    def owned(self, namespace: str, uid: str) -> Iterator[tuple[str, str, Record]]:
        """Namespace, name and record of every object that this Profile controls."""
        for name, record in self._by_namespace.get(namespace, {}).items():
            if record.owner == uid:
                yield namespace, name, record
        for where, name in self._elsewhere.get(uid, ()):
            yield where, name, self._by_namespace[where][name]

    def concerning(self, profile: str) -> Iterator[tuple[str, Record]]:
        """Name and record of every object without a namespace that wakes this Profile."""
        for name in sorted(self._concerning.get(profile, ())):
            yield name, self._by_namespace[""][name]

    def count(self, component: str) -> int:
        """How many of them carry a controller's labels."""
        return self._counts.get(component, 0)

    def remember(self, namespace: str, name: str, record: Record) -> None:
        """Take the place of what was remembered of this object."""
        if self.get(namespace, name) is not None:
            self.forget(namespace, name)
        self._by_namespace.setdefault(namespace, {})[name] = record
        component = record.component
        self._counts[component] = self._counts.get(component, 0) + 1
        if record.owner and record.owner_name != namespace:
            self._elsewhere.setdefault(record.owner, set()).add((namespace, name))
        for profile in record.concerns:
            self._concerning.setdefault(profile, set()).add(name)

    def forget(self, namespace: str, name: str) -> Record:
        """It is gone; what was remembered of it. Raises KeyError when nothing was."""
        records = self._by_namespace[namespace]
        record = records.pop(name)
        self._counts[record.component] -= 1
        if not records:
            del self._by_namespace[namespace]
        places = self._elsewhere.get(record.owner)
        if places is not None:
            places.discard((namespace, name))
            if not places:
                del self._elsewhere[record.owner]
        for profile in record.concerns:
            concerning = self._concerning[profile]
            concerning.discard(name)
            if not concerning:
                del self._concerning[profile]
        return record

    def clear(self) -> None:
        """Forget all."""
        self._by_namespace.clear()
        self._elsewhere.clear()
        self._concerning.clear()
        self._counts.clear()
