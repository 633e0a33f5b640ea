"""The controllers of the processes under test.

`network` is the controller that writes most: all NetworkPolicies of its default settings. `all` is
nine controllers in one process: those of `controllers.registry` that use no external system, and
substitutes with an object per profile for those that do, so that eleven kinds are watched.
"""

import functools
from collections.abc import Callable, Sequence

from pydantic import BaseModel

from controllers import registry
from controllers.desired import Desired
from controllers.manifests import Body, Manifest
from controllers.profiles import Profile
from controllers.runtime.controller import (
    AnyController,
    ConfiguredController,
    Controller,
    Owned,
    always,
    no_facts,
)

NETWORK = "network"
ALL = "all"
OTHERS = "others"
REAL = (NETWORK, "quotas", "limitranges", "rbac", "notebook", "authz-policies")
NETWORK_CONTROLLER: AnyController = registry.load(NETWORK)


class Settings(BaseModel):
    """The substitutes have no settings."""


@functools.cache
def controllers(which: str) -> Sequence[ConfiguredController]:
    """The controllers of a process (`others`: all but network), with default settings."""
    if which == NETWORK:
        return [(NETWORK_CONTROLLER, NETWORK_CONTROLLER.settings())]
    if which == OTHERS:
        return controllers(ALL)[1:]
    chosen = [*(registry.load(name) for name in REAL), *SUBSTITUTES]
    return [(controller, controller.settings()) for controller in chosen]


def manifests(which: str, profile: Profile) -> list[tuple[str, Manifest]]:
    """Every object of a profile, with the name of its controller."""
    return [
        (controller.name, manifest)
        for controller, settings in controllers(which)
        for manifest in controller.desired(profile, controller.facts, settings).objects
    ]


@functools.cache
def policies() -> dict[str, Body]:
    """The specs by name, of a profile without labels."""
    sample = Profile(name="sample", uid="sample")
    return {one.name: one.content["spec"] for _, one in manifests(NETWORK, sample)}


def substitute(
    name: str,
    contents: Sequence[tuple[str, Callable[[str], Body]]],
) -> AnyController:
    """A controller with one object for each kind and content; the content may name the profile."""

    def desired(profile: Profile, _facts: None, _settings: Settings) -> Desired:
        return Desired(
            objects=[
                Manifest(
                    kind=kind,
                    namespace=profile.namespace,
                    name=f"{name}-{kind.lower()}",
                    content=content(profile.name),
                )
                for kind, content in contents
            ]
        )

    return Controller(
        name=name,
        summary="A substitute in the benchmark",
        settings=Settings,
        facts=None,
        owned=always(*(Owned(kind=kind) for kind, _ in contents)),
        desired=desired,
        observe=no_facts,
    )


def secret(_name: str) -> Body:
    return {"type": "Opaque", "data": {"token": "c3ludGhldGlj"}}


def service(name: str) -> Body:
    ports = [{"port": 80, "protocol": "TCP", "targetPort": 80}]
    return {"spec": {"clusterIP": "None", "selector": {"app": name}, "ports": ports}}


def deployment(name: str) -> Body:
    container = {"name": "proxy", "image": "proxy:1", "env": [{"name": "TENANT", "value": name}]}
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}}
    selector = {"matchLabels": {"app": name}}
    return {"spec": {"replicas": 0, "selector": selector, "template": template}}


SUBSTITUTES = (
    substitute("secrets", [("Secret", secret)]),
    substitute("gateways", [("Service", service)]),
    substitute("proxies", [("Deployment", deployment)]),
)
