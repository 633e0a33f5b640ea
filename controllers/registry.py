"""The controllers of this suite: the one explicit list that everything else follows from.

A controller is imported when it is loaded: a process of one controller does not import the others,
whose settings take 3 MiB of memory and a fifth of the start-up time.
"""

from __future__ import annotations

import functools
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
"""The names of the controllers and of their variants, in the order of all output."""


def _import(name: str) -> AnyController:
    """Import the controller of this name; raises KeyError for an unknown name."""
    match name:
        case "quotas":
            from controllers.quotas import controller as quotas

            return quotas.CONTROLLER
        case "limitranges":
            from controllers.limitranges import controller as limitranges

            return limitranges.CONTROLLER
        case "rbac":
            from controllers.rbac import controller as rbac

            return rbac.CONTROLLER
        case "network":
            from controllers.network import controller as network

            return network.CONTROLLER
        case "notebook":
            from controllers.notebook import controller as notebook

            return notebook.CONTROLLER
        case "authz-policies":
            from controllers.authz_policies import controller as authz_policies

            return authz_policies.CONTROLLER
        case "pipelines":
            from controllers.pipelines import controller as pipelines

            return pipelines.CONTROLLER
        case "blob-csi":
            from controllers.blob_csi import controller as blob_csi

            return blob_csi.CONTROLLER
        case "gitea":
            from controllers.gitea import controller as gitea

            return gitea.CONTROLLER
        case _:
            raise KeyError(name)


@functools.cache
def load(name: str) -> AnyController:
    """Return the controller of this name; raises KeyError for a name that is not in NAMES."""
    variants = NAMES[name]
    controller = _import(name)
    if (controller.name, controller.variants.names) != (name, variants):
        raise ValueError(f"the controller {name} declares another name or other variants")
    return controller


def controllers() -> tuple[AnyController, ...]:
    """Return all controllers."""
    return tuple(map(load, NAMES))


def by_name() -> Mapping[str, AnyController]:
    """Return all controllers by their names, without aliases."""
    return {name: load(name) for name in NAMES}
