"""The ClusterRole of a controller, out of what it declares: no right that nothing asks for."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from controllers.manifests import MANAGED_BY, Body
from controllers.profiles import API_GROUP
from controllers.runtime.controller import (
    AnyController,
    Owned,
    Rule,
    RulesForNames,
    RulesFromSetting,
    RulesWhen,
    Watch,
)
from controllers.runtime.objects.kinds import KINDS, Kind, Mode

_READ = ("list", "watch")
_WRITE = ("get", "list", "watch", "create", "update", "delete")
_REMOVE = (*_READ, "delete")
_MERGE = ("get", "list", "watch", "create", "patch", "delete")

COMMON = (
    # kopf looks which versions of the CRD there are, and waits for it where it is not there yet.
    Rule(groups=("apiextensions.k8s.io",), resources=("customresourcedefinitions",), verbs=_READ),
    Rule(groups=(API_GROUP,), resources=("profiles",), verbs=("get", *_READ)),
    Rule(groups=(API_GROUP,), resources=("profiles/status",), verbs=("patch",)),
    # With OwnerReferencesPermissionEnforcement (OpenShift) blockOwnerDeletion needs it.
    Rule(groups=(API_GROUP,), resources=("profiles/finalizers",), verbs=("update",)),
    Rule(groups=("",), resources=("namespaces",), verbs=_READ),
)
"""What every controller needs in the whole cluster."""

EVENTS = Rule(groups=("",), resources=("events",), verbs=("create", "get", "patch"))
"""What telling of Profiles needs, in namespace ``default``: a Role, not a ClusterRole."""

LEASES = Rule(
    groups=("coordination.k8s.io",), resources=("leases",), verbs=("create", "get", "update")
)
"""What leader election needs, in the namespace of its Lease: a Role, not a ClusterRole."""


_DEFAULTS: Mapping[str, Any] = MappingProxyType({})


def rules(controller: AnyController, settings: Any = None) -> tuple[Rule, ...]:
    """Return every rule that the controller's process needs, except EVENTS and LEASES.

    Without settings: what it needs with default settings, of all its variants.
    """
    if settings is not None:
        return _rules(controller, settings)
    variants = controller.variants.names or ("",)
    every = (_rules(controller, controller.default_settings(variant)) for variant in variants)
    merged: dict[Rule, Rule] = {}
    for rule in itertools.chain.from_iterable(every):
        key = replace(rule, names=("",) if rule.names else ())
        names = dict.fromkeys((*merged.get(key, rule).names, *rule.names))
        merged[key] = replace(rule, names=tuple(names))
    return tuple(merged.values())


def _rules(controller: AnyController, settings: Any) -> tuple[Rule, ...]:
    owned, watches = controller.owned(settings), controller.watches(settings)
    read = dict.fromkeys(one.kind for one in watches if one.kind not in {own.kind for own in owned})
    return (
        *COMMON,
        *(rule for own in owned for rule in _owned_rules(own)),
        *(_read_rule(watches, kind) for kind in read),
        *controller.access.rules,
        *configured(controller, settings),
    )


def configured(controller: AnyController, settings: Any = None) -> tuple[Rule, ...]:
    """Return the rules that follow from the settings; without any, from the defaults."""
    given = controller.default_settings() if settings is None else settings
    return tuple(rule for one in controller.access.by_settings for rule in _called_for(one, given))


def cluster_role(
    controllers: Sequence[AnyController], name: str, settings: Mapping[str, Any] = _DEFAULTS
) -> Body:
    """The ClusterRole for a process that runs these controllers; ``settings`` by their names."""
    merged = dict.fromkeys(
        rule
        for controller in controllers
        for rule in rules(controller, settings.get(controller.name))
    )
    return _role(name, [*merged, *_listed_by_several(controllers, settings)])


def reader_role(controllers: Sequence[AnyController], name: str) -> Body:
    """The ClusterRole of a person who asks for the status of these controllers: to read alone."""
    owned = [own.kind for controller in controllers for own in controller.default_owned()]
    whole = dict.fromkeys(["Profile", "Namespace", *owned])
    watched = (
        replace(_read_rule(watches, kind), verbs=_READ)
        for watches in (
            controller.watches(controller.default_settings())
            for controller in controllers
            if controller.external is None
        )
        for kind in dict.fromkeys(watch.kind for watch in watches)
        if kind not in whole
    )
    rules = [*(_rule(KINDS[kind], _READ) for kind in whole), *watched]
    return _role(name, list(dict.fromkeys(rules)))


def to_rbac(rule: Rule) -> Body:
    """The rule as RBAC spells it."""
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


def _listed_by_several(
    controllers: Sequence[AnyController], settings: Mapping[str, Any]
) -> Sequence[Rule]:
    """Of a kind of which each knows names of its own, one list serves them: that of all."""
    names: dict[str, set[tuple[str, ...]]] = {}
    for controller in controllers:
        given = settings.get(controller.name)
        for own in controller.default_owned() if given is None else controller.owned(given):
            names.setdefault(own.kind, set()).add(own.names)
    several = (kind for kind, found in names.items() if len(found) > 1 and () not in found)
    return [_rule(KINDS[kind], _READ) for kind in several]


def _called_for(one: RulesWhen | RulesFromSetting | RulesForNames, settings: Any) -> Iterable[Rule]:
    value = getattr(settings, one.setting)
    match one:
        case RulesFromSetting():
            return _listed(value)
        case RulesForNames():
            given = [getattr(settings, each) for each in one.while_set]
            return _named(one, value) if any(given) or not given else ()
        case RulesWhen():
            needed = value in one.values if one.values else bool(value)
            return one.rules if needed else ()


def _named(one: RulesForNames, value: Any) -> Iterable[Rule]:
    texts = [str(getattr(item, one.key)) for item in value] if one.key else [str(value)]
    names = sorted({text.partition("/")[0] for text in texts})
    return (replace(one.rule, names=tuple(names)),) if names else ()


def _listed(table: Mapping[str, Mapping[str, Sequence[str]]]) -> Iterable[Rule]:
    """Resources of a group that have the same verbs share a rule."""
    resources: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for group, entries in table.items():
        for resource, verbs in entries.items():
            resources.setdefault((group, tuple(verbs)), []).append(resource)
    return (
        Rule(groups=(group,), resources=tuple(names), verbs=verbs)
        for (group, verbs), names in resources.items()
    )


def _rule(kind: Kind, verbs: tuple[str, ...]) -> Rule:
    return Rule(groups=(kind.group,), resources=(kind.plural,), verbs=verbs)


def _owned_rules(own: Owned) -> Sequence[Rule]:
    """What is created has no name yet that a right could be bound to."""
    kind = KINDS[own.kind]
    rule = _rule(kind, _verbs(kind))
    if not own.names:
        return (rule,)
    # A field selector selects one name: of several names, all objects of the kind are listed.
    several = len(own.names) > 1
    unnamed = (*_READ, "create") if several else ("create",)
    rest = tuple(verb for verb in rule.verbs if verb not in unnamed)
    return (replace(rule, verbs=rest, names=own.names), replace(rule, verbs=unnamed))


def _read_rule(watches: Sequence[Watch], kind: str) -> Rule:
    """Of single objects where no other is read: a list that selects one by name is granted so."""
    objects = [one.object for one in watches if one.kind == kind]
    names = {single[1] for single in objects if single is not None}
    deletable = any(one.deletable for one in watches if one.kind == kind)
    rule = _rule(KINDS[kind], _REMOVE if deletable else _READ)
    return rule if None in objects else replace(rule, names=tuple(sorted(names)))


def _verbs(kind: Kind) -> tuple[str, ...]:
    return _MERGE if kind.mode is Mode.APPLY else _WRITE
