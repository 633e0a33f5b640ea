"""boto3's clients of the store, and the meaning of their errors. Only this module imports boto3."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
import botocore.session
from botocore import exceptions
from botocore.config import Config

from controllers.pipelines.objectstore.provider import StoreConfig, rejected, unavailable
from controllers.runtime.external.errors import ExternalError, Scope

if TYPE_CHECKING:  # stubs, which only the type checker needs
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_s3 import S3Client

_TRANSIENT_CODES = frozenset(
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
_CREDENTIAL_CODES = frozenset(
    {"InvalidAccessKeyId", "InvalidClientTokenId", "SignatureDoesNotMatch"}
)
NO_SUCH_BUCKET = "NoSuchBucket"
NO_SUCH_BUCKET_HELP = "; create the bucket, or correct the setting `bucket`"
_FORBIDDEN = 403
_TOO_MANY_REQUESTS = 429
_NOT_IMPLEMENTED = 501
_SERVER_ERRORS = 500
_KEY_VALUES = ("AccessKeyId", "SecretAccessKey")


@dataclass(frozen=True, slots=True, kw_only=True)
class Clients:
    """The S3 and the IAM client. Both may be used from any number of threads."""

    s3: S3Client
    iam: IAMClient
    verify: str | bool = True
    """The file of CA certificates that AWS_CA_BUNDLE names, or True for the default ones."""

    def close(self) -> None:
        """Close their connections."""
        self.s3.close()
        self.iam.close()


def connect(config: StoreConfig) -> Clients:
    """Return the clients. Sends no request."""
    credentials = config.credentials
    core = botocore.session.get_session()
    verify: str | bool = core.get_config_variable("ca_bundle") or True
    session = boto3.Session(
        botocore_session=core,
        aws_access_key_id=credentials.access_key if credentials else None,
        aws_secret_access_key=credentials.secret_key if credentials else None,
        region_name=config.region,
    )
    s3_config = Config(
        connect_timeout=config.timeout,
        read_timeout=config.timeout,
        max_pool_connections=config.workers,
        # ExternalSystem retries: all namespaces share its circuit breaker.
        retries={"total_max_attempts": 1},
        s3={"addressing_style": "path" if config.s3_endpoint else "auto"},
        # Not every S3 server supports the newer checksums.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    # SeaweedFS has access keys shorter than Amazon's, which must be deletable.
    iam_config = s3_config.merge(Config(parameter_validation=False))
    iam = session.client("iam", endpoint_url=config.iam_endpoint, config=iam_config, verify=verify)
    events: Any = iam.meta.events
    events.register("provide-client-params.iam.CreateAccessKey", _remove_key_values)
    events.register("before-call.iam.CreateAccessKey", _add_key_values)
    s3 = session.client("s3", endpoint_url=config.s3_endpoint, config=s3_config, verify=verify)
    return Clients(s3=s3, iam=iam, verify=verify)


def _remove_key_values(params: dict[str, Any], context: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Move a key's values from the parameters to the context: boto3's model lacks them."""
    context["key_values"] = {name: params[name] for name in _KEY_VALUES if name in params}
    return {name: value for name, value in params.items() if name not in _KEY_VALUES}


def _add_key_values(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    """Add the key's values to the form of the request."""
    params["body"].update(context.get("key_values", {}))


@contextmanager
def request(operation: str, endpoint: str) -> Iterator[None]:
    """Convert boto3's errors into ExternalError; ``operation`` describes the request.

    Error codes that the caller expects must be caught inside.
    """
    where = f"{operation} at {endpoint}"
    try:
        yield
    except exceptions.ClientError as error:
        raise _external_error(error, where) from None
    except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError) as error:
        message = f"{where}: {error}; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        raise rejected(message, scope=Scope.SYSTEM) from None
    except exceptions.ParamValidationError as error:
        raise rejected(f"{where}: {error}") from None
    except exceptions.BotoCoreError as error:
        raise unavailable(f"{where}: {error}") from None


def code_of(error: exceptions.ClientError) -> str:
    """Return the store's error code, such as NoSuchEntity."""
    return str(error.response.get("Error", {}).get("Code", ""))


def _external_error(error: exceptions.ClientError, where: str) -> ExternalError:
    code = code_of(error)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    text = error.response.get("Error", {}).get("Message", "") or "no message"
    message = f"{where}: {status} {code}: {text}"
    overloaded = status >= _SERVER_ERRORS and status != _NOT_IMPLEMENTED
    if overloaded or status == _TOO_MANY_REQUESTS or code in _TRANSIENT_CODES:
        return unavailable(message)
    if code in _CREDENTIAL_CODES or status == _FORBIDDEN:
        message += (
            "; AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must be an administrator's of the store"
        )
    if code == NO_SUCH_BUCKET:
        message += NO_SUCH_BUCKET_HELP
    every_tenant = code in _CREDENTIAL_CODES or code == NO_SUCH_BUCKET
    return rejected(message, scope=Scope.SYSTEM if every_tenant else Scope.TENANT)
