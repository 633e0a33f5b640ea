"""What the scenes need to know of single kinds and controllers: the place to add to, as data.

A kind or controller without an entry is relabelled and deleted all the same.
"""

import dataclasses
from collections.abc import Mapping

from controllers.manifests import Key
from controllers.pipelines import names as pipelines
from tests.support.controlplane import Json

Path = tuple[str | int, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Edit:
    """A careless or hostile change to an object: a JSON merge patch, and what it does, in words."""

    words: str
    patch: Json


EDITS: Mapping[str, Edit] = {
    "ResourceQuota": Edit(words="at 9000 pods", patch={"spec": {"hard": {"pods": "9000"}}}),
    "LimitRange": Edit(
        words="at 64 cpu",
        patch={"spec": {"limits": [{"type": "Container", "default": {"cpu": "64"}}]}},
    ),
    "NetworkPolicy": Edit(
        words="opened to everyone", patch={"spec": {"ingress": [{}], "policyTypes": ["Ingress"]}}
    ),
    "Role": Edit(
        words="given every right",
        patch={"rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]},
    ),
    "RoleBinding": Edit(words="emptied", patch={"subjects": []}),
    "AuthorizationPolicy": Edit(
        words="opened to everyone", patch={"spec": {"action": "ALLOW", "rules": [{}]}}
    ),
    "PodDefault": Edit(
        words="for unprotected data",
        patch={"spec": {"labels": {"data.statcan.gc.ca/classification": "unclassified"}}},
    ),
    "ConfigMap": Edit(words="added to", patch={"data": {"edited": "by hand"}}),
}
"""By kind; for kinds whose content is the suite's, but for what is in USERS_OWN."""

USERS_OWN = frozenset(("ConfigMap", name) for name in pipelines.CONFIG_MAPS)
"""Kind and name of what users may edit: their edits are kept."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Override:
    """A label that a tenant may set, and where its value arrives.

    `refused` is a value that must be refused, by a condition that names it.
    """

    controller: str
    label: str
    value: str
    kind: str
    name: str
    path: Path
    refused: str

    def key(self, tenant: str) -> Key:
        """Of the object that takes the value."""
        return Key(self.kind, tenant, self.name)

    def read(self, body: Json | None) -> object:
        """What the object has there, or None."""
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
        refused="plenty",
    ),
    Override(
        controller="limitranges",
        label="limitranges.statcan.gc.ca/default.cpu",
        value="500m",
        kind="LimitRange",
        name="default-container-limits",
        path=("spec", "limits", 0, "default", "cpu"),
        refused="much",
    ),
)
