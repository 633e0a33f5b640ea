"""The ClusterRole that follows from what a controller declares."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from controllers import registry
from controllers.runtime import rbac
from controllers.runtime.controller import (
    Access,
    AnyController,
    ObjectsFromSetting,
    Owned,
    Rule,
    RulesFromSetting,
    RulesWhen,
    Watch,
    always,
    no_profiles,
)
from tests.support import builders
from tests.support.builders import registered

PLAIN = builders.controller("one")
GOLDEN = Path(__file__).parent / "golden" / "rbac_rules"


@pytest.mark.parametrize("name", list(registry.by_name()))
def test_the_cluster_role_of_a_controller_matches_its_golden_file(name: str) -> None:
    role = rbac.cluster_role([registry.load(name)], f"profiles-controller-{name}")
    golden = yaml.safe_load((GOLDEN / f"{name}.yaml").read_text())

    assert golden == role


@pytest.mark.parametrize("controller", registry.controllers(), ids=lambda one: str(one.name))
def test_no_rule_allows_every_verb_group_or_resource(controller: AnyController) -> None:
    """A rule has every verb only if a Role that the controller writes contains that rule."""
    granted = [
        rule
        for manifest in controller.desired(
            builders.profile(), controller.facts, registered.sample_settings(controller)
        ).objects
        for rule in manifest.content.get("rules", ())
        if manifest.kind == "Role"
    ]
    for rule in rbac.rules(controller):
        assert "*" not in (*rule.groups, *rule.resources)
        assert "*" not in rule.verbs or rbac.to_rbac(rule) in granted


def verbs(rules: tuple[Rule, ...], resource: str) -> list[tuple[str, ...]]:
    return [rule.verbs for rule in rules if resource in rule.resources]


def test_a_kind_with_mode_apply_is_patched_and_never_replaced() -> None:
    rules = rbac.rules(builders.controller(owned=[Owned(kind="Service")]))

    assert [("get", "list", "watch", "create", "patch", "delete")] == verbs(rules, "services")


def test_only_create_is_allowed_for_every_name_of_a_kind_with_one_name() -> None:
    rules = rbac.rules(builders.controller(owned=[Owned(kind="Secret", names=("one",))]))
    found = [(rule.verbs, rule.names) for rule in rules if "secrets" in rule.resources]

    rest = ("get", "list", "watch", "update", "delete")
    assert [(rest, ("one",)), (("create",), ())] == found


def test_a_kind_with_several_names_is_listed_whole_and_written_by_name() -> None:
    owned = [Owned(kind="Secret", names=("one", "two"))]
    rules = rbac.rules(builders.controller(owned=owned))
    found = [(rule.verbs, rule.names) for rule in rules if "secrets" in rule.resources]

    assert [
        (("get", "update", "delete"), ("one", "two")),
        (("list", "watch", "create"), ()),
    ] == [(tuple(verbs), names) for verbs, names in found]


def test_controllers_with_different_names_of_one_kind_list_all_of_it() -> None:
    one, other, any_name = (
        builders.controller(name, owned=[Owned(kind="Secret", names=names)])
        for name, names in (("one", ("one",)), ("other", ("other",)), ("any", ()))
    )

    def reads_all(*controllers: AnyController) -> bool:
        rules = rbac.cluster_role(controllers, "several")["rules"]
        return any(
            rule["resources"] == ["secrets"]
            and {"list", "watch"} <= set(rule["verbs"])
            and "resourceNames" not in rule
            for rule in rules
        )

    found = [reads_all(one), reads_all(one, one), reads_all(one, other), reads_all(one, any_name)]
    assert [False, False, True, True] == found


def test_a_kind_that_is_only_watched_has_read_verbs_only() -> None:
    watched = Watch(kind="Secret", transform=lambda _body: None, map=no_profiles)
    rules = rbac.rules(builders.controller(watches=[watched]))

    assert [("list", "watch")] == verbs(rules, "secrets")


def test_a_kind_that_is_owned_and_watched_has_one_rule() -> None:
    watched = Watch(kind="ConfigMap", transform=lambda _body: None, map=no_profiles)
    rules = rbac.rules(builders.controller(watches=[watched]))

    assert 1 == len(verbs(rules, "configmaps"))


@pytest.mark.parametrize(
    ("names", "expected"),
    [(("mine",), {("mine",), ("theirs",), ()}), (("mine", "more"), {("mine", "more"), ()})],
)
def test_a_single_object_of_an_owned_kind_may_be_watched(
    names: tuple[str, ...], expected: set[tuple[str, ...]]
) -> None:
    """Of several owned names all objects are listed, which includes the watched one."""
    watch = Watch(
        kind="Secret",
        transform=lambda _body: None,
        map=no_profiles,
        object=("platform", "theirs"),
    )
    rules = rbac.rules(
        builders.controller(owned=[Owned(kind="Secret", names=names)], watches=[watch])
    )

    found = [rule for rule in rules if "secrets" in rule.resources]
    assert expected == {rule.names for rule in found}
    may_list = [rule for rule in found if {"list", "watch"} <= set(rule.verbs)]
    assert any("theirs" in rule.names or not rule.names for rule in may_list)


@pytest.mark.parametrize("names", [(), ("one",), ("one", "two")])
@pytest.mark.parametrize("kind", ["Secret", "Service"])
def test_an_update_only_kind_has_no_create_or_delete_verb(
    kind: str, names: tuple[str, ...]
) -> None:
    owned = [Owned(kind=kind, names=names, update_only=True)]
    rules = rbac.rules(builders.controller(owned=owned))

    found = {verb for rule in rules if f"{kind.lower()}s" in rule.resources for verb in rule.verbs}
    write = "update" if kind == "Secret" else "patch"
    assert {"get", "list", "watch", write} == found


def test_the_access_rules_of_a_controller_are_last_and_can_have_resource_names() -> None:
    rule = Rule(groups=("",), resources=("secrets",), verbs=("get",), names=("root",))
    role = rbac.cluster_role([builders.controller(access=Access(rules=(rule,)))], "samples")

    assert {
        "apiGroups": [""],
        "resources": ["secrets"],
        "verbs": ["get"],
        "resourceNames": ["root"],
    } == role["rules"][-1]


@dataclasses.dataclass(frozen=True)
class Part:
    secret: str


@dataclasses.dataclass(frozen=True)
class Settings:
    mode: str = "view"
    people: tuple[str, ...] = ()
    verbs: Mapping[str, Mapping[str, tuple[str, ...]]] = dataclasses.field(default_factory=dict)
    parts: tuple[Part, ...] = ()
    store: str = "shared"
    store_namespace: str = "platform"
    account: str = ""


def binding(role: str) -> Rule:
    return Rule(groups=("g",), resources=("roles",), verbs=("bind",), names=(role,))


def reading(*names: str) -> Rule:
    return Rule(groups=("",), resources=("secrets",), verbs=("list", "watch"), names=names)


def secrets(objects: ObjectsFromSetting) -> Watch:
    return Watch(kind="Secret", transform=lambda _body: None, map=no_profiles, object=objects)


CONFIGURED = dataclasses.replace(
    builders.controller("one"),
    settings=Settings,
    watches=always(
        secrets(ObjectsFromSetting(setting="parts", key="secret")),
        secrets(
            ObjectsFromSetting(setting="store", namespace="store_namespace", while_set=("account",))
        ),
    ),
    access=Access(
        by_settings=(
            RulesWhen(setting="mode", values=("edit", "own"), rules=(binding("editor"),)),
            RulesWhen(setting="people", rules=(binding("member"),)),
            RulesFromSetting(setting="verbs"),
        )
    ),
)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (None, ()),
        (Settings(mode="own"), (binding("editor"),)),
        (Settings(mode="edit", people=("jane",)), (binding("editor"), binding("member"))),
        (Settings(parts=(Part("b/y"), Part("a"), Part("b/x"))), (reading("a", "b"),)),
        (Settings(account="one"), (reading("shared"),)),
        (
            Settings(verbs={"g": {"a": ("get",), "b": ("list",), "c": ("get",)}}),
            (
                Rule(groups=("g",), resources=("a", "c"), verbs=("get",)),
                Rule(groups=("g",), resources=("b",), verbs=("list",)),
            ),
        ),
    ],
)
def test_rules_follow_from_the_settings_or_their_defaults(
    settings: Settings | None, expected: tuple[Rule, ...]
) -> None:
    assert expected == rbac.configured(CONFIGURED, settings)
    assert expected == rbac.rules(CONFIGURED, settings)[len(rbac.rules(PLAIN)) :]


@pytest.mark.parametrize("controller", registry.controllers(), ids=lambda one: str(one.name))
def test_rules_refer_to_existing_settings(controller: AnyController) -> None:
    named = {one.setting for one in controller.access.by_settings}
    settings = registered.sample_settings(controller)
    for watch in controller.watches(settings):
        if isinstance(watch.object, ObjectsFromSetting):
            named |= {watch.object.setting, *watch.object.while_set}

    assert named <= controller.settings.model_fields.keys()


def test_a_rule_that_several_controllers_need_is_listed_once() -> None:
    one, other = builders.controller("one"), builders.controller("other")
    role = rbac.cluster_role([one, other], "all")

    assert rbac.cluster_role([one], "all") == role
