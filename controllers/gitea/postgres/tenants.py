"""Whose database, and what went wrong with it: what may be known without a driver of Postgres."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """Whose database. ``name`` is that of the role and the database."""

    name: str
    classification: str
    profile: str
    uid: str

    @property
    def mark(self) -> str:
        """The comment on role and database."""
        return f"profiles-controller gitea {self.classification} {self.profile} {self.uid}"


class DatabaseError(Exception):
    """Postgres did not do as it was asked. ``reason`` is CamelCase; the text holds no secret."""

    def __init__(
        self, reason: str, message: str, *, everybody: bool = False, lasting: bool = False
    ) -> None:
        """``everybody``: another profile would fare no better. ``lasting``: a person must act."""
        super().__init__(message)
        self.reason = reason
        self.everybody = everybody
        self.lasting = lasting


class WrongPasswordError(DatabaseError):
    """A login with this password is refused, or there is no such role: the server says either."""
