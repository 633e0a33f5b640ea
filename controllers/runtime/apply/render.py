"""Renders the manifests of a profile without a cluster. Imports neither a client nor kopf."""

from __future__ import annotations

from typing import Any

from controllers.manifests import Body, to_body
from controllers.profiles import Profile
from controllers.runtime.controller import AnyController
from controllers.runtime.objects.kinds import KINDS


def render(controller: AnyController, settings: Any, profile: Profile) -> list[Body]:
    """Return the manifests of one profile as the controller would create them."""
    return [
        to_body(
            manifest,
            api_version=KINDS[manifest.kind].api_version,
            profile=profile,
            component=controller.name,
        )
        for manifest in controller.desired(profile, controller.facts, settings).objects
        if not manifest.update_only
    ]
