"""Requests to an OPA gateway. Blocking: one request is bounded in time and in bytes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import HTTPError

from controllers.runtime.external.errors import ExternalError, Scope

TIMEOUT = 10.0
"""Seconds until a response must be complete."""
MAX_BYTES = 16 * 1024 * 1024
"""The maximum size of a response; 10,000 buckets with 50 readers each are 8 MB."""
UNREACHABLE = "GatewayUnreachable"
INVALID_RESPONSE = "GatewayResponseInvalid"
_CHUNK_BYTES = 64 * 1024
_OK, _NOT_MODIFIED = 200, 304
_MAX_QUOTED = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A complete response; ``etag`` is empty if the gateway sends none."""

    body: bytes
    etag: str = ""


class GatewayClient(Protocol):
    """A client of one gateway; ``OpaClient`` implements it. Its methods run in a thread."""

    def get(self, etag: str = "") -> Response | None:
        """Return the response, or None if it still has this ETag. Raises ExternalError."""

    def close(self) -> None:
        """Close the connections."""


class OpaClient:
    """A client of one gateway. Proxy and CA bundle come from the environment.

    No error message contains credentials or the response.
    """

    def __init__(self, url: str, *, timeout: float = TIMEOUT, max_bytes: int = MAX_BYTES) -> None:
        """Open no connection. ``timeout`` is in seconds."""
        self._url = url
        self._timeout = timeout
        self._max_bytes = max_bytes
        self._session = requests.Session()
        self._session.headers["Accept"] = "application/json"

    def get(self, etag: str = "") -> Response | None:
        """Return the response, or None if it still has this ETag. Raises ExternalError."""
        deadline = time.monotonic() + self._timeout
        try:
            # The gateway must not choose another host to trust, so redirects are errors.
            with self._session.get(
                self._url,
                headers={"If-None-Match": etag} if etag else {},
                timeout=self._timeout,
                allow_redirects=False,
                stream=True,
            ) as response:
                if response.status_code == _NOT_MODIFIED and etag:
                    return None
                if response.status_code != _OK:
                    raise self._error(INVALID_RESPONSE, _describe_status(response))
                body = self._read(response, deadline)
                return Response(body=body, etag=response.headers.get("ETag", ""))
        except (requests.RequestException, HTTPError, OSError, ValueError) as error:
            raise self._error(UNREACHABLE, self._describe(error)) from None

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _read(self, response: requests.Response, deadline: float) -> bytes:
        body = bytearray()
        # read1 returns the bytes that have arrived. A full chunk of a server that sends one byte
        # per second would take a day.
        while chunk := response.raw.read1(_CHUNK_BYTES, decode_content=True):
            body += chunk
            if len(body) > self._max_bytes:
                message = f"the response has more than {self._max_bytes} bytes"
                raise self._error(INVALID_RESPONSE, message)
            if time.monotonic() > deadline:
                raise self._error(UNREACHABLE, self._timeout_message())
        return bytes(body)

    def _error(self, reason: str, message: str) -> ExternalError:
        # The rest of the URL can contain a password or a token.
        host = urlsplit(self._url).netloc.rpartition("@")[2]
        return ExternalError(reason, f"{host}: {message}", scope=Scope.SYSTEM)

    def _describe(self, error: Exception) -> str:
        if isinstance(error, requests.Timeout | TimeoutError):
            return self._timeout_message()
        root: BaseException = error
        while root.__context__ is not None:  # the cause, below the layers of the HTTP client
            root = root.__context__
        return (
            self._timeout_message() if isinstance(root, TimeoutError) else f"{root}"[:_MAX_QUOTED]
        )

    def _timeout_message(self) -> str:
        return f"no complete response within {self._timeout:g} s"


def _describe_status(response: requests.Response) -> str:
    status = f"{response.status_code} {response.reason or ''}".strip()
    if response.is_redirect:
        return f"{status}: redirects are not followed; set the endpoint to the final URL"
    return f"{status}; expected 200 OK"
