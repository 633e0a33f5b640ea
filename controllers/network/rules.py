"""The groups of policies that a profile gets, by its labels. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

from controllers.network import names
from controllers.profiles import Profile, parse_bool


class Group(Enum):
    """A group of policies. The value is the name of its file in the folder ``policies``."""

    PROFILES = "profiles"
    PLATFORM = "platform"
    GITEA = "gitea"
    CLOUD_MAIN = "cloud-main"
    S3 = "s3"


class Entitlement(NamedTuple):
    """A boolean label, and the group of policies that a profile gets when it has this value."""

    group: Group
    label: str
    value: bool

    def applies_to(self, profile: Profile) -> bool:
        """Whether the label has the value; an invalid boolean counts as absent."""
        text = profile.labels.get(self.label)
        return text is not None and parse_bool(text) is self.value


COMMON_GROUPS = frozenset({Group.PROFILES, Group.PLATFORM})
ENTITLEMENTS = (
    Entitlement(Group.GITEA, names.GITEA_LABEL, value=True),
    Entitlement(Group.CLOUD_MAIN, names.CLOUD_MAIN_LABEL, value=False),
    Entitlement(Group.S3, names.S3_LABEL, value=True),
)


def groups_of(profile: Profile) -> frozenset[Group]:
    """Return the groups of the profile."""
    enabled = (one.group for one in ENTITLEMENTS if one.applies_to(profile))
    return COMMON_GROUPS.union(enabled)


def invalid_labels(profile: Profile) -> Iterator[tuple[str, str]]:
    """Yield each label whose value is not a boolean, with the value."""
    for one in ENTITLEMENTS:
        text = profile.labels.get(one.label)
        if text is not None and parse_bool(text) is None:
            yield one.label, text
