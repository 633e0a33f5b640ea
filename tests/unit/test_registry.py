from controllers import registry
from controllers.runtime.kinds import KINDS


def test_every_controller_is_found_by_its_name() -> None:
    assert tuple(registry.by_name().values()) == registry.CONTROLLERS
    for name, controller in registry.by_name().items():
        assert controller.name == name


def test_names_aliases_and_conditions_are_used_once() -> None:
    names = [
        name
        for controller in registry.CONTROLLERS
        for name in (controller.name, *controller.aliases)
    ]
    conditions = [controller.condition for controller in registry.CONTROLLERS]
    assert len(set(names)) == len(names)
    assert len(set(conditions)) == len(conditions)


def test_every_kind_that_a_controller_names_is_in_the_table_of_kinds() -> None:
    for controller in registry.CONTROLLERS:
        owned = {each.kind for each in controller.owned}
        watched = {each.kind for each in controller.watched}
        assert owned | watched <= KINDS.keys()


def test_every_controller_runs_with_its_default_settings() -> None:
    for controller in registry.CONTROLLERS:
        assert controller.settings()
