"""What a controller reports about a profile, besides the desired objects. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Severity(Enum):
    """How much a finding matters."""

    PROBLEM = "a person must act: Warning event, and the condition is False until it is fixed"
    NOTICE = "for information: Warning event, and the condition does not change"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One problem or notice.

    ``reason`` is a CamelCase event reason. ``message`` names the object, the value, why it is wrong
    and what to do; it contains no secret.
    """

    reason: str
    message: str
    severity: Severity = Severity.PROBLEM
