"""The example of docs/adding-a-controller.md: a watch, and an object shared with Kubeflow."""

import base64
import contextlib
from collections.abc import AsyncIterator

import pytest

from controllers.manifests import Key
from controllers.runtime import rbac
from tests.support import builders
from tests.support.builders import kubeflow_objects
from tests.support.example.pull_secrets import names
from tests.support.example.pull_secrets.config import PullSecretsSettings
from tests.support.example.pull_secrets.controller import CONTROLLER
from tests.support.fakes import FakeCluster, harness

pytestmark = pytest.mark.virtual_time

SOURCE = Key("Secret", "platform", "registry-credentials")
COPY = Key("Secret", "alice", names.SECRET)
EDITOR = Key("ServiceAccount", "alice", names.SERVICE_ACCOUNT)
CREDENTIALS = base64.b64encode(b"{}").decode()
REFERENCE = {"name": names.SECRET}


def cluster(**labels: str) -> FakeCluster:
    """A cluster with Alice, what Kubeflow creates for her, and the source Secret."""
    found = FakeCluster()
    harness.put_tenant(found, "alice", uid="uid-alice", labels=labels)
    for body in kubeflow_objects.bodies():
        found.objects.put(body)
    found.objects.put(
        builders.object_body(
            SOURCE.kind,
            SOURCE.name,
            SOURCE.namespace,
            labels={},
            owners=[],
            data={".dockerconfigjson": CREDENTIALS},
        )
    )
    return found


@contextlib.asynccontextmanager
async def running(found: FakeCluster) -> AsyncIterator[harness.Harness]:
    async with harness.running((CONTROLLER, PullSecretsSettings()), cluster=found) as process:
        yield process


async def test_the_secret_is_copied_and_referred_to() -> None:
    found = cluster()
    async with running(found) as process:
        assert {".dockerconfigjson": CREDENTIALS} == found.objects.read(COPY)["data"]
        assert [REFERENCE] == found.objects.read(EDITOR)["imagePullSecrets"]
        assert "True" == process.conditions()["PullSecretsReady"][0]

        found.requests.clear()
        await process.resync()
        assert [] == found.requests


async def test_a_change_of_the_source_reaches_every_copy() -> None:
    found = cluster()
    async with running(found) as process:
        changed = base64.b64encode(b'{"auths": {}}').decode()
        found.objects.edit(
            SOURCE, lambda body: body.update({"data": {".dockerconfigjson": changed}})
        )
        await process.settled()
        assert {".dockerconfigjson": changed} == found.objects.read(COPY)["data"]


async def test_an_opt_out_deletes_the_copy_and_keeps_kubeflows_account() -> None:
    found = cluster()
    async with running(found) as process:
        found.objects.edit(
            Key("Profile", "", "alice"),
            lambda body: body["metadata"].update(labels={names.LABEL: "false"}),
        )
        await process.settled()
        assert found.objects.get(COPY) is None
        assert "imagePullSecrets" not in found.objects.read(EDITOR)


async def test_without_credentials_the_copy_stays_and_the_condition_is_false() -> None:
    found = cluster()
    async with running(found) as process:
        found.objects.edit(SOURCE, lambda body: body.update({"data": {}}))
        await process.settled()

        status, message = process.conditions()["PullSecretsReady"]
        assert status == "False"
        assert "Secret platform/registry-credentials has no key .dockerconfigjson" in message
        assert {".dockerconfigjson": CREDENTIALS} == found.objects.read(COPY)["data"]
        assert [REFERENCE] == found.objects.read(EDITOR)["imagePullSecrets"]


async def test_a_wrong_label_counts_as_the_default() -> None:
    found = cluster(**{names.LABEL: "perhaps"})
    async with running(found) as process:
        status, message = process.conditions()["PullSecretsReady"]
        assert status == "False"
        assert f"label {names.LABEL}='perhaps' is not a boolean" in message
        assert {".dockerconfigjson": CREDENTIALS} == found.objects.read(COPY)["data"]


def test_the_rules_follow_from_the_declaration() -> None:
    rules = rbac.rules(CONTROLLER, PullSecretsSettings())
    verbs = {
        (resource, name, verb)
        for rule in rules
        for resource in rule.resources
        for name in rule.names or ("*",)
        for verb in rule.verbs
    }
    assert ("serviceaccounts", names.SERVICE_ACCOUNT, "patch") in verbs
    assert ("serviceaccounts", names.SERVICE_ACCOUNT, "delete") not in verbs
    assert not [
        verb for resource, name, verb in verbs if resource == "serviceaccounts" and name == "*"
    ]
    assert ("secrets", names.SECRET, "delete") in verbs
    assert ("secrets", "*", "delete") not in verbs
    assert ("secrets", "*", "create") in verbs
