from controllers import registry
from controllers.runtime import permissions
from controllers.runtime.kinds import KINDS
from tests import registered


def test_every_controller_is_found_by_its_name() -> None:
    assert tuple(registry.by_name().values()) == registry.CONTROLLERS
    for name, controller in registry.by_name().items():
        assert controller.name == name


def test_names_aliases_and_conditions_are_used_once() -> None:
    names = [
        name
        for controller in registry.CONTROLLERS
        for name in (
            *(controller.name, *controller.aliases),
            *(f"{controller.name}-{variant}" for variant in controller.variants),
        )
    ]
    conditions = [controller.condition for controller in registered.as_they_run()]
    assert len(set(names)) == len(names)
    assert len(set(conditions)) == len(conditions)


def test_every_kind_that_a_controller_names_is_in_the_table_of_kinds() -> None:
    for controller in registered.as_they_run():
        owned = {each.kind for each in controller.owned}
        watched = {each.kind for each in controller.watched}
        assert owned | watched <= KINDS.keys()


def test_every_controller_that_all_runs_needs_no_settings() -> None:
    for controller in registered.TOGETHER:
        assert controller.settings()


def test_the_samples_of_settings_are_of_those_that_have_no_default() -> None:
    for controller in registry.CONTROLLERS:
        fields = controller.settings.model_fields.items()
        required = {name for name, one in fields if one.is_required()}
        samples = (registered.REQUIRED, registered.SECRETS)
        assert required == {name for each in samples for name in each.get(controller.name, ())}
        assert controller.apart or not required


def test_what_a_variant_may_write_is_what_its_controller_may() -> None:
    """The ClusterRole can be printed before it is known which variant will run."""
    for controller, variant in zip(registry.CONTROLLERS, registered.as_they_run(), strict=True):
        chosen = registered.settings(controller)
        assert permissions.rules(controller, chosen) == permissions.rules(variant, chosen)
