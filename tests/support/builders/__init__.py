"""Builders of test data with defaults: Profiles, objects, manifests and sample controllers."""

from tests.support.builders.controllers import Settings, controller, external
from tests.support.builders.golden import golden, validation_errors
from tests.support.builders.objects import (
    bodies,
    cached_object,
    managed_labels,
    manifest,
    namespace_body,
    object_body,
    partial_service,
    resource_quota,
    secret_body,
)
from tests.support.builders.profiles import (
    OWNER,
    profile,
    profile_body,
    profile_reference,
)

__all__ = [
    "OWNER",
    "Settings",
    "bodies",
    "cached_object",
    "controller",
    "external",
    "golden",
    "managed_labels",
    "manifest",
    "namespace_body",
    "object_body",
    "partial_service",
    "profile",
    "profile_body",
    "profile_reference",
    "resource_quota",
    "secret_body",
    "validation_errors",
]
