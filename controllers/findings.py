"""What a controller has to say of a profile besides the objects that it wants. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Severity(Enum):
    """How much a finding matters."""

    PROBLEM = "a person must act: Warning event, and the condition is False until it is mended"
    NOTICE = "worth knowing: Warning event, and the condition stays as it is"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One remark.

    ``reason`` is a CamelCase event reason; ``message`` names the object, the value and what would
    be right, and holds no secret.
    """

    reason: str
    message: str
    severity: Severity = Severity.PROBLEM
