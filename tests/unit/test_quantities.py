"""Quantities, compared with apimachinery's resource.Quantity (0.36.3).

The tables are results of that implementation, unless a comment states otherwise. Both
implementations were compared on 450,000 texts: all texts of up to four characters that can occur in
a quantity, and random ones.
"""

from fractions import Fraction

import pytest

from controllers import quantities

# text, value, canonical form of the API server
VALID = [
    ("0", "0", "0"),
    ("00", "0", "0"),
    ("-0", "0", "0"),
    ("0e9", "0", "0"),
    ("+5", "5", "5"),
    ("007", "7", "7"),
    (".5", "1/2", "500m"),
    ("5.", "5", "5"),
    ("0.5", "1/2", "500m"),
    ("1.5", "3/2", "1500m"),
    (".5Ki", "512", "512"),
    ("0.1Ki", "102.4", "102400m"),
    ("0.001Ki", "1.024", "1024m"),
    ("1.5Gi", "1610612736", "1536Mi"),
    ("-1.5Gi", "-1610612736", "-1536Mi"),
    ("-500m", "-1/2", "-500m"),
    ("1000", "1000", "1k"),
    ("1000m", "1", "1"),
    ("1024", "1024", "1024"),
    ("1025", "1025", "1025"),
    ("2048", "2048", "2048"),
    ("1Ki", "1024", "1Ki"),
    ("1023Ki", "1047552", "1023Ki"),
    ("1024Ki", "1048576", "1Mi"),
    ("1024Mi", "1073741824", "1Gi"),
    ("512Mi", "536870912", "512Mi"),
    ("1.024k", "1024", "1024"),
    ("1E", "1000000000000000000", "1E"),
    ("1Ei", "1152921504606846976", "1Ei"),
    ("1e3", "1000", "1e3"),
    ("1E3", "1000", "1e3"),
    ("1e+3", "1000", "1e3"),
    ("1e0003", "1000", "1e3"),
    ("1e-3", "1/1000", "1e-3"),
    ("1.5e3", "1500", "1500"),
    ("15e-1", "3/2", "1500e-3"),
    ("1e0", "1", "1"),
    ("1e4", "10000", "10e3"),
    ("12e6", "12000000", "12e6"),
    ("1e18", "1000000000000000000", "1e18"),
    ("100n", "1/10000000", "100n"),
    ("1000u", "1/1000", "1m"),
    ("250m", "1/4", "250m"),
    ("256M", "256000000", "256M"),
    ("368G", "368000000000", "368G"),
    ("100T", "100000000000000", "100T"),
    ("9E", "9000000000000000000", "9E"),
    ("7Ei", "8070450532247928832", "7Ei"),
    ("1n", "1/1000000000", "1n"),
    ("0.0000000010", "1/1000000000", "1n"),
    ("9223372036854775807", "9223372036854775807", "9223372036854775807"),
    ("-9223372036854775807", "-9223372036854775807", "-9223372036854775807"),
    ("9223372036854775.807k", "9223372036854775807", "9223372036854775807"),
]

INVALID = [
    *("", " ", "1 ", " 1", "1\n", "1_0", "1,5", "1.2.3", "--1", "+-1", "- 1", "0x10", "½"),
    *("NaN", "nan", "Infinity", "inf", "-inf", "\u0663", "\uff11", "1\u0660"),
    *("1e", "1E+", "1K", "1KI", "1ki", "1GB", "1Zi", "1i", "1mm", "1k3", "1 Gi", "Gib", "1µ"),
    *("1e3Ki", "1eE3", "1ee3", "1e1.5", "e3e", "1e3m", "1e99999999999999999999"),
    # apimachinery parses these as zero, although its documentation requires a digit
    *("+", "-", ".", "k", "m", "E", "e3", ".Gi"),
]

# The API server caps these, rounds them up, or stores them although its documentation forbids it.
OUT_OF_BOUNDS = [
    *("9223372036854775808", "-9223372036854775808", "10E", "8Ei", "9223372036854775807Ki"),
    *("9300P", "1e19", "9.3e18", "1e4294967296", "1e999999999999999999"),
    *("0.1n", "0.5n", "1e-10", "0.0000000001", "1.0000000001", "-0.1n", "0.0000000001Ki"),
    *("1e-4294967296", "1.0000000001Ki"),
]


