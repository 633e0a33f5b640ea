"""Properties of quantities. The oracle builds texts from values instead of parsing them."""

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
class Sample:
    """A text with its value."""

    text: str
    value: Fraction

    @property
    def is_within_bounds(self) -> bool:
        return abs(self.value) <= 2**63 - 1 and (self.value * 10**9).denominator == 1


@st.composite
def samples(draw: st.DrawFn) -> Sample:
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
    return Sample(f"{sign}{digits}{dot}{fraction}{suffix}", value)


@st.composite
def two_texts_of_one_value(draw: st.DrawFn) -> tuple[str, str]:
    """Two texts of one value, with different suffixes."""
    sample = draw(samples())
    factor = FACTORS[suffix := draw(st.sampled_from(sorted(FACTORS)))]
    number = sample.value / factor
    places = 0
    while number.denominator != 1:
        # The prime factors are 2 and 5, so a power of ten makes the number an integer.
        number, places = number * 10, places + 1
    digits = str(abs(number.numerator)).rjust(places + 1, "0")
    cut = len(digits) - places
    sign = "-" if number < 0 else ""
    return sample.text, f"{sign}{digits[:cut]}.{digits[cut:]}{suffix}"


@given(samples())
def test_parsing_returns_the_value_of_the_text(sample: Sample) -> None:
    if sample.is_within_bounds:
        assert quantities.parse(sample.text) == sample.value
        return
    with pytest.raises(quantities.QuantityError):
        quantities.parse(sample.text)


@given(samples())
def test_the_canonical_form_has_the_same_value_and_is_its_own_canonical_form(
    sample: Sample,
) -> None:
    if sample.is_within_bounds:
        canonical = quantities.canonicalize(sample.text)
        assert quantities.parse(canonical) == sample.value
        assert quantities.canonicalize(canonical) == canonical


@given(two_texts_of_one_value())
def test_two_texts_of_one_value_are_equal(pair: tuple[str, str]) -> None:
    assert quantities.comparable(pair[0]) == quantities.comparable(pair[1])


@given(samples(), samples())
def test_comparable_texts_are_equal_if_and_only_if_the_values_are(
    sample: Sample, other: Sample
) -> None:
    same = quantities.comparable(sample.text) == quantities.comparable(other.text)
    assert same == (sample.value == other.value)


@given(st.integers(-(2**70), 2**70))
def test_an_integer_equals_its_text(value: int) -> None:
    assert quantities.comparable(value) == quantities.comparable(str(value))


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_equals_its_text(value: float) -> None:
    assert quantities.comparable(value) == quantities.comparable(repr(value))


LOOSE = r"[+-]?[0-9.]+[eEinumkKMGTP]*[-+]?[0-9]*"


@given(st.one_of(st.text(), st.text("+-.0129eEikKmMnuGTP _", max_size=8)))
def test_any_text_is_parsed_or_named_in_the_error(text: str) -> None:
    try:
        quantities.parse(text)
    except quantities.QuantityError as error:
        assert repr(text) in str(error)  # noqa: PT017 - both outcomes are valid
    else:
        assert re.fullmatch(LOOSE, text, re.ASCII)
    assert isinstance(quantities.comparable(text), str)
