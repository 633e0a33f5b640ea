"""Quantities that users set by labels on a Profile: ``<prefix>/<name>: <quantity>``. Pure.

An invalid label has no effect: it is reported as a finding, and the others apply.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from controllers import resource_names
from controllers.findings import Finding, Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """The labels with one prefix, by the name after the prefix."""

    valid: Mapping[str, str]
    """Quantities that apply, as they are written."""
    invalid: Mapping[str, str]
    """Why a label is invalid: the value, the reason and what is expected."""
    unknown: tuple[str, ...]
    """Names that override nothing, sorted."""


def parse(labels: Mapping[str, str], *, prefix: str, names: Mapping[str, str]) -> Overrides:
    """Return the labels with the prefix. ``names`` maps each known name to its resource."""
    valid: dict[str, str] = {}
    invalid: dict[str, str] = {}
    unknown: list[str] = []
    start = f"{prefix}/"
    for label in sorted(label for label in labels if label.startswith(start)):
        name, text = label.removeprefix(start), labels[label]
        if name not in names:
            unknown.append(name)
        elif error := resource_names.amount_error(names[name], text):
            invalid[name] = error
        else:
            valid[name] = text
    return Overrides(valid=valid, invalid=invalid, unknown=tuple(unknown))


def invalid_label(label: str, error: str, *, reason: str, in_force: str) -> Finding:
    """Return the finding for an invalid label. ``error`` names the value and what is expected.

    ``in_force`` states what applies instead.
    """
    return Finding(reason=reason, message=f"label {label} is invalid: {error}; {in_force}")


def unknown_label(label: str, name: str, *, reason: str, names: Collection[str]) -> Finding:
    """Return the finding for a label that overrides nothing. It lists the closest name first."""
    closest = difflib.get_close_matches(name, names, n=1)
    known = ", ".join(closest + sorted(set(names) - set(closest)))
    return Finding(
        reason=reason,
        message=f"label {label} overrides nothing; expected one of {known} after the slash",
        severity=Severity.NOTICE,
    )
