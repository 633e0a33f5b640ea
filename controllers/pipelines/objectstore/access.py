"""Asks the S3 API what a tenant's key may do, by using it. Blocking."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from botocore import exceptions
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as SigningCredentials
from botocore.httpsession import URLLib3Session
from botocore.utils import get_environ_proxies

from controllers.pipelines.objectstore.account import Verdict
from controllers.pipelines.objectstore.provider import (
    Connection,
    Credentials,
    RejectedError,
    UnavailableError,
)

_CODE = re.compile(rb"<Code>(\w+)</Code>")
_FOUND = 200
_MISSING = "NoSuchKey"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Status and S3's error code, empty when there is none."""

    status: int
    code: str

    @property
    def allowed(self) -> bool:
        """Whether the object could be read, or could have been if it existed."""
        return self.status == _FOUND or self.code == _MISSING


class Prober:
    """Reads single objects with keys of tenants.

    A client of boto3's for each key would cost megabytes and milliseconds.
    """

    def __init__(self, connection: Connection, *, endpoint: str, verify: str | bool) -> None:
        """Asks nothing yet. Proxies are those of boto3's clients, ``verify`` as theirs."""
        self._base = f"{endpoint.rstrip('/')}/{connection.bucket}"
        self._region = connection.region
        self._session = URLLib3Session(
            verify=verify,  # type: ignore[arg-type]  # it takes a file's path too
            proxies=get_environ_proxies(self._base),
            timeout=math.ceil(connection.timeout),
            max_pool_connections=connection.workers,
        )

    def verdict(self, credentials: Credentials, record: str) -> Verdict:
        """What the key may do; ``record`` is the object that it must not be able to read.

        Raises UnavailableError where there is no answer that says so.
        """
        answer = self._read(credentials, record)
        match answer:
            case Answer(code="InvalidAccessKeyId"):
                return Verdict.UNKNOWN
            case Answer(code="SignatureDoesNotMatch"):
                return Verdict.WRONG
            case Answer(allowed=True):
                return Verdict.WIDE
            case _:
                return Verdict.WORKS

    def _read(self, credentials: Credentials, key: str) -> Answer:
        request = AWSRequest(method="GET", url=f"{self._base}/{key}")
        signing = SigningCredentials(credentials.access_key, credentials.secret_key)
        S3SigV4Auth(signing, "s3", self._region).add_auth(request)
        try:
            response = self._session.send(request.prepare())
        except exceptions.BotoCoreError as error:
            message = f"GetObject {key} with a tenant's key: {error}"
            raise UnavailableError(message, after=0.0) from None
        found = _CODE.search(response.content)
        answer = Answer(status=response.status_code, code=found[1].decode() if found else "")
        if answer.status in {_FOUND, 403, 404} and answer.code != "NoSuchBucket":
            return answer
        message = f"GetObject {self._base}/{key} with a tenant's key: {answer.status} {answer.code}"
        if answer.code == "NoSuchBucket":
            raise RejectedError(f"{message}; make the bucket, or correct the setting `bucket`")
        raise UnavailableError(message, after=0.0)

    def close(self) -> None:
        """Gives connections back."""
        self._session.close()
