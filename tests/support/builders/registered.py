"""The controllers of the registry as tests run them: with settings, and one as its variant."""

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
"""What has no default, by the names of the controllers that need it."""
SECRETS: Mapping[str, Mapping[str, str]] = {"gitea": {"psql_admin_passwd": "a-sample-password"}}
"""The same of what belongs into no file."""
TOGETHER = tuple(one for one in registry.controllers() if not one.command.standalone)
"""Those that `all` runs."""


def settings(controller: AnyController) -> Any:
    """The defaults, and samples of what has none."""
    name = controller.variants.of or controller.name
    fields = {**REQUIRED.get(name, {}), **SECRETS.get(name, {})}
    return controller.settings.model_validate(fields)


def as_they_run() -> list[AnyController]:
    """Every controller, by these settings the variant that a process runs."""
    return [controller.for_settings(settings(controller)) for controller in registry.controllers()]
