"""The ClusterRole of a controller, computed from what it declares.

``declared`` computes the rules with their conditions as data. The program resolves them with its
settings; the Helm chart evaluates the same data (``helm/generators``).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from controllers.manifests import MANAGED_BY, Body
from controllers.profiles import API_GROUP
from controllers.runtime.controller import (
    AnyController,
    ObjectsFromSetting,
    Owned,
    Rule,
    RulesFromSetting,
    RulesWhen,
    Shared,
    Watch,
)
from controllers.runtime.objects.kinds import KINDS, Kind, Mode

_READ = ("list", "watch")
_WRITE = {Mode.REPLACE: "update", Mode.APPLY: "patch"}

COMMON = (
    # kopf reads the versions of the CRD, and waits until it exists.
    Rule(groups=("apiextensions.k8s.io",), resources=("customresourcedefinitions",), verbs=_READ),
    Rule(groups=(API_GROUP,), resources=("profiles",), verbs=("get", *_READ)),
    Rule(groups=(API_GROUP,), resources=("profiles/status",), verbs=("patch",)),
    # OwnerReferencesPermissionEnforcement (OpenShift) requires it for blockOwnerDeletion.
    Rule(groups=(API_GROUP,), resources=("profiles/finalizers",), verbs=("update",)),
    Rule(groups=("",), resources=("namespaces",), verbs=_READ),
)
"""The rules of every controller, in the whole cluster."""

EVENTS = Rule(groups=("",), resources=("events",), verbs=("create", "get", "patch"))
"""The rule for events about Profiles, in namespace ``default``: a Role, not a ClusterRole."""

LEASES = Rule(
    groups=("coordination.k8s.io",), resources=("leases",), verbs=("create", "get", "update")
)
"""The rule for leader election, in the namespace of the Lease: a Role, not a ClusterRole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RulesForObjects:
    """A rule for the objects whose names a setting holds; ``rule`` itself has no names."""

    objects: ObjectsFromSetting
    rule: Rule


Declared = Rule | RulesWhen | RulesFromSetting | RulesForObjects
"""A rule, or the rules that follow from a setting."""

_DEFAULTS: Mapping[str, Any] = MappingProxyType({})


def declared(controller: AnyController, settings: Any) -> Sequence[Declared]:
    """Return the rules of the controller's process with their conditions, except COMMON."""
    owned, watches = controller.owned(settings), controller.watches(settings)
    shared = controller.shared(settings)
    names = _names(owned, shared)
    kinds = dict.fromkeys(watch.kind for watch in watches)
    return (
        *(rule for own in owned for rule in _owned_rules(own, names[own.kind])),
        *(rule for one in shared for rule in _shared_rules(one, names[one.kind], owned)),
        *(rule for kind in kinds for rule in _watch_rules(kind, watches, owned)),
        *controller.access.rules,
        *controller.access.by_settings,
    )


def rules(controller: AnyController, settings: Any = None) -> tuple[Rule, ...]:
    """Return every rule that the controller's process needs, except EVENTS and LEASES.

    Without settings: what it needs with default settings, of all its variants.
    """
    if settings is not None:
        return (*COMMON, *_resolve(declared(controller, settings), settings))
    variants = controller.variants.names or ("",)
    every = (rules(controller, controller.default_settings(variant)) for variant in variants)
    merged: dict[Rule, Rule] = {}
    for rule in itertools.chain.from_iterable(every):
        key = replace(rule, names=("",) if rule.names else ())
        names = dict.fromkeys((*merged.get(key, rule).names, *rule.names))
        merged[key] = replace(rule, names=tuple(names))
    return tuple(merged.values())


def configured(controller: AnyController, settings: Any = None) -> tuple[Rule, ...]:
    """Return the rules that follow from settings; without any, from the default settings."""
    given = controller.default_settings() if settings is None else settings
    found = (one for one in declared(controller, given) if not isinstance(one, Rule))
    return tuple(_resolve(found, given))


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedList:
    """A kind of which several controllers own objects by name.

    One informer lists the kind for all controllers of a process. If they own different names, that
    list cannot select one name, and needs the right to list all objects of the kind.
    """

    rule: Rule
    names: Mapping[str, tuple[str, ...]]
    """The names of each controller; none means that it may list all objects anyway."""

    def applies(self, controllers: Iterable[str]) -> bool:
        """Whether a process with these controllers needs the rule."""
        found = {self.names[name] for name in controllers if name in self.names}
        return len(found) > 1 and () not in found


def shared_lists(
    controllers: Sequence[AnyController], settings: Mapping[str, Any] = _DEFAULTS
) -> Sequence[SharedList]:
    """Return each kind that several of these controllers own; ``settings`` by their names."""
    kinds: dict[str, dict[str, tuple[str, ...]]] = {}
    for controller in controllers:
        given = settings.get(controller.name)
        owned = controller.default_owned() if given is None else controller.owned(given)
        shared = controller.shared(controller.default_settings() if given is None else given)
        for kind, names in _names(owned, shared).items():
            kinds.setdefault(kind, {})[controller.name] = names
    return [
        SharedList(rule=_rule(KINDS[kind], _READ), names=names)
        for kind, names in kinds.items()
        if len(names) > 1
    ]


def cluster_role(
    controllers: Sequence[AnyController], name: str, settings: Mapping[str, Any] = _DEFAULTS
) -> Body:
    """Return the ClusterRole of a process with these controllers; ``settings`` by their names."""
    every = (rules(controller, settings.get(controller.name)) for controller in controllers)
    running = [controller.name for controller in controllers]
    lists = (one for one in shared_lists(controllers, settings) if one.applies(running))
    return _role(name, dict.fromkeys((*itertools.chain(*every), *(one.rule for one in lists))))


