"""The amounts that people ask for by labels on a Profile: ``<prefix>/<name>: <quantity>``. Pure.

One wrong label costs that label and nothing else: it is refused with a finding, and every other
one is read as if it were not there.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from controllers import resource_names
from controllers.findings import Finding, Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """What the labels under one prefix say, each by its name after the prefix."""

    asked: Mapping[str, str]
    """Amounts that may be applied, as they are written."""
    refused: Mapping[str, str]
    """Why a label is refused: a clause that names its value and what would be right."""
    unknown: tuple[str, ...]
    """Names that override nothing, sorted."""


def read(labels: Mapping[str, str], *, prefix: str, names: Mapping[str, str]) -> Overrides:
    """The labels under the prefix; ``names`` has the resource that each name is an amount of."""
    asked: dict[str, str] = {}
    refused: dict[str, str] = {}
    unknown: list[str] = []
    start = f"{prefix}/"
    for label in sorted(label for label in labels if label.startswith(start)):
        name, text = label.removeprefix(start), labels[label]
        if name not in names:
            unknown.append(name)
        elif reason := resource_names.amount_refusal(names[name], text):
            refused[name] = reason
        else:
            asked[name] = text
    return Overrides(asked=asked, refused=refused, unknown=tuple(unknown))


def refusal(label: str, why: str, *, reason: str, stays: str) -> Finding:
    """The finding for a refused label; ``stays`` says what stays in force."""
    return Finding(reason=reason, message=f"label {label} is refused: {why}; {stays}")


def typing_error(label: str, name: str, *, reason: str, names: Collection[str]) -> Finding:
    """The finding for a label that overrides nothing; the names come nearest first."""
    nearest = difflib.get_close_matches(name, names, n=1)
    known = ", ".join(nearest + sorted(set(names) - set(nearest)))
    return Finding(
        reason=reason,
        message=f"label {label} overrides nothing: expected one of {known} after the slash",
        severity=Severity.NOTICE,
    )
