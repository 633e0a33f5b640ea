"""A table of settings whose entries are environment variables each."""

from collections.abc import Mapping
from typing import Annotated

import pytest
from pydantic import BaseModel, Field

from controllers.config_tables import Suffixed
from profiles_controller.config.errors import InvalidSettingsError
from profiles_controller.config.sources import Inputs, resolve


class Settings(BaseModel):
    tokens: Annotated[Mapping[str, int], Suffixed("_TOKEN")] = Field(default={})
    master_token: int = 0


def read(environment: Mapping[str, str], section: object = None) -> Settings:
    inputs = Inputs(environment=environment, sections={"forge": section})
    return resolve(Settings, inputs, section="forge", prefix="FORGE_")


def test_each_variable_with_the_suffix_is_an_entry() -> None:
    environment = {"A_TOKEN": "1", "B_C_TOKEN": "2", "TOKENS": "3", "D_TOKEN": "", "_TOKEN": "4"}
    assert {"A": 1, "B_C": 2} == read(environment).tokens


def test_a_variable_of_another_setting_is_not_an_entry() -> None:
    settings = read({"FORGE_MASTER_TOKEN": "1"})
    assert ({}, 1) == (settings.tokens, settings.master_token)


def test_entries_are_merged_with_the_whole_table_and_the_file() -> None:
    environment = {"A_TOKEN": "1", "FORGE_TOKENS": '{"B": 2, "A": 5}'}
    assert {"A": 5, "B": 2, "C": 3} == read(environment, {"tokens": {"C": 3, "A": 9}}).tokens


def test_an_error_names_the_variable_of_the_entry() -> None:
    with pytest.raises(InvalidSettingsError) as caught:
        read({"A_TOKEN": "x", "FORGE_TOKENS": '{"B": "y"}'})
    first, second = sorted(map(str, caught.value.errors))
    assert first.startswith("forge.tokens.A = 'x' (environment variable A_TOKEN):")
    assert second.startswith("forge.tokens.B = 'y' (environment variable FORGE_TOKENS, key B):")
