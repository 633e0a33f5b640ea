"""Whatever is given to a process, its settings are right or told to be wrong."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiles_controller.cli import options
from profiles_controller.config import yaml
from profiles_controller.config.errors import Fault, WrongSettingsError
from profiles_controller.config.load import ALL, prefix_of
from profiles_controller.config.settings import PREFIX, Common
from tests.support.cli.settings import LOADER, load, written

COMMON_VARIABLES = [
    variable
    for name, field in Common.model_fields.items()
    for variable in options.variables(name, field, PREFIX)
]
CONTROLLER_VARIABLES = [
    variable
    for controller in LOADER.registry
    for name, field in controller.settings.model_fields.items()
    for variable in options.variables(name, field, prefix_of(controller.name))
]


@given(content=st.binary(max_size=200))
def test_no_content_of_a_file_is_an_exception(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    file = written(tmp_path_factory.getbasetemp(), content)

    with contextlib.suppress(WrongSettingsError):
        load(flags={"config": file})


PIECES = (
    "a: ", "- ", "{", "}", "[", "]", "&x ", "*x ", "<<: ", "? ", "|\n", "'", '"', "\n", "  ",
    "!!int ", "!!float ", "!!bool ", "!!timestamp ", "!!binary ", "!!set ", "!!omap ", "!!pairs ",
    "---\n",
    "2001-99-99", "0x", "0b", "1:99", "~", "=", "%YAML 9.9\n", "!", "\t", "\x00", "9" * 5000,
)  # fmt: skip


@given(pieces=st.lists(st.sampled_from(PIECES), max_size=12))
def test_no_piece_of_yaml_is_an_exception(pieces: list[str]) -> None:
    with contextlib.suppress(yaml.DocumentError):
        yaml.parse("".join(pieces).encode())


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(
    sections=st.fixed_dictionaries(
        {
            "common": st.dictionaries(st.sampled_from(list(Common.model_fields)), VALUES),
            "quotas": st.dictionaries(st.sampled_from(["hard", "names", "x"]), VALUES),
        }
    )
)
def test_no_value_in_a_file_is_an_exception(
    tmp_path_factory: pytest.TempPathFactory, sections: dict[str, dict[str, object]]
) -> None:
    file = written(tmp_path_factory.getbasetemp(), json.dumps(sections))

    with contextlib.suppress(WrongSettingsError):
        load(flags={"config": file})


@pytest.mark.parametrize("variable", [*COMMON_VARIABLES, *CONTROLLER_VARIABLES])
@given(text=st.text())
def test_any_text_in_a_variable_is_accepted_or_told_by_name(variable: str, text: str) -> None:
    environment = {"FORGE_ROOT_URL": "x", "PROFILES_CONTROLLER_LEADER_ELECT_NAMESPACE": "x"}

    told: tuple[Fault, ...] = ()
    try:
        load(ALL, environment=environment | {variable: text})
    except WrongSettingsError as error:
        told = error.faults

    assert not [
        str(fault) for fault in told if variable not in str(fault) and fault.origin != "default"
    ]
