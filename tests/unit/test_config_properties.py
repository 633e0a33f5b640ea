"""Settings are valid or reported as invalid, whatever the inputs are."""

import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiles_controller.config import flags, yaml
from profiles_controller.config.errors import InvalidSettingsError, SettingError
from profiles_controller.config.load import ALL, env_prefix
from profiles_controller.config.settings import PREFIX, CommonSettings
from tests.support.cli.config import LOADER, load, write_config

COMMON_VARIABLES = [
    variable
    for name, field in CommonSettings.model_fields.items()
    for variable in flags.environment_variables(name, field, PREFIX)
]
CONTROLLER_VARIABLES = [
    variable
    for controller in LOADER.registry
    for name, field in controller.settings.model_fields.items()
    for variable in flags.environment_variables(name, field, env_prefix(controller.name))
]


@given(content=st.binary(max_size=200))
def test_no_content_of_a_file_raises_another_exception(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    file = write_config(tmp_path_factory.getbasetemp(), content)

    with contextlib.suppress(InvalidSettingsError):
        load(flags={"config": file})


FRAGMENTS = (
    "a: ", "- ", "{", "}", "[", "]", "&x ", "*x ", "<<: ", "? ", "|\n", "'", '"', "\n", "  ",
    "!!int ", "!!float ", "!!bool ", "!!timestamp ", "!!binary ", "!!set ", "!!omap ", "!!pairs ",
    "---\n",
    "2001-99-99", "0x", "0b", "1:99", "~", "=", "%YAML 9.9\n", "!", "\t", "\x00", "9" * 5000,
)  # fmt: skip


@given(fragments=st.lists(st.sampled_from(FRAGMENTS), max_size=12))
def test_no_fragment_of_yaml_raises_another_exception(fragments: list[str]) -> None:
    with contextlib.suppress(yaml.DocumentError):
        yaml.parse("".join(fragments).encode())


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(
    sections=st.fixed_dictionaries(
        {
            "common": st.dictionaries(st.sampled_from(list(CommonSettings.model_fields)), VALUES),
            "quotas": st.dictionaries(st.sampled_from(["hard", "names", "x"]), VALUES),
        }
    )
)
def test_no_value_in_a_file_raises_another_exception(
    tmp_path_factory: pytest.TempPathFactory, sections: dict[str, dict[str, object]]
) -> None:
    file = write_config(tmp_path_factory.getbasetemp(), json.dumps(sections))

    with contextlib.suppress(InvalidSettingsError):
        load(flags={"config": file})


@pytest.mark.parametrize("variable", [*COMMON_VARIABLES, *CONTROLLER_VARIABLES])
@settings(max_examples=20)  # for each of some sixty variables
@given(text=st.text())
def test_a_variable_is_valid_or_reported_by_its_name(variable: str, text: str) -> None:
    environment = {"FORGE_ROOT_URL": "x", "PROFILES_CONTROLLER_LEADER_ELECT_NAMESPACE": "x"}

    errors: tuple[SettingError, ...] = ()
    try:
        load(ALL, environment=environment | {variable: text})
    except InvalidSettingsError as error:
        errors = error.errors

    assert not [
        str(error) for error in errors if variable not in str(error) and error.origin != "default"
    ]
