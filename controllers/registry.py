"""The controllers of this suite: the one explicit list that everything else follows from.

A controller is imported when it is asked for: a process that runs one alone is spared the others'
settings, which take 3 MiB of memory and a fifth of the time to start.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Mapping

from controllers.runtime.controller import AnyController

NAMES: Mapping[str, tuple[str, ...]] = {
    "quotas": (),
    "limitranges": (),
    "rbac": (),
    "network": (),
    "notebook": (),
    "authz-policies": (),
    "pipelines": (),
    "blob-csi": (),
    "gitea": ("unclassified", "protected-b"),
}
"""The controllers by name, in the order in which they are shown, each with its variants. That of
``some-name`` is CONTROLLER in ``controllers/some_name/controller.py``."""


@functools.cache
def load(name: str) -> AnyController:
    """The controller of this name; raises KeyError for a name that is not in NAMES."""
    variants = NAMES[name]
    module = importlib.import_module(f"controllers.{name.replace('-', '_')}.controller")
    controller: AnyController = module.CONTROLLER
    if (controller.name, controller.variants.names) != (name, variants):
        raise ValueError(f"{module.__name__} declares another name or other variants than {name}")
    return controller


def controllers() -> tuple[AnyController, ...]:
    """All of them."""
    return tuple(map(load, NAMES))


def by_name() -> Mapping[str, AnyController]:
    """All of them by their names, hidden ones (``aliases``) not included."""
    return {name: load(name) for name in NAMES}
