"""Failures of the requests for the Secret, with a real store: never a second key."""

import contextlib
import dataclasses
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from controllers.manifests import Key
from controllers.pipelines import names
from controllers.pipelines.config import PipelinesSettings
from controllers.pipelines.controller import CONTROLLER
from controllers.pipelines.objectstore.provider import ObjectStore, Provider
from controllers.pipelines.objectstore.spec import AccountSpec
from controllers.pipelines.objectstore.store import ManagedStore
from controllers.runtime.controller import ExternalFactory
from tests.support.fakes import FakeCluster, harness
from tests.support.fakes.request import Failure, Request
from tests.support.objectstore import namespaces
from tests.support.objectstore.accounts import StoreTenant
from tests.support.objectstore.seaweedfs import SeaweedFS

PROVIDERS = [Provider.SEAWEEDFS, Provider.AWS]


def enabled(name: str) -> FakeCluster:
    cluster = harness.tenants(name, uid=f"uid-{name}")
    labels = {names.ENABLED_LABEL: "true"}
    namespace = Key("Namespace", "", name)
    cluster.objects.edit(namespace, lambda body: body["metadata"].update(labels=labels))
    return cluster


def concerns_secret(request: Request) -> bool:
    """Return whether it reads or writes the Secret; not for lists and watches."""
    return request.target.kind.name == "Secret" and request.method != "WATCH" and writes(request)


def writes(request: Request) -> bool:
    return request.method != "GET" or bool(request.target.name)


class Nth:
    """Matches one request for the Secret, by its number."""

    def __init__(self, number: int) -> None:
        self.left = number

    def __call__(self, request: Request) -> bool:
        if not concerns_secret(request):
            return False
        self.left -= 1
        return self.left == -1

    @property
    def matched(self) -> bool:
        return self.left < 0


@contextlib.asynccontextmanager
async def running(cluster: FakeCluster, store: ManagedStore) -> AsyncIterator[harness.Harness]:
    """Run a process that does not close the store, which the next one uses."""

    class NotClosed:
        """The store without its ``close``, which the test calls."""

        def __getattr__(self, name: str) -> Any:
            return getattr(store, name)

        async def close(self) -> None:
            """Do nothing."""

    def connect(_settings: PipelinesSettings, *, dry_run: bool) -> ObjectStore:  # noqa: ARG001
        return cast("ObjectStore", NotClosed())

    controller = dataclasses.replace(CONTROLLER, external=ExternalFactory(connect=connect))
    made = (controller, PipelinesSettings())
    async with harness.running(made, cluster=cluster) as process:
        yield process


def key_in_secret(cluster: FakeCluster, name: str) -> str:
    secret = cluster.objects.read(Key("Secret", name, names.SECRET))
    return namespaces.key_of(secret).access_key


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda one: one.value)
@pytest.mark.parametrize("failure", Failure)
async def test_no_failure_of_the_cluster_leaves_a_second_key(
    seaweedfs: SeaweedFS, provider: Provider, failure: Failure
) -> None:
    tenant = StoreTenant.create(seaweedfs, "cluster", provider)
    for number in range(2):
        name = f"{tenant.name}-{number}"
        cluster = enabled(name)
        failures = [Nth(number) for _ in range(3)]
        cluster.fail_next(failure, failures[0])
        async with running(cluster, tenant.store) as process:
            first = key_in_secret(cluster, name)
            assert seaweedfs.keys(name) == [first]

            secret = Key("Secret", name, names.SECRET)
            cluster.fail_next(failure, failures[1])
            cluster.objects.edit(secret, lambda body: body["data"].update(accesskey="bm9uZQ=="))
            await process.settled()
            assert key_in_secret(cluster, name) == first

            cluster.fail_next(failure, failures[2])
            cluster.objects.delete(secret)
            await process.settled()
            assert key_in_secret(cluster, name) == first
            assert seaweedfs.keys(name) == [first]
        assert number or all(one.matched for one in failures)
    await tenant.store.close()


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda one: one.value)
async def test_a_process_that_could_not_write_the_secret_leaves_one_key(
    seaweedfs: SeaweedFS, provider: Provider
) -> None:
    tenant = StoreTenant.create(seaweedfs, "unwritten", provider)
    name = tenant.name
    spec = AccountSpec(namespace=name, uid=f"uid-{name}")
    for _ in range(3):
        await tenant.store.ensure_key(spec, None)
        assert len(seaweedfs.keys(name)) == 1
        tenant.restart()
    cluster = enabled(name)
    async with running(cluster, tenant.store):
        assert seaweedfs.keys(name) == [key_in_secret(cluster, name)]
    await tenant.store.close()
