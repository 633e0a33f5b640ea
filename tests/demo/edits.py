"""Data about single kinds and controllers: how to edit an object, and labels that override values.

Objects of a kind without an entry are stripped of their label and deleted, too.
"""

import dataclasses
from collections.abc import Mapping

from controllers.manifests import Key
from controllers.pipelines import names as pipelines
from tests.support.controlplane import Json

Path = tuple[str | int, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Edit:
    """An unwanted change to an object: a JSON merge patch, and its description."""

    description: str
    patch: Json


EDITS: Mapping[str, Edit] = {
    "ResourceQuota": Edit(
        description="set to 9000 pods", patch={"spec": {"hard": {"pods": "9000"}}}
    ),
    "LimitRange": Edit(
        description="set to 64 cpu",
        patch={"spec": {"limits": [{"type": "Container", "default": {"cpu": "64"}}]}},
    ),
    "NetworkPolicy": Edit(
        description="opened to all", patch={"spec": {"ingress": [{}], "policyTypes": ["Ingress"]}}
    ),
    "Role": Edit(
        description="granted all rights",
        patch={"rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]},
    ),
    "RoleBinding": Edit(description="subjects removed", patch={"subjects": []}),
    "AuthorizationPolicy": Edit(
        description="opened to all", patch={"spec": {"action": "ALLOW", "rules": [{}]}}
    ),
    "PodDefault": Edit(
        description="unclassified",
        patch={"spec": {"labels": {"data.statcan.gc.ca/classification": "unclassified"}}},
    ),
    "ConfigMap": Edit(description="edited", patch={"data": {"edited": "by hand"}}),
}
"""By kind. The controllers restore the content of these kinds, except for USER_EDITABLE."""

USER_EDITABLE = frozenset(("ConfigMap", name) for name in pipelines.CONFIG_MAPS)
"""Kind and name of the objects that users may edit: the controllers preserve the edits."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Override:
    """A label on a Profile that overrides a value of an object.

    `path` is the place of the value in the object. `invalid` is a value that the controller must
    refuse, in a condition that contains it.
    """

    controller: str
    label: str
    value: str
    kind: str
    name: str
    path: Path
    invalid: str

    def key(self, tenant: str) -> Key:
        """The key of the object that has the value."""
        return Key(self.kind, tenant, self.name)

    def read(self, body: Json | None) -> object:
        """The value of the object, or None."""
        found: object = body
        for step in self.path:
            match found, step:
                case dict(), str() if step in found:
                    found = found[step]
                case list(), int() if step < len(found):
                    found = found[step]
                case _:
                    return None
        return found


OVERRIDES = (
    Override(
        controller="quotas",
        label="quotas.statcan.gc.ca/pods",
        value="250",
        kind="ResourceQuota",
        name="quotas",
        path=("spec", "hard", "pods"),
        invalid="plenty",
    ),
    Override(
        controller="limitranges",
        label="limitranges.statcan.gc.ca/default.cpu",
        value="500m",
        kind="LimitRange",
        name="default-container-limits",
        path=("spec", "limits", 0, "default", "cpu"),
        invalid="much",
    ),
)
