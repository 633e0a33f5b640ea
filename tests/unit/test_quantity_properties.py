"""Quantities, by properties: an oracle that builds texts from values instead of reading them."""

import re
from dataclasses import dataclass
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers import quantities

FACTORS = {
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 1000),
    "": Fraction(1),
    **{suffix: Fraction(1000**power) for power, suffix in enumerate("kMGTPE", start=1)},
    **{f"{suffix}i": Fraction(1024**power) for power, suffix in enumerate("KMGTPE", start=1)},
}


@dataclass(frozen=True)
class Written:
    """A quantity of which both sides are known."""

    text: str
    value: Fraction

    @property
    def fits(self) -> bool:
        return abs(self.value) <= 2**63 - 1 and (self.value * 10**9).denominator == 1


@st.composite
def written(draw: st.DrawFn) -> Written:
    sign = draw(st.sampled_from(["", "+", "-"]))
    digits = draw(st.text("0123456789", max_size=20))
    fraction = draw(st.text("0123456789", max_size=12))
    dot = "." if fraction else draw(st.sampled_from(["", "."]))
    if not digits and not fraction:
        digits = "0"
    if draw(st.booleans()):
        suffix = draw(st.sampled_from(sorted(FACTORS)))
        factor = FACTORS[suffix]
    else:
        exponent = draw(st.integers(-25, 25))
        plus = draw(st.sampled_from(["", "+"])) if exponent >= 0 else ""
        suffix = f"{draw(st.sampled_from('eE'))}{plus}{exponent}"
        factor = Fraction(10) ** exponent
    number = Fraction(int(f"{digits}{fraction}"), 10 ** len(fraction))
    value = (-number if sign == "-" else number) * factor
    return Written(f"{sign}{digits}{dot}{fraction}{suffix}", value)


@st.composite
def respelled(draw: st.DrawFn) -> tuple[str, str]:
    """Two spellings of one value: another suffix, the number moved exactly."""
    one = draw(written())
    factor = FACTORS[suffix := draw(st.sampled_from(sorted(FACTORS)))]
    number = one.value / factor
    places = 0
    while number.denominator != 1:
        # Every factor is made of twos and fives: some power of ten clears it.
        number, places = number * 10, places + 1
    digits = str(abs(number.numerator)).rjust(places + 1, "0")
    cut = len(digits) - places
    sign = "-" if number < 0 else ""
    return one.text, f"{sign}{digits[:cut]}.{digits[cut:]}{suffix}"


@given(written())
def test_reading_gives_the_value_that_was_written(one: Written) -> None:
    if one.fits:
        assert quantities.parse(one.text) == one.value
        return
    with pytest.raises(quantities.QuantityError):
        quantities.parse(one.text)


@given(written())
def test_a_spelling_keeps_the_value_and_is_its_own_spelling(one: Written) -> None:
    if one.fits:
        spelled = quantities.spell(one.text)
        assert quantities.parse(spelled) == one.value
        assert quantities.spell(spelled) == spelled


@given(respelled())
def test_two_spellings_of_one_value_are_equal(pair: tuple[str, str]) -> None:
    assert quantities.canonical(pair[0]) == quantities.canonical(pair[1])


@given(written(), written())
def test_canonical_texts_are_equal_exactly_when_values_are(one: Written, other: Written) -> None:
    same = quantities.canonical(one.text) == quantities.canonical(other.text)
    assert same == (one.value == other.value)


@given(st.integers(-(2**70), 2**70))
def test_an_integer_equals_its_text(value: int) -> None:
    assert quantities.canonical(value) == quantities.canonical(str(value))


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_equals_its_text(value: float) -> None:
    assert quantities.canonical(value) == quantities.canonical(repr(value))


LOOSE = r"[+-]?[0-9.]+[eEinumkKMGTP]*[-+]?[0-9]*"


@given(st.one_of(st.text(), st.text("+-.0129eEikKmMnuGTP _", max_size=8)))
def test_any_text_is_read_or_refused_by_name(text: str) -> None:
    try:
        quantities.parse(text)
    except quantities.QuantityError as refusal:
        assert repr(text) in str(refusal)  # noqa: PT017 - either outcome is right
    else:
        assert re.fullmatch(LOOSE, text, re.ASCII)
    assert isinstance(quantities.canonical(text), str)
