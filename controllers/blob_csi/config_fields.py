"""What single settings may be: URLs, names of objects, capacities, mount options. Pure."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator

from controllers import quantities
from controllers.blob_csi import names


def read_capacity(value: object) -> str:
    """A capacity as Kubernetes spells it: a bare number means terabytes, so 10 is ``10T``.

    Raises ValueError.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no capacity: expected terabytes such as 10, or 100Gi")  # noqa: TRY004 - pydantic's way to refuse
    text = value.strip()
    if text.replace(".", "", 1).isdecimal() and text.isascii():
        text += "T"
    spelled = quantities.spell_amount(text)
    if quantities.parse(spelled) <= 0:
        raise ValueError(f"{value!r} holds nothing: expected terabytes such as 10, or 100Gi")
    return spelled


def check_url(text: str) -> str:
    """The same text. Raises ValueError where it is neither empty nor of HTTP."""
    parts = urlsplit(text)
    if text and (parts.scheme not in ("http", "https") or not parts.hostname):
        raise ValueError(f"{text!r} is no URL: expected http://HOST/PATH or https://HOST/PATH")
    return text


def _one_line(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise ValueError(f"{text!r} is no mount option: expected one such as -o allow_other")
    return text


def _namespace(text: str) -> str:
    if not names.is_namespace(text):
        raise ValueError(f"{text!r} is no namespace's name: expected lower-case letters, digits, -")
    return text


def _name(text: str) -> str:
    if text and not names.is_subdomain(text):
        raise ValueError(f"{text!r} is no object's name: expected lower-case letters, digits, -, .")
    return text


Capacity = Annotated[str, BeforeValidator(read_capacity)]
Classification = Literal["unclassified", "protected-b"]
Url = Annotated[str, AfterValidator(check_url)]
Name = Annotated[str, AfterValidator(_name)]
Namespace = Annotated[str, AfterValidator(_namespace)]
MountOption = Annotated[str, AfterValidator(_one_line)]
Spn = Literal["spn"]
