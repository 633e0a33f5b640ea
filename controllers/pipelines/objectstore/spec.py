"""The desired account of a namespace in the object store, and its key. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class OldObjects(Enum):
    """What happens to the objects that an earlier tenant of the same name left."""

    REFUSE = "refuse"
    """The new tenant gets no key until this is decided."""
    ACCEPT = "accept"
    """The new tenant gets them."""
    ARCHIVE = "archive"
    """They are moved below ``StoreConfig.records``, where no tenant can read them."""
    PURGE = "purge"
    """They are deleted in all versions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """A key of the object store. ``repr``, and so the log, does not show its secret half."""

    access_key: str
    secret_key: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSpec:
    """The desired account of a namespace.

    ``uid`` is the Profile's. It is empty for a namespace without a Profile (webhook mode), whose
    account is never garbage-collected. A change of ``generation``, which is any text, replaces the
    key: this is how an operator revokes one that leaked.
    """

    namespace: str
    uid: str = ""
    old_objects: OldObjects = OldObjects.REFUSE
    old_objects_by_default: bool = False
    """``old_objects`` is the setting for all tenants, not the Profile's annotation."""
    generation: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletedAccount:
    """An account that was deleted with its Profile."""

    namespace: str
    uid: str
