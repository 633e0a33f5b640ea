"""The types of settings that are texts of a certain spelling, and numbers within bounds. Pure."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from controllers import config_tables


def _matching(pattern: str, words: str) -> AfterValidator:
    """Takes a text that matches the whole pattern; ``words`` say what would be right."""
    right = re.compile(pattern)
    return config_tables.validator(
        lambda text: None if right.fullmatch(text) else f"expected {words}"
    )


_NAME = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_HOST = r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?"

Label = Annotated[str, _matching(_NAME, "a namespace's name: lower case, digits, '-'")]
Host = Annotated[str, _matching(_HOST, "a host's name without port, such as seaweedfs")]
Domain = Annotated[str, _matching(rf"\.?{_HOST}", "a domain such as .svc.cluster.local")]
Bucket = Annotated[
    str,
    _matching(
        r"[a-z0-9][-a-z0-9.]{1,61}[a-z0-9]", "a bucket's name: 3 to 63 of a-z, 0-9, '-', '.'"
    ),
]
Url = Annotated[
    str, _matching(r"https?://[^/\s@?#]+/?", "a URL without path, such as http://host:8333")
]
Image = Annotated[str, _matching(r"[^\s:@]+(:[0-9]+/[^\s:@]+)?", "an image without tag and digest")]
Tag = Annotated[
    str, _matching(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", "an image's tag, such as 2.17.0")
]
Account = Annotated[
    str,
    _matching(
        r"[a-z0-9][-a-z0-9]{0,62}/[a-z0-9][-a-z0-9.]{0,252}", "a ServiceAccount as namespace/name"
    ),
]
Port = Annotated[int, Field(ge=1, le=65535)]
Days = Annotated[int, Field(ge=-1, le=36500)]
