"""From what the process was given to what it runs: every controller with its settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from controllers.runtime.controller import AnyController
from controllers.runtime.options import Connection, Options
from profiles_controller.cli.options import spelling
from profiles_controller.config import yaml
from profiles_controller.config.errors import Fault, WrongSettingsError, suggestion
from profiles_controller.config.selections import Location, Selection
from profiles_controller.config.settings import POD_NAMESPACE, PREFIX, SECTION, Common
from profiles_controller.config.sources import Inputs, ModelT, resolve

ALL = "all"
Assembly = tuple[AnyController, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A process whose settings are right."""

    common: Common
    assemblies: Sequence[Assembly]
    connection: Connection
    options: Options


@dataclass(frozen=True, slots=True, kw_only=True)
class Loader:
    """Reads the settings of controllers out of a registry.

    ``others`` are controllers that this process need not know but by name, with their variants;
    ``pod_namespace`` is the file that tells a pod its namespace.
    """

    registry: Sequence[AnyController]
    others: Mapping[str, Sequence[str]] = field(default_factory=dict)
    pod_namespace: Path = POD_NAMESPACE

    def load(
        self, names: Sequence[str], inputs: Inputs, location: type[Location] = Location
    ) -> Loaded:
        """The settings of the process and of the controllers of these names or aliases.

        Raises WrongSettingsError with everything that is wrong anywhere.
        """
        reading = _Reading(registry=self.registry, others=self.others)
        own = {name: value for name, value in inputs.flags.items() if name in location.model_fields}
        rest = {name: value for name, value in inputs.flags.items() if name not in own}
        placed = reading.resolve(location, replace(inputs, flags=own), SECTION, PREFIX)
        file = placed.config if placed else None
        inputs = replace(
            inputs, flags=rest, file=file, sections=reading.sections(file) if file else {}
        )
        chosen = reading.pick(names, "controller", "argument")
        theirs = {name for each in chosen for name in each.command.flags}
        shared = {name: value for name, value in rest.items() if name not in theirs}
        common = reading.resolve(Common, replace(inputs, flags=shared), SECTION, PREFIX)
        if isinstance(placed, Selection) and placed.only:
            given = "only" in own
            origin = f"flag {spelling('only')}" if given else f"environment variable {PREFIX}ONLY"
            chosen = reading.pick(placed.only, spelling("only"), origin)
        assemblies = [(each, reading.settings_of(each, inputs)) for each in chosen]
        namespace = _content(self.pod_namespace)
        if common is not None:
            reading.check_election(common, namespace)
        if reading.faults or common is None:
            raise WrongSettingsError(reading.faults)
        return Loaded(
            common=common,
            assemblies=[(each.for_settings(own), own) for each, own in assemblies],
            connection=common.connection(),
            options=common.options(namespace=namespace, known=_names(self.registry, self.others)),
        )


def prefix_of(name: str) -> str:
    """What the environment variables of a controller's settings begin with."""
    return name.replace("-", "_").upper() + "_"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """Goes on after a fault, so that all of them are told at once."""

    registry: Sequence[AnyController]
    others: Mapping[str, Sequence[str]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def resolve(
        self, model: type[ModelT], inputs: Inputs, section: str, prefix: str
    ) -> ModelT | None:
        try:
            return resolve(model, inputs, section=section, prefix=prefix)
        except WrongSettingsError as error:
            self.faults.extend(error.faults)
            return None

    def settings_of(self, controller: AnyController, inputs: Inputs) -> Any:
        name = controller.name
        own = {
            flag: value for flag, value in inputs.flags.items() if flag in controller.command.flags
        }
        flagged = replace(inputs, flags=own)
        return self.resolve(controller.settings, flagged, name, prefix_of(name))

    def sections(self, file: Path) -> Mapping[str, Any]:
        try:
            found = yaml.parse(yaml.read(file))
        except yaml.DocumentError as error:
            self._refuse(str(file), f"cannot be read: {error}")
            return {}
        content = found[0] if found else {}
        if len(found) > 1 or not isinstance(content, Mapping):
            what = f"{len(found)} documents" if len(found) > 1 else type(content).__name__
            self._refuse(str(file), f"expected one mapping of sections, not {what}")
            return {}
        known = [SECTION, *(controller.name for controller in self.registry), *self.others]
        for key in content:
            if key not in known:
                hint = suggestion(str(key), known)
                self._refuse(f"{file}, key {str(key)!r}", f"unknown section; {hint}")
        return content

    def pick(self, names: Sequence[str], setting: str, origin: str) -> list[AnyController]:
        """In the registry's order; an unknown name is a fault and left out."""
        labels = {each.name: {each.name, *each.command.aliases} for each in self.registry}
        known = {ALL}.union(*labels.values())
        for name in names:
            if name not in known:
                problem = f"unknown controller; {suggestion(name, labels)}"
                self.faults.append(
                    Fault(setting=setting, origin=origin, value=repr(name), problem=problem)
                )
        return [
            each
            for each in self.registry
            if (ALL in names and not each.command.standalone)
            or not labels[each.name].isdisjoint(names)
        ]

    def check_election(self, common: Common, namespace: str | None) -> None:
        if common.leader_elect and not (common.leader_elect_namespace or namespace):
            setting, problem = spelling("leader_elect_namespace"), "required outside of a pod"
            self.faults.append(Fault(setting=setting, origin="not given", problem=problem))

    def _refuse(self, origin: str, problem: str) -> None:
        self.faults.append(Fault(setting="--config", origin=origin, problem=problem))


def _names(registry: Sequence[AnyController], others: Mapping[str, Sequence[str]]) -> Sequence[str]:
    """Every name that a controller may run by."""
    variants = {each.name: each.variants.names for each in registry} | dict(others)
    return [
        name
        for each, theirs in variants.items()
        for name in (each, *(f"{each}-{variant}" for variant in theirs))
    ]


def _content(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip() or None
    except OSError:
        return None
