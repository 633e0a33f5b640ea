"""The errors of the object store, and its status for probes and metrics."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from botocore import exceptions

from controllers.pipelines.objectstore import clients, provider
from controllers.pipelines.objectstore.provider import Provider, StoreConfig
from controllers.pipelines.objectstore.store import ManagedStore, StoreApi
from controllers.runtime.errors import Terminal, Waiting
from controllers.runtime.external.errors import ExternalError, Scope

TENANT, SYSTEM = Scope.TENANT, Scope.SYSTEM


def client_error(code: str, status: int = 400) -> exceptions.ClientError:
    response: Any = {
        "Error": {"Code": code, "Message": "no"},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return exceptions.ClientError(response, "GetObject")


ERRORS: dict[str, tuple[Exception, str, Scope]] = {
    "overloaded": (client_error("SlowDown", 503), provider.UNAVAILABLE, SYSTEM),
    "too many requests": (client_error("TooMany", 429), provider.UNAVAILABLE, SYSTEM),
    "throttled": (client_error("Throttling"), provider.UNAVAILABLE, SYSTEM),
    "unreachable": (
        exceptions.EndpointConnectionError(endpoint_url="http://store"),
        provider.UNAVAILABLE,
        SYSTEM,
    ),
    "not implemented": (client_error("NotImplemented", 501), provider.REJECTED, TENANT),
    "wrong administrator": (client_error("InvalidAccessKeyId", 403), provider.REJECTED, SYSTEM),
    "wrong secret": (client_error("SignatureDoesNotMatch", 403), provider.REJECTED, SYSTEM),
    "no credentials": (exceptions.NoCredentialsError(), provider.REJECTED, SYSTEM),
    "no bucket": (client_error("NoSuchBucket", 404), provider.REJECTED, SYSTEM),
    "forbidden": (client_error("AccessDenied", 403), provider.REJECTED, TENANT),
    "invalid": (client_error("MalformedPolicyDocument"), provider.REJECTED, TENANT),
}


@pytest.mark.parametrize("case", ERRORS)
def test_an_error_of_the_store_has_a_reason_a_scope_and_names_the_request(case: str) -> None:
    cause, reason, scope = ERRORS[case]

    with pytest.raises(ExternalError) as caught, clients.request("GetObject a", "http://store"):
        raise cause

    error = caught.value
    assert (error.reason, error.scope) == (reason, scope)
    assert error.action_required is (reason == provider.REJECTED)
    assert error.message.startswith("GetObject a at http://store: ")


class FakeBucket:
    """A bucket whose policy is in sync, unless ``error`` is set."""

    def __init__(self) -> None:
        self.error: ExternalError | None = None

    def policy(self) -> None:
        if self.error:
            raise self.error

    def put_policy(self, _policy: object) -> None:
        """Accept every policy."""

    def lifecycle(self) -> list[object]:
        return []


def managed_store(bucket: FakeBucket) -> ManagedStore:
    api = SimpleNamespace(bucket=bucket, close=lambda: None)
    return ManagedStore(cast("StoreApi", api), StoreConfig(), Provider.SEAWEEDFS)


async def test_a_bucket_that_cannot_be_reconciled_is_reported_until_it_can() -> None:
    bucket = FakeBucket()
    store = managed_store(bucket)
    bucket.error = provider.rejected("PutBucketPolicy: no such policy")

    with pytest.raises(ExternalError) as caught:
        await store.reconcile_bucket()

    assert isinstance(caught.value.outcome(), Terminal)
    (status,) = store.components()
    assert status.name == "object-store"
    assert "no such policy" in status.error
    bucket.error = None
    await store.reconcile_bucket()
    (status,) = store.components()
    assert (status.error, status.last_success is not None) == ("", True)
    await store.close()


async def test_a_missing_bucket_fails_for_every_tenant_and_is_retried_with_a_warning() -> None:
    bucket = FakeBucket()
    store = managed_store(bucket)
    bucket.error = provider.rejected("no such bucket", scope=Scope.SYSTEM)

    with pytest.raises(ExternalError) as caught:
        await store.reconcile_bucket()

    outcome = caught.value.outcome()
    assert isinstance(outcome, Waiting)
    assert outcome.warn
    assert "no such bucket" in store.components()[0].error
    await store.close()
