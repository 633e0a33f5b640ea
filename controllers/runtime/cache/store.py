"""The cached objects of one kind, with indexes by namespace, owner, Profile and controller."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping

from controllers.manifests import Body
from controllers.runtime.objects.cached_object import CachedObject


class Store:
    """Cached objects of one kind. ``count`` is safe from any thread."""

    def __init__(self) -> None:
        """Create an empty store."""
        self._by_namespace: dict[str, dict[str, CachedObject]] = {}
        self._outside_namespace: dict[str, set[tuple[str, str]]] = {}
        """Owner UID -> namespace and name of objects outside the namespace of the owner's name."""
        self._by_profile: dict[str, set[str]] = {}
        """Profile name -> names of the cluster-scoped objects that a map function maps to it."""
        self._counts: dict[str | None, int] = {}

    def __len__(self) -> int:
        """Return the number of objects."""
        return sum(self._counts.values())

    def __iter__(self) -> Iterator[tuple[str, str, CachedObject]]:
        """Yield namespace, name and object from a snapshot: the store may change meanwhile."""
        snapshot = [(namespace, dict(found)) for namespace, found in self._by_namespace.items()]
        for namespace, found in snapshot:
            for name, cached in found.items():
                yield namespace, name, cached

    def get(self, namespace: str, name: str) -> CachedObject | None:
        """Return one object. The namespace of a cluster-scoped object is empty."""
        return self._by_namespace.get(namespace, {}).get(name)

    def by_namespace(self, namespace: str) -> Mapping[str, CachedObject]:
        """Return the objects of a namespace by name."""
        return self._by_namespace.get(namespace, {})

    def by_owner(self, namespace: str, uid: str) -> Iterator[tuple[str, str, CachedObject]]:
        """Yield namespace, name and object of what the Profile with this UID controls.

        ``namespace`` is the name of the Profile, and of the namespace that holds most objects.
        """
        for name, cached in self._by_namespace.get(namespace, {}).items():
            if cached.owner_uid == uid:
                yield namespace, name, cached
        for elsewhere, name in self._outside_namespace.get(uid, ()):
            yield elsewhere, name, self._by_namespace[elsewhere][name]

    def by_profile(self, profile: str) -> Iterator[tuple[str, CachedObject]]:
        """Yield name and object of each cluster-scoped object that maps to this Profile."""
        for name in sorted(self._by_profile.get(profile, ())):
            yield name, self._by_namespace[""][name]

    def count(self, component: str) -> int:
        """Return the number of objects that carry a controller's labels."""
        return self._counts.get(component, 0)

    def upsert(self, namespace: str, name: str, cached: CachedObject) -> None:
        """Add an object, or replace the one of this name."""
        if self.get(namespace, name) is not None:
            self.delete(namespace, name)
        self._by_namespace.setdefault(namespace, {})[name] = cached
        component = cached.component
        self._counts[component] = self._counts.get(component, 0) + 1
        if cached.owner_uid and cached.owner_name != namespace:
            self._outside_namespace.setdefault(cached.owner_uid, set()).add((namespace, name))
        for profile in cached.profiles:
            self._by_profile.setdefault(profile, set()).add(name)

    def delete(self, namespace: str, name: str) -> CachedObject:
        """Delete and return an object. Raises KeyError when it is absent."""
        in_namespace = self._by_namespace[namespace]
        cached = in_namespace.pop(name)
        self._counts[cached.component] -= 1
        if not in_namespace:
            del self._by_namespace[namespace]
        outside = self._outside_namespace.get(cached.owner_uid)
        if outside is not None:
            outside.discard((namespace, name))
            if not outside:
                del self._outside_namespace[cached.owner_uid]
        for profile in cached.profiles:
            of_profile = self._by_profile[profile]
            of_profile.discard(name)
            if not of_profile:
                del self._by_profile[profile]
        return cached

    def clear(self) -> None:
        """Delete everything."""
        self._by_namespace.clear()
        self._outside_namespace.clear()
        self._by_profile.clear()
        self._counts.clear()


def key_of(body: Body) -> tuple[str, str]:
    """Return the namespace (empty if cluster-scoped) and the name of an object, both interned."""
    metadata = body["metadata"]
    # Thousands of namespaces hold objects of the same few names.
    return sys.intern(metadata.get("namespace", "")), sys.intern(metadata["name"])
