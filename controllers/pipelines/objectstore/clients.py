"""boto3's clients for the store, and what their errors mean. The only import of boto3."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
import botocore.session
from botocore import exceptions
from botocore.config import Config

from controllers.pipelines.objectstore.provider import Connection, RejectedError, UnavailableError

if TYPE_CHECKING:  # stubs, which only the gate has
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_s3 import S3Client

_TRANSIENT = frozenset(
    {
        "RequestTimeout",
        "RequestTimeTooSkewed",
        "ServiceUnavailable",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
_KEYS = frozenset({"InvalidAccessKeyId", "InvalidClientTokenId", "SignatureDoesNotMatch"})
_TOO_MANY_REQUESTS = 429
_NOT_IMPLEMENTED = 501
_SERVER_ERRORS = 500
_CHOSEN = ("AccessKeyId", "SecretAccessKey")


@dataclass(frozen=True, slots=True, kw_only=True)
class Clients:
    """Both clients; each may be used by any number of threads."""

    s3: S3Client
    iam: IAMClient
    verify: str | bool = True
    """Whom to trust over TLS: the file of certificates that AWS_CA_BUNDLE names, or the usual."""

    def close(self) -> None:
        """Gives their connections back."""
        self.s3.close()
        self.iam.close()


def connect(connection: Connection) -> Clients:
    """The clients; nothing is asked of the store yet."""
    credentials = connection.credentials
    core = botocore.session.get_session()
    verify: str | bool = core.get_config_variable("ca_bundle") or True
    session = boto3.Session(
        botocore_session=core,
        aws_access_key_id=credentials.access_key if credentials else None,
        aws_secret_access_key=credentials.secret_key if credentials else None,
        region_name=connection.region,
    )
    config = Config(
        connect_timeout=connection.timeout,
        read_timeout=connection.timeout,
        max_pool_connections=connection.workers,
        # Retries are ours: all namespaces share one backoff.
        retries={"total_max_attempts": 1},
        s3={"addressing_style": "path" if connection.s3_endpoint else "auto"},
        # Not every S3 knows the newer checksums.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    # SeaweedFS has keys shorter than Amazon's, which have to be removed too.
    lenient = config.merge(Config(parameter_validation=False))
    iam = session.client("iam", endpoint_url=connection.iam_endpoint, config=lenient, verify=verify)
    events: Any = iam.meta.events
    events.register("provide-client-params.iam.CreateAccessKey", _set_aside)
    events.register("before-call.iam.CreateAccessKey", _send_along)
    s3 = session.client("s3", endpoint_url=connection.s3_endpoint, config=config, verify=verify)
    return Clients(s3=s3, iam=iam, verify=verify)


def _set_aside(params: dict[str, Any], context: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Takes the values of a key out of the parameters, of which boto3 does not know them."""
    context["chosen"] = {name: params[name] for name in _CHOSEN if name in params}
    return {name: value for name, value in params.items() if name not in _CHOSEN}


def _send_along(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    """Puts them into the request's form."""
    params["body"].update(context.get("chosen", {}))


@contextmanager
def asking(what: str, endpoint: str) -> Iterator[None]:
    """Turns an error of boto3 into UnavailableError or RejectedError; ``what`` names the request.

    An error code that the caller expects is to be caught inside.
    """
    where = f"{what} at {endpoint}"
    try:
        yield
    except exceptions.ClientError as error:
        raise _meaning(error, where) from None
    except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError) as error:
        message = f"{where}: {error}; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        raise RejectedError(message) from None
    except exceptions.ParamValidationError as error:
        raise RejectedError(f"{where}: {error}") from None
    except exceptions.BotoCoreError as error:
        raise UnavailableError(f"{where}: {error}", after=0.0) from None


def code_of(error: exceptions.ClientError) -> str:
    """The store's code, such as NoSuchEntity."""
    return str(error.response.get("Error", {}).get("Code", ""))


def _meaning(error: exceptions.ClientError, where: str) -> Exception:
    code = code_of(error)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    said = error.response.get("Error", {}).get("Message", "") or "no message"
    message = f"{where}: {status} {code}: {said}"
    overloaded = status >= _SERVER_ERRORS and status != _NOT_IMPLEMENTED
    if overloaded or status == _TOO_MANY_REQUESTS or code in _TRANSIENT:
        return UnavailableError(message, after=0.0)
    if code in _KEYS or status == 403:  # noqa: PLR2004 - Forbidden
        message += (
            "; AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must be an administrator's of the store"
        )
    if code == "NoSuchBucket":
        message += "; make the bucket, or correct the setting `bucket`"
    return RejectedError(message)
