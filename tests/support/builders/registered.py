"""The controllers of the registry, with sample settings."""

from collections.abc import Mapping
from typing import Any

from controllers import registry
from controllers.runtime.controller import AnyController

REQUIRED: Mapping[str, Mapping[str, Any]] = {
    "gitea": {
        "classification": "unclassified",
        "psql_hostname": "postgres.example.ca",
        "psql_admin_uname": "platform",
        "argocd_source_repo_url": "https://git.example.ca/manifests.git",
    },
}
"""Settings without a default, by controller."""
SECRETS: Mapping[str, Mapping[str, str]] = {"gitea": {"psql_admin_passwd": "a-sample-password"}}
"""Secret settings without a default, by controller."""
RUN_BY_ALL = tuple(one for one in registry.controllers() if not one.command.standalone)
"""The controllers that `all` runs."""
OPT_IN_LABELS: Mapping[str, str] = {
    "sourcecontrol.statcan.gc.ca/enabled": "true",
    "s3.statcan.gc.ca/enabled": "true",
    "state.aaw.statcan.gc.ca/exists-non-cloud-main-user": "false",
}
"""Labels by which a Profile opts in to the objects of some controllers."""


def required_settings(controller: AnyController) -> Mapping[str, Any]:
    """Samples of the settings that the controller requires."""
    name = controller.variants.of or controller.name
    return {**REQUIRED.get(name, {}), **SECRETS.get(name, {})}


def sample_settings(controller: AnyController) -> Any:
    """The default settings, with samples of those that are required."""
    return controller.settings.model_validate(required_settings(controller))


def running_controllers() -> list[AnyController]:
    """Every controller with its sample settings, as the variant that they choose."""
    return [
        controller.for_settings(sample_settings(controller))
        for controller in registry.controllers()
    ]
