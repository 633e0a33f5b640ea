import subprocess
import sys
from pathlib import Path

import pytest

from controllers import registry
from controllers.runtime import rbac
from controllers.runtime.objects.kinds import KINDS
from tests.support.builders import registered


def test_every_controller_is_found_by_its_name() -> None:
    assert tuple(registry.by_name().values()) == registry.controllers()
    for name, controller in registry.by_name().items():
        assert controller.name == name


def test_an_unknown_name_raises() -> None:
    with pytest.raises(KeyError):
        registry.load("registry")


def test_a_process_of_one_controller_imports_no_other() -> None:
    code = (
        "import contextlib, sys; from profiles_controller.cli import app\n"
        "with contextlib.suppress(SystemExit): app.main()\n"
        "base = 'controllers.runtime.controller'\n"
        "print(*(n for n in sys.modules if n.endswith('.controller') and n != base))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "limitranges", "--help"],
        capture_output=True, text=True, check=True, cwd=Path.cwd(),
    )  # fmt: skip
    assert "controllers.limitranges.controller" == done.stdout.splitlines()[-1]


def test_names_aliases_and_conditions_are_used_once() -> None:
    names = [
        name
        for controller in registry.controllers()
        for name in (
            *(controller.name, *controller.command.aliases),
            *(f"{controller.name}-{variant}" for variant in controller.variants.names),
        )
    ]
    conditions = [controller.condition for controller in registered.running_controllers()]
    assert len(set(names)) == len(names)
    assert len(set(conditions)) == len(conditions)


def test_every_kind_that_a_controller_names_is_in_the_table_of_kinds() -> None:
    for controller in registered.running_controllers():
        owned = {each.kind for each in controller.owned(registered.sample_settings(controller))}
        watched = {each.kind for each in controller.watches(registered.sample_settings(controller))}
        assert owned | watched <= KINDS.keys()


def test_every_controller_that_all_runs_needs_no_settings() -> None:
    for controller in registered.RUN_BY_ALL:
        assert controller.settings()


def test_there_are_samples_of_exactly_the_required_settings() -> None:
    for controller in registry.controllers():
        fields = controller.settings.model_fields.items()
        required = {name for name, one in fields if one.is_required()}
        samples = (registered.REQUIRED, registered.SECRETS)
        assert required == {name for each in samples for name in each.get(controller.name, ())}
        assert controller.command.standalone or not required


def test_a_variant_has_the_rules_of_its_controller() -> None:
    """The ClusterRole can be printed before it is known which variant will run."""
    for controller, variant in zip(
        registry.controllers(), registered.running_controllers(), strict=True
    ):
        chosen = registered.sample_settings(controller)
        assert rbac.rules(controller, chosen) == rbac.rules(variant, chosen)


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("quotas", "quotas"),
        ("limitranges", "default-container-limits"),
        ("rbac", "profile-support"),
        ("network", "s3proxy-allow-ingress"),
        ("notebook", "protected-b"),
        ("authz-policies", "protected-b-block-transfer"),
    ],
)
def test_an_object_of_the_older_suite_is_owned_only_without_labels(name: str, made: str) -> None:
    owned = registry.by_name()[name].default_owned()
    found = [
        own.adopt_legacy for own in owned if own.adopt_legacy and own.adopt_legacy({"name": made})
    ]
    assert found, made
    assert not any(legacy({"name": made, "labels": {"app": "mine"}}) for legacy in found)
