"""Kubernetes' quantities: read exactly, bounded as the API server bounds them, compared by value.

The grammar is that of apimachinery's resource.Quantity, as its documentation states it::

    quantity = [ "+" | "-" ] ( digits [ "." [ digits ] ] | "." digits ) [ suffix | exponent ]
    suffix   = n u m k M G T P E | Ki Mi Gi Ti Pi Ei
    exponent = ( "e" | "E" ) [ "+" | "-" ] digits

so ``1E`` is exa and ``1E3`` a thousand. Its implementation also reads texts without any digit
("k", "+", ".") as zero; here they are refused, since nobody who writes ``pods: k`` means none.
Pure: texts in, numbers and texts out.
"""

from __future__ import annotations

import re
from enum import Enum
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

LARGEST = 2**63 - 1
"""No quantity may be larger in magnitude; the API server caps some that are and keeps others."""

FINEST_EXPONENT = -9
"""1n: the API server rounds up whatever is finer."""

_FINEST_AMOUNT = -3

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
# Far beyond what a value within the bounds can need: 28 digits, and 60 more to undo an Ei.
_MOST_DIGITS = 1000
# The exponents that strconv.ParseInt takes, less the last digit.
_MOST_EXPONENT_DIGITS = 18


class QuantityError(ValueError):
    """A text that is no quantity, or one out of bounds; the message says which and what is right.

    It begins with the value in quotes and makes a sentence after "label pods: " or the like.
    """


class _Form(Enum):
    DECIMAL = "a decimal suffix or none"
    BINARY = "a binary suffix"
    EXPONENT = "an exponent"


class _Scanned(NamedTuple):
    """``mantissa`` x 10^``exponent``; the mantissa has no trailing zero, and zero is 0 x 10^0."""

    mantissa: int
    exponent: int
    form: _Form


@lru_cache(maxsize=8192)
def parse(text: str) -> Fraction:
    """The exact value.

    Raises QuantityError when the text is no quantity, above 2^63-1 in magnitude after its suffix,
    or finer than 1n: the API server would store another value.
    """
    return _value(_bounded(text))


@lru_cache(maxsize=8192)
def spell(text: str) -> str:
    """The quantity as the API server spells it in canonical form: ``1000m`` gives ``1``.

    What is sent in this form comes back unchanged. Raises QuantityError as ``parse`` does.
    """
    return _spelled(_bounded(text))


@lru_cache(maxsize=8192)
def spell_amount(text: str) -> str:
    """As ``spell``, for an amount in a list of resources: in those the API server rounds up to 1m.

    ``spec.hard`` of a ResourceQuota and the fields of a LimitRange are such lists
    (SetDefaults_ResourceList of Kubernetes). Negative amounts are rounded away from zero.
    """
    scanned = _bounded(text)
    if scanned.exponent >= _FINEST_AMOUNT:
        return _spelled(scanned)
    parts = 10 ** (_FINEST_AMOUNT - scanned.exponent)
    rounded = -(-abs(scanned.mantissa) // parts)
    mantissa = rounded if scanned.mantissa > 0 else -rounded
    return _spelled(_Scanned(*_normalised(mantissa, _FINEST_AMOUNT), scanned.form))


def parse_amount(text: str) -> Fraction:
    """The value of an amount as the API server keeps it. Raises QuantityError as ``parse`` does."""
    return parse(spell_amount(text))


def canonical(value: object) -> object:
    """A text that two quantities share exactly when their values are equal, whatever the bounds.

    Takes what JSON may bring: a text, or a number as the API also accepts it. Anything that is no
    quantity is given back as it is: this compares what a server holds, and judges nothing.
    """
    if isinstance(value, str):
        return _canonical(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _canonical(repr(value)) if isinstance(value, float) else _plain(value, 0)
    return value


def is_whole(value: Fraction) -> bool:
    """Whether the value is an integer."""
    return value.denominator == 1


@lru_cache(maxsize=16384)
def _canonical(text: str) -> str:
    try:
        mantissa, exponent, _ = _scan(text)
    except QuantityError:
        return text
    return f"{mantissa}e{exponent}"


def _plain(mantissa: int, exponent: int) -> str:
    mantissa, exponent = _normalised(mantissa, exponent)
    return f"{mantissa}e{exponent}"


def _scan(text: str) -> _Scanned:
    """The parts of a quantity of any size. Raises QuantityError when it is none."""
    match = _GRAMMAR.fullmatch(text)
    if match is None:
        raise QuantityError(f"{text!r} is not a quantity: {EXPECTED}")
    sign, digits, fraction, bare, suffix, power = match.groups()
    fraction = bare or (fraction or "").rstrip("0")
    significant = ((digits or "") + fraction).lstrip("0")
    if len(significant) > _MOST_DIGITS or len((power or "").lstrip("+-0")) > _MOST_EXPONENT_DIGITS:
        raise QuantityError(f"{text!r} has too many digits: {EXPECTED}")
    mantissa = int(sign + (significant or "0"))
    exponent = int(power or _EXPONENTS.get(suffix or "", 0)) - len(fraction)
    form = _Form.EXPONENT if power else _Form.DECIMAL
    if suffix in _SHIFTS:
        mantissa, form = mantissa << _SHIFTS[suffix], _Form.BINARY
    return _Scanned(*_normalised(mantissa, exponent), form)


def _normalised(mantissa: int, exponent: int) -> tuple[int, int]:
    if not mantissa:
        return 0, 0
    digits = str(mantissa)
    bare = digits.rstrip("0")
    return int(bare), exponent + len(digits) - len(bare)


def _bounded(text: str) -> _Scanned:
    scanned = _scan(text)
    if scanned.exponent < FINEST_EXPONENT:
        raise QuantityError(f"{text!r} is finer than 1n: expected a multiple of 1n")
    # A mantissa of d digits is at least 10^(d-1): no power of ten is computed needlessly.
    order = len(str(abs(scanned.mantissa))) + scanned.exponent
    if order > len(str(LARGEST)) or abs(_value(scanned)) > LARGEST:
        raise QuantityError(
            f"{text!r} is out of bounds: expected at most {LARGEST} (2^63-1) after its suffix"
        )
    return scanned


def _value(scanned: _Scanned) -> Fraction:
    return Fraction(scanned.mantissa) * Fraction(10) ** scanned.exponent


def _spelled(scanned: _Scanned) -> str:
    mantissa, exponent, form = scanned
    if form is _Form.BINARY and exponent >= 0 and abs(mantissa) * 10**exponent >= _KIBI:
        return _spelled_binary(mantissa * 10**exponent)
    return _spelled_decimal(mantissa, exponent, form)


def _spelled_binary(number: int) -> str:
    power = 0
    while number % _KIBI == 0 and power < len(_BINARY) - 1:
        number //= _KIBI
        power += 1
    return f"{number}{_BINARY[power]}"


def _spelled_decimal(mantissa: int, exponent: int, form: _Form) -> str:
    thousands = exponent - exponent % 3
    number = mantissa * 10 ** (exponent - thousands)
    if form is _Form.EXPONENT and thousands:
        return f"{number}e{thousands}"
    return f"{number}{_DECIMAL[thousands]}"
