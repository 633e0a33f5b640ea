"""The webhook as a process with a real SeaweedFS and without a kubeconfig."""

import base64
import contextlib
import http.client
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from controllers.pipelines import names
from controllers.pipelines.objectstore.spec import Credentials
from tests.support.cluster import manager_process, waiting
from tests.support.controlplane import ports
from tests.support.objectstore import namespaces
from tests.support.objectstore.seaweedfs import SeaweedFS

pytestmark = pytest.mark.xdist_group("pipelines-webhook")

BUCKET = "kfp-webhook"
ENABLED = {names.ENABLED_LABEL: "true"}
START_SECONDS = 30.0
"""Until it listens, on a busy machine."""


class Webhook:
    """The process, and requests as Metacontroller sends them."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process = process
        self.log = log
        self._port = port

    def send(self, body: bytes) -> tuple[int, Mapping[str, str], Any]:
        """Return status, headers and body of the response."""
        connection = http.client.HTTPConnection(manager_process.HOST, self._port, timeout=60)
        try:
            connection.request("POST", "/sync", body)
            answer = connection.getresponse()
            return answer.status, dict(answer.headers), json.loads(answer.read())
        finally:
            connection.close()

    def sync(self, namespace: str, secret: Any = None) -> tuple[int, Mapping[str, str], Any]:
        """Send a request for a namespace without objects, or with this Secret."""
        shown = {f"{namespace}/{names.SECRET}": secret} if secret else {}
        metadata = {"name": namespace, "labels": ENABLED}
        body = {"object": {"metadata": metadata}, "attachments": {"Secret.v1": shown}}
        return self.send(json.dumps(body).encode())

    def new_secret(self, namespace: str) -> Any:
        """Return the Secret of the response."""
        status, _, response = self.sync(namespace)
        assert status == 200, response
        return response["attachments"][0]


@contextlib.contextmanager
def serving(store: SeaweedFS, folder: Path) -> Iterator[Webhook]:
    """Run the webhook without a kubeconfig: HOME is an empty folder."""
    port = ports.free()
    folder.mkdir(exist_ok=True)
    log = folder / "webhook.log"
    variables = {
        **namespaces.variables(store, BUCKET),
        "HOME": str(folder),
        "CONTROLLER_PORT": str(port),
    }
    command = (sys.executable, "-m", manager_process.PROGRAM, "pipelines", "--webhook")
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [*command, "--log-level", "debug"],
            env={**manager_process.environment(), **variables},
            stderr=output,
        ) as process,
    ):
        try:
            waiting.until(lambda: is_open(process, port), "it listens", seconds=START_SECONDS)
            yield Webhook(process, port, log)
        finally:
            process.terminate()
            code = process.wait(60)
    assert code == 0, log.read_text()


def is_open(process: subprocess.Popen[bytes], port: int) -> bool:
    assert process.poll() is None
    return manager_process.is_open(port)


@pytest.fixture(scope="module")
def store(seaweedfs: SeaweedFS) -> SeaweedFS:
    seaweedfs.make_bucket(BUCKET)
    return seaweedfs


@pytest.fixture(scope="module")
def webhook(store: SeaweedFS, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Webhook]:
    with serving(store, tmp_path_factory.mktemp("webhook")) as made:
        yield made


def may_write(store: SeaweedFS, credentials: Credentials, key: str) -> bool:
    put = store.s3(credentials).put_object
    return store.succeeds(put, Bucket=BUCKET, Key=key, Body=b"1")


def wait_writable(store: SeaweedFS, credentials: Credentials, key: str) -> None:
    waiting.until(lambda: may_write(store, credentials, key), f"S3 lets {key} be written")


def test_concurrent_requests_for_a_new_namespace_create_one_key_of_its_own(
    store: SeaweedFS, webhook: Webhook
) -> None:
    tenants = ("hook-one", "hook-two")
    with ThreadPoolExecutor(24) as pool:
        answers = list(zip(tenants * 20, pool.map(webhook.new_secret, tenants * 20), strict=True))

    assert len(answers) == 40
    assert len({json.dumps(secret) for _, secret in answers}) == len(tenants)
    made = {name: namespaces.key_of(secret) for name, secret in answers}
    for name, other in zip(tenants, reversed(tenants), strict=True):
        assert store.keys(name) == [made[name].access_key]
        wait_writable(store, made[name], f"private-artifacts/{name}/mine")
        assert not may_write(store, made[name], f"private-artifacts/{other}/theirs")


def test_a_process_that_ends_before_the_secret_is_written_leaves_one_key(
    store: SeaweedFS, tmp_path: Path
) -> None:
    made = []
    for number in range(3):
        with serving(store, tmp_path / str(number)) as webhook:
            made.append(namespaces.key_of(webhook.new_secret("hook-restarted")).access_key)

    assert len(set(made)) == 1
    assert store.keys("hook-restarted") == made[:1]


def test_an_existing_secret_is_returned_without_a_request_to_the_store(
    store: SeaweedFS, webhook: Webhook
) -> None:
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": names.SECRET, "namespace": "hook-shown"},
        "data": {names.ACCESS_KEY: "YQ==", names.SECRET_KEY: "Yg=="},
    }
    status, _, response = webhook.sync("hook-shown", secret)

    assert (status, response["attachments"][-1]) == (200, secret)
    assert "hook-shown" not in store.users()


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'{"object": 3}', b'"object"'])
def test_an_invalid_request_is_400_with_a_message(webhook: Webhook, body: bytes) -> None:
    status, _, response = webhook.send(body)

    assert (status, bool(response["error"])) == (400, True)


def test_while_the_store_is_down_requests_for_new_namespaces_are_to_be_retried(
    tmp_path: Path,
) -> None:
    store = SeaweedFS.start(tmp_path)
    try:
        store.make_bucket(BUCKET)
        with serving(store, tmp_path / "webhook") as webhook:
            secret = webhook.new_secret("hook-before")
            store.pause()
            for _ in range(3):
                status, headers, response = webhook.sync("hook-meanwhile")
                assert (status, "ObjectStoreUnavailable" in response["error"]) == (503, True)
                assert 1 <= int(headers["Retry-After"]) <= 120
            status, _, response = webhook.sync("hook-before", secret)
            assert (status, response["attachments"][-1]) == (200, secret)

            store.resume()
            waiting.until(
                lambda: webhook.sync("hook-meanwhile")[0] == 200, "it is answered", seconds=180
            )
            made = namespaces.key_of(webhook.new_secret("hook-meanwhile"))
            assert store.keys("hook-meanwhile") == [made.access_key]
        log = webhook.log.read_text()
        for hidden in (namespaces.key_of(secret), made, store.admin):
            assert hidden.secret_key not in log
            assert base64.b64encode(hidden.secret_key.encode()).decode() not in log
    finally:
        store.stop()


def test_no_secret_key_is_in_the_log(webhook: Webhook) -> None:
    made = namespaces.key_of(webhook.new_secret("hook-silent"))

    log = webhook.log.read_text()
    assert "serving the webhook" in log
    assert made.secret_key not in log
    assert base64.b64encode(made.secret_key.encode()).decode() not in log
