"""Reads the settings of a process in the small world of `samples`."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from controllers.runtime.options import Options
from profiles_controller.config.errors import WrongSettingsError
from profiles_controller.config.load import Loaded, Loader
from profiles_controller.config.selections import Location
from profiles_controller.config.sources import Inputs
from tests.support.cli import samples

NOWHERE = Path("/nowhere")
DEFAULTS = Options(known=frozenset({"quotas", "limit-ranges", "forge"}))
LOADER = Loader(registry=(*samples.REGISTRY, samples.FORGE), pod_namespace=NOWHERE)


def load(
    *names: str,
    flags: Mapping[str, object] | None = None,
    environment: Mapping[str, str] | None = None,
    location: type[Location] = Location,
    loader: Loader = LOADER,
) -> Loaded:
    inputs = Inputs(flags=flags or {}, environment=environment or {})
    return loader.load(names or ("quotas",), inputs, location)


def faults(
    *names: str,
    flags: Mapping[str, object] | None = None,
    environment: Mapping[str, str] | None = None,
    location: type[Location] = Location,
) -> list[str]:
    with pytest.raises(WrongSettingsError) as caught:
        load(*names, flags=flags, environment=environment, location=location)
    return [str(fault) for fault in caught.value.faults]


def written(folder: Path, content: str | bytes) -> str:
    file = folder / "config.yaml"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(file)
