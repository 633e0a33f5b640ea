"""Asks an OPA gateway for its document. Blocking: one call is bounded in time and in bytes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import HTTPError

TIMEOUT = 10.0
"""Seconds for a whole answer."""
LONGEST = 16 * 1024 * 1024
"""Bytes of an answer; 10,000 buckets with 50 readers each are 8 MB."""
_CHUNK = 64 * 1024
_OK, _NOT_MODIFIED = 200, 304
_SHOWN = 200


class GatewayError(Exception):
    """Why there is no answer to read. The text holds neither credentials nor the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A whole answer; ``tag`` is its ETag, empty where the gateway gives none."""

    body: bytes
    tag: str = ""


class Gateway:
    """One gateway. Proxy and CA bundle are those of the environment, as for any HTTP client."""

    def __init__(self, url: str, *, timeout: float = TIMEOUT, longest: int = LONGEST) -> None:
        """Asks nothing yet. ``timeout`` is in seconds, ``longest`` in bytes."""
        self._url = url
        self._timeout = timeout
        self._longest = longest
        self._session = requests.Session()
        self._session.headers["Accept"] = "application/json"

    def ask(self, tag: str = "") -> Reply | None:
        """The answer; None where it is still the one of this tag. Raises GatewayError."""
        deadline = time.monotonic() + self._timeout
        try:
            # A redirect would let whoever answers choose whom to believe.
            with self._session.get(
                self._url,
                headers={"If-None-Match": tag} if tag else {},
                timeout=self._timeout,
                allow_redirects=False,
                stream=True,
            ) as response:
                if response.status_code == _NOT_MODIFIED and tag:
                    return None
                if response.status_code != _OK:
                    raise GatewayError(f"{self._host}: {_status(response)}")
                body = self._read(response, deadline)
                return Reply(body=body, tag=response.headers.get("ETag", ""))
        except (requests.RequestException, HTTPError, OSError, ValueError) as error:
            raise GatewayError(f"{self._host}: {self._said(error)}") from None

    def close(self) -> None:
        """Gives connections back."""
        self._session.close()

    @property
    def _host(self) -> str:
        """Whom it asks: the rest of a URL may hold a password or a token."""
        return urlsplit(self._url).netloc.rpartition("@")[2]

    def _read(self, response: requests.Response, deadline: float) -> bytes:
        body = bytearray()
        # What has come, not a full chunk: one who sends a byte a second would fill it in a day.
        while chunk := response.raw.read1(_CHUNK, decode_content=True):
            body += chunk
            if len(body) > self._longest:
                raise GatewayError(f"{self._host}: an answer of more than {self._longest} bytes")
            if time.monotonic() > deadline:
                raise GatewayError(f"{self._host}: {self._late()}")
        return bytes(body)

    def _said(self, error: Exception) -> str:
        if isinstance(error, requests.Timeout | TimeoutError):
            return self._late()
        root: BaseException = error
        while root.__context__ is not None:  # what really happened, below the layers of clients
            root = root.__context__
        return self._late() if isinstance(root, TimeoutError) else f"{root}"[:_SHOWN]

    def _late(self) -> str:
        return f"no whole answer within {self._timeout:g} s"


def _status(response: requests.Response) -> str:
    status = f"{response.status_code} {response.reason or ''}".strip()
    if response.is_redirect:
        return f"{status}, and another address: expected the answer itself"
    return f"{status}: expected 200 OK"
