"""Loads settings for the sample controllers."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from controllers.runtime.options import Options
from profiles_controller.config.errors import InvalidSettingsError
from profiles_controller.config.load import LoadedConfig, Loader
from profiles_controller.config.settings import LaunchSettings
from profiles_controller.config.sources import Inputs
from tests.support.cli import sample_controllers

MISSING_FILE = Path("/nowhere")
DEFAULTS = Options(controller_names=frozenset({"quotas", "limit-ranges", "forge"}))
LOADER = Loader(
    registry=(*sample_controllers.REGISTRY, sample_controllers.FORGE), pod_namespace=MISSING_FILE
)


def load(
    *names: str,
    flags: Mapping[str, object] | None = None,
    environment: Mapping[str, str] | None = None,
    launch: type[LaunchSettings] = LaunchSettings,
    loader: Loader = LOADER,
) -> LoadedConfig:
    inputs = Inputs(flags=flags or {}, environment=environment or {})
    return loader.load(names or ("quotas",), inputs, launch)


def errors(
    *names: str,
    flags: Mapping[str, object] | None = None,
    environment: Mapping[str, str] | None = None,
    launch: type[LaunchSettings] = LaunchSettings,
) -> list[str]:
    with pytest.raises(InvalidSettingsError) as caught:
        load(*names, flags=flags, environment=environment, launch=launch)
    return [str(error) for error in caught.value.errors]


def write_config(folder: Path, content: str | bytes) -> str:
    file = folder / "config.yaml"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(file)