@pytest.mark.parametrize(("text", "value", "canonical"), VALID)
def test_the_value_of_a_quantity_is_that_of_the_api_server(
    text: str, value: str, canonical: str
) -> None:
    assert quantities.parse(text) == Fraction(value)
    assert quantities.parse(canonical) == Fraction(value)


@pytest.mark.parametrize(("text", "value", "canonical"), VALID)
def test_the_canonical_form_of_a_quantity_is_that_of_the_api_server(
    text: str, value: str, canonical: str
) -> None:
    del value
    assert quantities.canonicalize(text) == canonical
    assert quantities.canonicalize(canonical) == canonical


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("1n", "1m"),
        ("-1n", "-1m"),
        ("100u", "1m"),
        ("1e-4", "1e-3"),
        ("1.0001", "1001m"),
        ("1.9999", "2"),
        ("0.00001Ki", "11m"),
        ("1.00001Gi", "1073752561419m"),
        ("9223372036854775806.9999", "9223372036854775807"),
        ("250m", "250m"),
        ("1.5Gi", "1536Mi"),
        ("0", "0"),
    ],
)
def test_an_amount_is_rounded_up_to_thousandths_as_in_the_api_server(
    text: str, canonical: str
) -> None:
    assert quantities.canonicalize_amount(text) == canonical
    assert quantities.parse_amount(text) == quantities.parse(canonical)


@pytest.mark.parametrize("text", INVALID)
def test_the_error_of_an_invalid_text_names_the_text(text: str) -> None:
    with pytest.raises(quantities.QuantityError) as refusal:
        quantities.parse(text)
    assert repr(text) in str(refusal.value)
    assert "expected" in str(refusal.value)


@pytest.mark.parametrize("text", OUT_OF_BOUNDS)
def test_a_quantity_that_the_api_server_would_change_is_invalid(text: str) -> None:
    for function in (quantities.parse, quantities.canonicalize):
        with pytest.raises(quantities.QuantityError, match=r"(finer than 1n|2\^63-1)"):
            function(text)


def test_a_quantity_error_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="'1K' is not a quantity"):
        quantities.parse("1K")


@pytest.mark.parametrize("text", ["9" * 5000, "0." + "1" * 5000, "1e" + "9" * 5000])
def test_a_text_with_very_many_digits_is_invalid(text: str) -> None:
    with pytest.raises(quantities.QuantityError):
        quantities.parse(text)
    assert quantities.comparable(text) == text


@pytest.mark.parametrize(
    "same",
    [
        ("1", "1000m", "1e0", "1.0", "+1", 1, 1.0, "0.001k"),
        ("1Gi", "1024Mi", "1073741824", 1073741824),
        ("500m", "0.5", ".5", 0.5, "5e-1"),
        ("0", "0Ki", "-0", "0m", 0, 0.0, "0e5"),
        ("1k", "1e3", "1000", 1000, 1e3),
        ("1e-7", "100n", 1e-07),
        ("10E", "1e19", "10000P"),
        ("0.1n", "1e-10"),
        ("1e4294967296", "10e4294967295"),
    ],
)
def test_equal_values_have_the_same_comparable_text(same: tuple[object, ...]) -> None:
    assert len({quantities.comparable(value) for value in same}) == 1


def test_different_values_have_different_comparable_texts() -> None:
    values = ("0", "1n", "1m", "1", "1k", "1Ki", "1M", "1Mi", "-1", "1E", "1e19", "1e20")
    assert len({quantities.comparable(value) for value in values}) == len(values)


@pytest.mark.parametrize(
    "value", ["", "abc", "1K", None, True, False, {"a": 1}, [1], float("inf"), float("-inf")]
)
def test_a_value_that_is_not_a_quantity_is_compared_unchanged(value: object) -> None:
    expected = repr(value) if isinstance(value, float) else value
    assert quantities.comparable(value) == expected


@pytest.mark.parametrize(
    ("text", "whole"),
    [("1", True), ("1.5", False), ("1000m", True), ("1500m", False), (".5Ki", True), ("0", True)],
)
def test_a_value_is_an_integer_after_applying_its_suffix(text: str, whole: bool) -> None:  # noqa: FBT001
    assert quantities.is_integer(quantities.parse(text)) is whole
