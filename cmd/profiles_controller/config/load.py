"""Loads the settings of the process and of its controllers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from controllers.runtime.controller import AnyController, ConfiguredController
from controllers.runtime.options import Connection, Options
from profiles_controller.config import yaml
from profiles_controller.config.errors import InvalidSettingsError, SettingError, suggestion
from profiles_controller.config.flags import flag_name
from profiles_controller.config.settings import (
    POD_NAMESPACE,
    PREFIX,
    SECTION,
    CommonSettings,
    LaunchAllSettings,
    LaunchSettings,
)
from profiles_controller.config.sources import Inputs, ModelT, resolve

ALL = "all"
"""The name that selects all controllers that are not standalone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedConfig:
    """The valid settings of a process."""

    common: CommonSettings
    controllers: Sequence[ConfiguredController]
    connection: Connection
    options: Options


@dataclass(frozen=True, slots=True, kw_only=True)
class Loader:
    """Loads the settings of controllers in a registry.

    ``others`` are the names and variants of controllers that exist but are not in the registry.
    ``pod_namespace`` is the file with the namespace of the pod.
    """

    registry: Sequence[AnyController]
    others: Mapping[str, Sequence[str]] = field(default_factory=dict)
    pod_namespace: Path = POD_NAMESPACE

    def load(
        self, names: Sequence[str], inputs: Inputs, launch: type[LaunchSettings] = LaunchSettings
    ) -> LoadedConfig:
        """Returns the settings of the process and of the controllers with these names or aliases.

        Raises InvalidSettingsError with all errors of all settings.
        """
        collector = _ErrorCollector(registry=self.registry, others=self.others)
        launch_flags = {
            name: value for name, value in inputs.flags.items() if name in launch.model_fields
        }
        other_flags = {
            name: value for name, value in inputs.flags.items() if name not in launch_flags
        }
        launched = collector.resolve(launch, replace(inputs, flags=launch_flags), SECTION, PREFIX)
        file = launched.config if launched else None
        sections = collector.sections(file) if file else {}
        inputs = replace(inputs, flags=other_flags, file=file, sections=sections)
        selected = collector.select(names, "controller", "argument")
        controller_flags = {name for each in selected for name in each.command.flags}
        common_flags = {
            name: value for name, value in other_flags.items() if name not in controller_flags
        }
        common = collector.resolve(
            CommonSettings, replace(inputs, flags=common_flags), SECTION, PREFIX
        )
        if isinstance(launched, LaunchAllSettings) and launched.only:
            by_flag = "only" in launch_flags
            flag = flag_name("only")
            origin = f"flag {flag}" if by_flag else f"environment variable {PREFIX}ONLY"
            selected = collector.select(launched.only, flag, origin)
        configured = [(each, collector.settings_of(each, inputs)) for each in selected]
        namespace = _content(self.pod_namespace)
        if common is not None:
            collector.check_election(common, namespace)
        if collector.errors or common is None:
            raise InvalidSettingsError(collector.errors)
        return LoadedConfig(
            common=common,
            controllers=[(each.for_settings(own), own) for each, own in configured],
            connection=common.connection(),
            options=common.options(
                namespace=namespace, known=component_names(self.registry, self.others)
            ),
        )


def env_prefix(name: str) -> str:
    """Returns the prefix of the environment variables of a controller's settings."""
    return name.replace("-", "_").upper() + "_"


def component_names(
    registry: Sequence[AnyController], others: Mapping[str, Sequence[str]]
) -> Sequence[str]:
    """Returns the names of all controllers and of their variants."""
    variants = {each.name: each.variants.names for each in registry} | dict(others)
    return [
        name
        for each, suffixes in variants.items()
        for name in (each, *(f"{each}-{suffix}" for suffix in suffixes))
    ]


def select_controllers(
    registry: Sequence[AnyController], names: Sequence[str]
) -> list[AnyController]:
    """Returns the controllers with these names or aliases, in the order of the registry.

    ``all`` selects every controller that is not standalone. Unknown names select nothing.
    """
    return [
        each
        for each in registry
        if (ALL in names and not each.command.standalone)
        or not {each.name, *each.command.aliases}.isdisjoint(names)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _ErrorCollector:
    """Continues after an error, so that all errors are reported together."""

    registry: Sequence[AnyController]
    others: Mapping[str, Sequence[str]] = field(default_factory=dict)
    errors: list[SettingError] = field(default_factory=list)

    def resolve(
        self, model: type[ModelT], inputs: Inputs, section: str, prefix: str
    ) -> ModelT | None:
        try:
            return resolve(model, inputs, section=section, prefix=prefix)
        except InvalidSettingsError as error:
            self.errors.extend(error.errors)
            return None

    def settings_of(self, controller: AnyController, inputs: Inputs) -> Any:
        name = controller.name
        flags = {
            flag: value for flag, value in inputs.flags.items() if flag in controller.command.flags
        }
        inputs = replace(inputs, flags=flags)
        return self.resolve(controller.settings, inputs, name, env_prefix(name))

    def sections(self, file: Path) -> Mapping[str, Any]:
        try:
            documents = yaml.parse(yaml.read(file))
        except yaml.DocumentError as error:
            self._config_error(str(file), f"cannot be read: {error}")
            return {}
        content = documents[0] if documents else {}
        if len(documents) > 1 or not isinstance(content, Mapping):
            found = f"{len(documents)} documents" if len(documents) > 1 else type(content).__name__
            self._config_error(str(file), f"expected one mapping of sections, not {found}")
            return {}
        valid = [SECTION, *(controller.name for controller in self.registry), *self.others]
        for key in content:
            if key not in valid:
                hint = suggestion(str(key), valid)
                self._config_error(f"{file}, key {str(key)!r}", f"unknown section; {hint}")
        return content

    def select(self, names: Sequence[str], setting: str, origin: str) -> list[AnyController]:
        valid = {
            ALL,
            *(name for each in self.registry for name in (each.name, *each.command.aliases)),
        }
        for name in names:
            if name not in valid:
                hint = suggestion(name, [each.name for each in self.registry])
                self.errors.append(
                    SettingError(
                        setting=setting,
                        origin=origin,
                        value=repr(name),
                        problem=f"unknown controller; {hint}",
                    )
                )
        return select_controllers(self.registry, names)

    def check_election(self, common: CommonSettings, namespace: str | None) -> None:
        if common.leader_elect and not (common.leader_elect_namespace or namespace):
            self.errors.append(
                SettingError(
                    setting=flag_name("leader_elect_namespace"),
                    origin="not set",
                    problem="required outside a pod; set it to the namespace of the Lease",
                )
            )

    def _config_error(self, origin: str, problem: str) -> None:
        self.errors.append(SettingError(setting="--config", origin=origin, problem=problem))


def _content(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip() or None
    except OSError:
        return None