def reader_role(controllers: Sequence[AnyController], name: str) -> Body:
    """Return the ClusterRole for the status of these controllers: read-only."""
    owned = [own.kind for controller in controllers for own in controller.default_owned()]
    shared = [
        one.kind
        for controller in controllers
        for one in controller.shared(controller.default_settings())
    ]
    kinds = dict.fromkeys(["Profile", "Namespace", *owned, *shared])
    watched: list[Rule] = []
    for controller in controllers:
        if controller.external is None:
            watches = controller.resolved_watches(controller.default_settings())
            for kind in dict.fromkeys(watch.kind for watch in watches if watch.kind not in kinds):
                found = _resolve(_watch_rules(kind, watches, ()), None)
                watched += (replace(rule, verbs=_READ) for rule in found)
    return _role(name, dict.fromkeys([*(_rule(KINDS[kind], _READ) for kind in kinds), *watched]))


def to_rbac(rule: Rule) -> Body:
    """Return the rule as the RBAC API represents it."""
    body: Body = {
        "apiGroups": list(rule.groups),
        "resources": list(rule.resources),
        "verbs": list(rule.verbs),
    }
    if rule.names:
        body["resourceNames"] = list(rule.names)
    return body


def _role(name: str, rules: Iterable[Rule]) -> Body:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/part-of": MANAGED_BY}},
        "rules": [to_rbac(rule) for rule in rules],
    }


# -- rules of kinds -------------------------------------------------------------------------------


def _rule(kind: Kind, verbs: tuple[str, ...]) -> Rule:
    return Rule(groups=(kind.group,), resources=(kind.plural,), verbs=verbs)


def _names(owned: Sequence[Owned], shared: Sequence[Shared]) -> dict[str, tuple[str, ...]]:
    """Return the names of each owned or shared kind; none means objects of any name."""
    names = {one.kind: one.names for one in shared}
    for own in owned:
        both = dict.fromkeys((*own.names, *names.get(own.kind, ())))
        names[own.kind] = tuple(both) if own.names else ()
    return names


def _shared_rules(one: Shared, names: Sequence[str], owned: Sequence[Owned]) -> Iterable[Rule]:
    """Return the rules of a shared kind: to read and patch objects of these names."""
    rule = _rule(KINDS[one.kind], ("get", *_READ, "patch"))
    if len(names) == 1:
        yield replace(rule, names=one.names)
        return
    yield replace(rule, verbs=("get", "patch"), names=one.names)
    if all(own.kind != one.kind for own in owned):
        yield replace(rule, verbs=_READ)


def _owned_rules(own: Owned, names: Sequence[str]) -> Sequence[Rule]:
    """Return the rules of an owned kind. ``create`` cannot be restricted to names.

    ``names`` includes those of shared objects of the kind.
    """
    kind = KINDS[own.kind]
    write = _WRITE[kind.mode]
    verbs = (
        ("get", *_READ, write) if own.update_only else ("get", *_READ, "create", write, "delete")
    )
    rule = _rule(kind, verbs)
    if not own.names:
        return (rule,)
    # A field selector selects one name: of several names, all objects of the kind are listed.
    unnamed = (*(_READ if len(names) > 1 else ()), *(() if own.update_only else ("create",)))
    named = replace(rule, verbs=tuple(v for v in verbs if v not in unnamed), names=own.names)
    return (named, replace(rule, verbs=unnamed)) if unnamed else (named,)


def _watch_rules(
    kind: str, watches: Sequence[Watch], owned: Sequence[Owned]
) -> Iterable[Rule | RulesForObjects]:
    """Return the rules of a watched kind beyond those of the owned kinds.

    An owned kind is watched by the list of the owned objects. A single object has an informer of
    its own, whose list selects its name.
    """
    found = [watch for watch in watches if watch.kind == kind]
    own = next((one for one in owned if one.kind == kind), None)
    deletable = any(watch.deletable for watch in found)
    rule = _rule(KINDS[kind], (*_READ, "delete") if deletable else _READ)
    if any(watch.object is None for watch in found):
        if own is None:
            yield rule
            return
        if deletable and (own.update_only or own.names):
            yield replace(rule, verbs=("delete",))
    if own is not None and len(own.names) != 1 and not deletable:
        return  # all objects of the kind are listed
    names = {watch.object[1] for watch in found if isinstance(watch.object, tuple)}
    if names:
        yield replace(rule, names=tuple(sorted(names)))
    for watch in found:
        if isinstance(watch.object, ObjectsFromSetting):
            yield RulesForObjects(objects=watch.object, rule=rule)


# -- conditions -----------------------------------------------------------------------------------


def _resolve(declared: Iterable[Declared], settings: Any) -> Iterable[Rule]:
    for one in declared:
        match one:
            case Rule():
                yield one
            case RulesFromSetting():
                yield from _table_rules(getattr(settings, one.setting))
            case RulesForObjects():
                names = sorted({name for _, name in one.objects.resolve(settings)})
                if names:
                    yield replace(one.rule, names=tuple(names))
            case RulesWhen():
                value = getattr(settings, one.setting)
                if value in one.values if one.values else bool(value):
                    yield from one.rules


def _table_rules(table: Mapping[str, Mapping[str, Sequence[str]]]) -> Iterable[Rule]:
    """Return a rule for all resources of a group that have the same verbs."""
    resources: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for group, entries in table.items():
        for resource, verbs in entries.items():
            resources.setdefault((group, tuple(verbs)), []).append(resource)
    return (
        Rule(groups=(group,), resources=tuple(names), verbs=verbs)
        for (group, verbs), names in resources.items()
    )
