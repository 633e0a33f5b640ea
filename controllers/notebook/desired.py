"""The PodDefault of a profile. Pure."""

from __future__ import annotations

from controllers.desired import Desired
from controllers.manifests import Manifest
from controllers.notebook import names
from controllers.notebook.config import NotebookSettings
from controllers.profiles import Profile


def desired(profile: Profile, _facts: object, settings: NotebookSettings) -> Desired:
    """Return the one PodDefault; nothing when the settings turn it off."""
    if not settings.protected_b:
        return Desired()
    return Desired(
        objects=[
            Manifest(
                kind="PodDefault",
                namespace=profile.namespace,
                name=settings.name,
                content={
                    "spec": {
                        "desc": settings.description,
                        "selector": {
                            "matchLabels": {settings.selector_label: names.SELECTOR_VALUE}
                        },
                        "labels": dict(settings.labels),
                    }
                },
            )
        ]
    )
