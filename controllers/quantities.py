"""Kubernetes quantities: exact values, the bounds of the API server, and comparison by value.

The grammar is that of apimachinery's resource.Quantity, as its documentation states it::

    quantity = [ "+" | "-" ] ( digits [ "." [ digits ] ] | "." digits ) [ suffix | exponent ]
    suffix   = n u m k M G T P E | Ki Mi Gi Ti Pi Ei
    exponent = ( "e" | "E" ) [ "+" | "-" ] digits

so ``1E`` is exa and ``1E3`` is a thousand. Its implementation also parses texts without a digit
("k", "+", ".") as zero. Here they are errors, because ``pods: k`` does not mean zero. Pure.
"""

from __future__ import annotations

import re
from enum import Enum
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

MAX_VALUE = 2**63 - 1
"""The largest magnitude. The API server caps some larger quantities and stores others."""

MIN_EXPONENT = -9
"""1n. The API server rounds up smaller fractions."""

_MIN_AMOUNT_EXPONENT = -3

EXPECTED = (
    "expected a number with an optional suffix (n u m k M G T P E, Ki Mi Gi Ti Pi Ei) or exponent,"
    " such as 2, 500m, 1.5Gi or 1e3"
)

_DECIMAL = {-9: "n", -6: "u", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T", 15: "P", 18: "E"}
_BINARY = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_EXPONENTS = {suffix: exponent for exponent, suffix in _DECIMAL.items()}
_SHIFTS = {suffix: 10 * power for power, suffix in enumerate(_BINARY) if suffix}
_KIBI = 1024

_GRAMMAR = re.compile(
    r"(?P<sign>[+-]?)(?:(?P<digits>[0-9]+)(?:\.(?P<fraction>[0-9]*))?|\.(?P<bare>[0-9]+))"
    r"(?:(?P<suffix>[numkMGTPE]|[KMGTPE]i)|[eE](?P<exponent>[+-]?[0-9]+))?"
)
# A value within the bounds needs 28 digits, and 60 more with the suffix Ei.
_MAX_DIGITS = 1000
# One digit less than the largest exponent of strconv.ParseInt.
_MAX_EXPONENT_DIGITS = 18


class QuantityError(ValueError):
    """A text is not a quantity, or it is out of bounds.

    The message begins with the value in quotes and states what is expected.
    """


class _Notation(Enum):
    DECIMAL = "a decimal suffix or none"
    BINARY = "a binary suffix"
    EXPONENT = "an exponent"


class _Parsed(NamedTuple):
    """``mantissa`` x 10^``exponent``; the mantissa has no trailing zero, and zero is 0 x 10^0."""

    mantissa: int
    exponent: int
    notation: _Notation


@lru_cache(maxsize=8192)
def parse(text: str) -> Fraction:
    """Return the exact value.

    Raises QuantityError if the text is not a quantity, or if the API server would store another
    value: above 2^63-1 in magnitude after the suffix, or not a multiple of 1n.
    """
    return _value(_parse_bounded(text))


@lru_cache(maxsize=8192)
def canonicalize(text: str) -> str:
    """Return the canonical form of the API server: ``1`` for ``1000m``.

    The API server returns this form unchanged. Raises QuantityError as ``parse`` does.
    """
    return _format(_parse_bounded(text))


@lru_cache(maxsize=8192)
def canonicalize_amount(text: str) -> str:
    """Return the canonical form in a ResourceList, where the API server rounds up to 1m.

    ``spec.hard`` of a ResourceQuota and the fields of a LimitRange are ResourceLists
    (SetDefaults_ResourceList of Kubernetes). Negative amounts are rounded away from zero.
    """
    parsed = _parse_bounded(text)
    if parsed.exponent >= _MIN_AMOUNT_EXPONENT:
        return _format(parsed)
    parts = 10 ** (_MIN_AMOUNT_EXPONENT - parsed.exponent)
    rounded = -(-abs(parsed.mantissa) // parts)
    mantissa = rounded if parsed.mantissa > 0 else -rounded
    return _format(_Parsed(*_normalize(mantissa, _MIN_AMOUNT_EXPONENT), parsed.notation))


def parse_amount(text: str) -> Fraction:
    """Return the value of an amount as the API server stores it. Raises QuantityError."""
    return parse(canonicalize_amount(text))


def comparable(value: object) -> object:
    """Return a text that is equal for quantities of equal value, of any size.

    ``value`` is a text, or a number as JSON may contain it. Anything else is returned unchanged:
    this function compares stored values and does not validate them.
    """
    if isinstance(value, str):
        return _comparable(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _comparable(repr(value)) if isinstance(value, float) else _exponential(value, 0)
    return value


def is_integer(value: Fraction) -> bool:
    """Return whether the value is an integer."""
    return value.denominator == 1


@lru_cache(maxsize=16384)
def _comparable(text: str) -> str:
    try:
        mantissa, exponent, _ = _parse(text)
    except QuantityError:
        return text
    return f"{mantissa}e{exponent}"


def _exponential(mantissa: int, exponent: int) -> str:
    mantissa, exponent = _normalize(mantissa, exponent)
    return f"{mantissa}e{exponent}"


def _parse(text: str) -> _Parsed:
    """Return the parts of a quantity of any size. Raises QuantityError."""
    match = _GRAMMAR.fullmatch(text)
    if match is None:
        raise QuantityError(f"{text!r} is not a quantity; {EXPECTED}")
    sign, digits, fraction, stripped, suffix, power = match.groups()
    fraction = stripped or (fraction or "").rstrip("0")
    significant = ((digits or "") + fraction).lstrip("0")
    if len(significant) > _MAX_DIGITS or len((power or "").lstrip("+-0")) > _MAX_EXPONENT_DIGITS:
        raise QuantityError(f"{text!r} has too many digits; {EXPECTED}")
    mantissa = int(sign + (significant or "0"))
    exponent = int(power or _EXPONENTS.get(suffix or "", 0)) - len(fraction)
    notation = _Notation.EXPONENT if power else _Notation.DECIMAL
    if suffix in _SHIFTS:
        mantissa, notation = mantissa << _SHIFTS[suffix], _Notation.BINARY
    return _Parsed(*_normalize(mantissa, exponent), notation)


def _normalize(mantissa: int, exponent: int) -> tuple[int, int]:
    if not mantissa:
        return 0, 0
    digits = str(mantissa)
    stripped = digits.rstrip("0")
    return int(stripped), exponent + len(digits) - len(stripped)


def _parse_bounded(text: str) -> _Parsed:
    parsed = _parse(text)
    if parsed.exponent < MIN_EXPONENT:
        raise QuantityError(f"{text!r} is finer than 1n; expected a multiple of 1n")
    # A mantissa of d digits is at least 10^(d-1), so this avoids computing a large power of ten.
    order = len(str(abs(parsed.mantissa))) + parsed.exponent
    if order > len(str(MAX_VALUE)) or abs(_value(parsed)) > MAX_VALUE:
        raise QuantityError(
            f"{text!r} is out of bounds; expected at most {MAX_VALUE} (2^63-1) after its suffix"
        )
    return parsed


def _value(parsed: _Parsed) -> Fraction:
    return Fraction(parsed.mantissa) * Fraction(10) ** parsed.exponent


def _format(parsed: _Parsed) -> str:
    mantissa, exponent, notation = parsed
    if notation is _Notation.BINARY and exponent >= 0 and abs(mantissa) * 10**exponent >= _KIBI:
        return _format_binary(mantissa * 10**exponent)
    return _format_decimal(mantissa, exponent, notation)


def _format_binary(number: int) -> str:
    power = 0
    while number % _KIBI == 0 and power < len(_BINARY) - 1:
        number //= _KIBI
        power += 1
    return f"{number}{_BINARY[power]}"


def _format_decimal(mantissa: int, exponent: int, notation: _Notation) -> str:
    thousands = exponent - exponent % 3
    number = mantissa * 10 ** (exponent - thousands)
    if notation is _Notation.EXPONENT and thousands:
        return f"{number}e{thousands}"
    return f"{number}{_DECIMAL[thousands]}"
