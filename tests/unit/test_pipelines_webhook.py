"""The webhook: both protocols, keys, invalid requests, a store that fails."""

import asyncio
import base64
import contextlib
import io
import json
import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers.findings import Finding
from controllers.pipelines import names
from controllers.pipelines.config import PipelinesSettings
from controllers.pipelines.objectstore import provider
from controllers.pipelines.objectstore.spec import AccountSpec, Credentials, DeletedAccount
from controllers.pipelines.webhook import protocol, server
from controllers.runtime.external.system import ComponentStatus
from controllers.runtime.listen import listen
from tests.bench import procfs
from tests.support import builders
from tests.support.cluster import manager_process, waiting
from tests.support.controlplane import ports

ENABLED = {names.ENABLED_LABEL: "true"}
STATIC = {"minio_access_key": "minio", "minio_secret_key": "minio123"}
SECRET = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": names.SECRET, "namespace": "alice", "uid": "u"},
    "data": {"accesskey": "YQ==", "secretkey": "Yg==", "theirs": "Yw=="},
}
V1_KINDS = (
    "Secret.v1",
    "ConfigMap.v1",
    "Deployment.apps/v1",
    "Service.v1",
    "DestinationRule.networking.istio.io/v1alpha3",
    "AuthorizationPolicy.security.istio.io/v1beta1",
)


class Store:
    """Issues a new key at each call that has none."""

    def __init__(self) -> None:
        self.issued: list[str] = []
        self.error: Exception | None = None
        self.finding: Finding | None = None

    async def ensure_key(
        self, spec: AccountSpec, in_secret: Credentials | None
    ) -> Credentials | Finding | None:
        await asyncio.sleep(0.01)
        if self.error:
            raise self.error
        if self.finding or in_secret:
            return self.finding or in_secret
        self.issued.append(spec.namespace)
        assert spec.uid == ""
        return Credentials(access_key=f"key-{len(self.issued)}", secret_key="hidden")

    async def reconcile_bucket(self) -> None:
        if self.error:
            raise self.error

    async def collect_garbage(
        self, profile_gone: Callable[[str, str], bool]
    ) -> Sequence[DeletedAccount]:
        raise NotImplementedError(profile_gone)

    def components(self) -> Sequence[ComponentStatus]:
        return ()

    async def close(self) -> None:
        """Nothing is open."""


class Client:
    """Plays Metacontroller."""

    def __init__(self, session: aiohttp.ClientSession, port: int) -> None:
        self.session = session
        self.url = f"http://127.0.0.1:{port}/sync"

    async def post(self, body: Any) -> tuple[int, Any]:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        async with self.session.post(self.url, data=io.BytesIO(data)) as answer:
            return answer.status, json.loads(await answer.read())


@contextlib.asynccontextmanager
async def served(store: Store | None = None, **settings: Any) -> AsyncIterator[Client]:
    made = PipelinesSettings.model_validate({"controller_port": 0, **settings})
    async with (
        server.serving(made, [listen("", 0)], lambda _: store or Store()) as (port,),
        aiohttp.ClientSession() as session,
    ):
        yield Client(session, port)


def asked(name: str = "alice", seen: Any = None, *, secret: bool = True) -> dict[str, Any]:
    secrets: dict[str, Any] = {"Secret.v1": {f"{name}/{names.SECRET}": SECRET} if secret else {}}
    return {
        "object": {"metadata": {"name": name, "labels": ENABLED}},
        "attachments": {**secrets, "ConfigMap.v1": {}, "Deployment.apps/v1": {}, **(seen or {})},
    }


def named(objects: list[Any]) -> list[tuple[str, str]]:
    return [(one["kind"], one["metadata"]["name"]) for one in objects]


CONFIG_MAPS = [("ConfigMap", name) for name in (names.LAUNCHER, names.METADATA, names.REPOSITORIES)]
PROXY = [("Deployment", names.PROXY), ("Service", names.PROXY)]


# Protocol v2


async def test_an_existing_secret_is_returned_unchanged_and_last() -> None:
    store = Store()
    async with served(store, artifacts_proxy_enabled=True, kfp_version="2.17.0") as client:
        code, reply = await client.post(asked())

    assert code == 200
    assert named(reply["attachments"]) == [*CONFIG_MAPS, *PROXY, ("Secret", names.SECRET)]
    assert reply["attachments"][-1] == SECRET
    assert store.issued == []


async def test_a_new_secret_is_first_and_no_object_has_our_labels() -> None:
    async with served() as client:
        _, reply = await client.post(asked(secret=False))

    first = reply["attachments"][0]
    assert named(reply["attachments"]) == [("Secret", names.SECRET), *CONFIG_MAPS]
    assert base64.b64decode(first["data"]["accesskey"]) == b"key-1"
    for one in reply["attachments"]:
        assert one["metadata"]["namespace"] == "alice"
        assert not {"ownerReferences", "labels"} & set(one["metadata"])


@pytest.mark.parametrize("proxy", [True, False])
async def test_ready_follows_from_the_number_of_objects(*, proxy: bool) -> None:
    seen = {
        "Secret.v1": {f"alice/{names.SECRET}": SECRET},
        "ConfigMap.v1": {"a": 1, "b": 2, "c": 3},
        "Deployment.apps/v1": {"a": {}} if proxy else {},
        "Service.v1": {"a": {}} if proxy else {},
    }
    async with served(artifacts_proxy_enabled=proxy, kfp_version="2.17.0") as client:
        _, whole = await client.post(asked(seen=seen))
        wrong = [(await client.post(asked(seen={**seen, key: {}})))[1] for key in seen if seen[key]]
        wrong += [
            (await client.post(asked(seen={**seen, key: {str(n): n for n in range(4)}})))[1]
            for key in seen
        ]

    assert whole["status"] == {"kubeflow-pipelines-ready": "True"}
    assert {one["status"]["kubeflow-pipelines-ready"] for one in wrong} == {"False"}


@pytest.mark.parametrize(
    ("body", "reply"),
    [
        ({"object": {}, "attachments": {}}, {"status": {}, "attachments": []}),
        ({"object": {"metadata": {"labels": None}}}, {"status": {}, "attachments": []}),
        ({"parent": {}, "children": {}}, {"status": {}, "children": []}),
    ],
)
async def test_the_response_for_a_namespace_without_the_label_is_empty(
    body: Any, reply: Any
) -> None:
    async with served() as client:
        assert await client.post(body) == (200, reply)


async def test_an_unusual_name_is_an_error_only_if_a_key_is_needed() -> None:
    async with served() as client:
        assert (await client.post(asked("myName")))[0] == 200
        assert (await client.post(asked("myName", secret=False)))[0] == 400


async def test_without_a_provider_there_is_no_secret_and_none_is_counted() -> None:
    maps = {"a": 1, "b": 2, "c": 3}
    request = asked(seen={"ConfigMap.v1": maps}, secret=False)
    made = PipelinesSettings.model_validate({"provider": "none", "controller_port": 0})
    async with (
        server.serving(made, [listen("", 0)]) as (port,),
        aiohttp.ClientSession() as session,
    ):
        _, reply = await Client(session, port).post(request)

    assert named(reply["attachments"]) == CONFIG_MAPS
    assert reply["status"] == {"kubeflow-pipelines-ready": "True"}


# Keys


async def test_concurrent_requests_get_the_same_key_and_so_do_later_ones() -> None:
    store = Store()
    async with served(store) as client:
        replies = await asyncio.gather(*(client.post(asked(secret=False)) for _ in range(50)))
        replies.append(await client.post(asked(secret=False)))

    assert store.issued == ["alice"]
    assert len({json.dumps(reply["attachments"][0]) for _, reply in replies}) == 1


async def test_each_namespace_gets_its_own_key_and_after_its_secret_is_deleted_a_new_one() -> None:
    store = Store()
    async with served(store) as client:
        for request in (
            asked(secret=False),
            asked("bob", secret=False),
            asked(),
            asked(secret=False),
        ):
            await client.post(request)

    assert store.issued == ["alice", "bob", "alice"]


@pytest.mark.parametrize(
    ("error", "after"),
    [
        (provider.unavailable("the store is down").retried_after(7.2), "8"),
        (provider.unavailable("the store is down").retried_after(0.0), "1"),
        (provider.rejected("no such bucket"), "300"),
    ],
)
async def test_a_store_that_fails_is_503_except_for_existing_secrets(
    error: Exception, after: str
) -> None:
    store = Store()
    store.error = error
    async with served(store) as client:
        body = json.dumps(asked(secret=False))
        async with client.session.post(client.url, data=body) as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (503, after)
            assert str(error) in (await answer.json())["error"]
        assert (await client.post(asked()))[0] == 200
        store.error = None
        assert (await client.post(asked(secret=False)))[0] == 200


async def test_a_namespace_without_a_key_gets_all_but_the_secret() -> None:
    store = Store()
    store.finding = Finding(reason="ForeignUser", message="a user of that name is another's")
    async with served(store) as client:
        code, reply = await client.post(asked(secret=False))

    assert (code, named(reply["attachments"])) == (200, CONFIG_MAPS)


# Protocol v1


def v1_response(settings: dict[str, Any] | None = None, **seen: Any) -> dict[str, Any]:
    made = PipelinesSettings.model_validate({"kfp_version": "2.4.0", **STATIC, **(settings or {})})
    children = {**{kind: [] for kind in V1_KINDS}, **seen}
    parent = {"metadata": {"name": "myName", "labels": ENABLED}}
    request = protocol.parse({"parent": parent, "children": children})
    key = Credentials(access_key="minio", secret_key="minio123")
    return protocol.v1_response(request, key, made)


@pytest.mark.parametrize("root", [None, "minio://bucket/root"])
def test_the_children_of_v1_are_those_of_the_golden_file(root: str | None) -> None:
    reply = v1_response(
        {"kfp_default_pipeline_root": root, "disable_istio_sidecar": root is not None}
    )

    name = "older-with-root" if root else "older"
    assert reply["children"] == builders.golden("pipelines", name)


def test_v1_uses_the_configured_images_and_tags() -> None:
    images = {"visualization_server_image": "vis-image", "frontend_image": "frontend-image"}
    tags = {"visualization_server_tag": "1.2.3", "frontend_tag": "somehash"}
    children = v1_response({**images, **tags})["children"]

    found = {
        one["spec"]["template"]["spec"]["containers"][0]["image"]
        for one in children
        if one["kind"] == "Deployment"
    }
    assert found == {"vis-image:1.2.3", "frontend-image:somehash"}


@pytest.mark.parametrize("root", [None, "minio://bucket/root"])
@pytest.mark.parametrize("as_maps", [True, False])
def test_the_status_of_v1_follows_from_the_number_of_objects(
    root: str | None, *, as_maps: bool
) -> None:
    lengths = dict(zip(V1_KINDS, (1, 2 if root else 1, 2, 2, 1, 1), strict=True))
    seen: dict[str, Any] = {
        kind: {str(n): n for n in range(length)} if as_maps else [1] * length
        for kind, length in lengths.items()
    }
    settings = {"kfp_default_pipeline_root": root}

    assert v1_response(settings, **seen)["status"] == {"kubeflow-pipelines-ready": "True"}
    for kind in V1_KINDS:
        wrong = v1_response(settings, **{**seen, kind: []})
        assert wrong["status"] == {"kubeflow-pipelines-ready": "False"}


NO_KEYS = {"provider": "none", "minio_access_key": None, "minio_secret_key": None}


@pytest.mark.parametrize("shown", [[], [SECRET]])
def test_without_a_provider_v1_has_no_secret_of_ours_and_counts_none(
    shown: list[Any],
) -> None:
    lengths = dict(zip(V1_KINDS, (0, 1, 2, 2, 1, 1), strict=True))
    seen: dict[str, Any] = {kind: [1] * length for kind, length in lengths.items()}
    reply = v1_response(NO_KEYS, **{**seen, "Secret.v1": shown})

    assert reply["status"] == {"kubeflow-pipelines-ready": "True"}
    assert [one for one in reply["children"] if one["kind"] == "Secret"] == shown
    for one in reply["children"]:
        if one["kind"] == "Deployment":
            (container,) = one["spec"]["template"]["spec"]["containers"]
            assert "env" not in container  # a Secret that is not there would stop the pod
    wrong = v1_response(NO_KEYS, **{**seen, "ConfigMap.v1": []})
    assert wrong["status"] == {"kubeflow-pipelines-ready": "False"}


async def test_v1_without_its_settings_is_503() -> None:
    request = {"parent": {"metadata": {"name": "a", "labels": ENABLED}}, "children": {}}
    async with served() as client:
        code, reply = await client.post(request)
        assert (code, "KFP_VERSION" in reply["error"]) == (503, True)
    async with served(kfp_version="2.4.0") as client:
        code, reply = await client.post(request)
        assert (code, "MINIO_ACCESS_KEY" in reply["error"]) == (503, True)


# Invalid requests, probes, the process


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        [],
        "text",
        {},
        {"object": []},
        {"object": {"metadata": []}},
        {"object": {"metadata": {"labels": []}}},
        {"object": {"metadata": {"labels": ENABLED}}, "attachments": {}},
        {"object": {"metadata": {"labels": ENABLED, "name": "a/b"}}, "attachments": {}},
        {"object": {"metadata": {"labels": ENABLED, "name": 3}}, "attachments": {}},
        {"object": {"metadata": {"labels": ENABLED, "name": "a"}}},
        {"parent": {"metadata": {"labels": ENABLED, "name": "a"}}, "children": None},
    ],
)
async def test_an_invalid_request_is_400_and_names_what_is_expected(body: Any) -> None:
    store = Store()
    async with served(store) as client:
        code, reply = await client.post(body)

    assert code == 400
    assert reply["error"]
    assert store.issued == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(seen=JSON, kinds=JSON)
def test_any_request_gets_a_response_or_an_error(seen: Any, kinds: Any) -> None:
    namespace = {"metadata": {"name": "a", "labels": ENABLED}}
    key = Credentials(access_key="minio", secret_key="minio123")
    settings = PipelinesSettings.model_validate({"kfp_version": "2.4.0"})
    for shown in (seen, {"Secret.v1": kinds, "ConfigMap.v1": kinds}):
        try:
            current = protocol.parse({"object": namespace, "attachments": shown})
            older = protocol.parse({"parent": namespace, "children": shown})
        except protocol.InvalidRequestError:
            assert not isinstance(shown, dict)
            continue
        assert protocol.v2_response(current, None, settings)["attachments"]
        assert protocol.v1_response(older, key, settings)["children"]


async def test_an_object_that_is_nested_too_deeply_is_400() -> None:
    deep: Any = "end"
    for _ in range(300):
        deep = {"in": deep}
    secret = {**SECRET, "data": deep}
    seen = {"Secret.v1": {f"alice/{names.SECRET}": secret}}
    store = Store()
    async with served(store) as client:
        code, reply = await client.post(asked(seen=seen))

    assert (code, bool(reply["error"])) == (400, True)
    assert store.issued == []


@pytest.mark.parametrize(
    ("headers", "data", "expected"),
    [
        ({"Content-Encoding": "gzip"}, b"no gzip", 400),
        ({}, b" " * (64 * 2**20 + 1), 413),
    ],
)
async def test_a_body_that_cannot_be_read_is_an_error_with_a_message(
    headers: dict[str, str], data: bytes, expected: int
) -> None:
    async with (
        served() as client,
        client.session.post(client.url, headers=headers, data=io.BytesIO(data)) as answer,
    ):
        assert answer.status == expected
        assert "the body" in (await answer.json())["error"]
    async with served() as client:
        assert (await client.post(asked()))[0] == 200


async def test_a_long_name_is_truncated_in_the_error() -> None:
    async with served() as client:
        code, reply = await client.post(asked("x" * 10_000 + "/", secret=False))

    assert code == 400
    assert len(reply["error"]) < 300


async def test_probes_and_metrics_are_on_the_same_port() -> None:
    async with served() as client:
        await client.post(asked())
        await client.post(b"{")
        root = client.url.removesuffix("/sync")
        for path in ("/healthz", "/livez", "/readyz"):
            async with client.session.get(root + path) as answer:
                assert (answer.status, await answer.text()) == (200, "ok")
        async with client.session.get(root + "/metrics") as answer:
            text = await answer.text()
    assert re.search(r'pipelines_webhook_requests_total\{code="400"\} 1', text)


async def test_a_large_namespace_is_valid() -> None:
    async with served() as client:
        large = {f"alice/{n}": {"data": {"x": "y" * 1000}} for n in range(5000)}
        assert (await client.post(asked(seen={"ConfigMap.v1": large})))[0] == 200


def test_the_process_listens_within_two_seconds_without_a_cluster() -> None:
    """Of a processor: a machine that is busy with other tests says nothing of the program."""
    port = ports.free()
    with subprocess.Popen(
        [sys.executable, "-m", "profiles_controller", "pipelines", "--webhook"],
        env=manager_process.environment(CONTROLLER_PORT=str(port), HOME="/nonexistent"),
        stderr=subprocess.PIPE,
    ) as process:
        try:
            waiting.until(
                lambda: process.poll() is not None or manager_process.is_open(port), "it listens"
            )
            assert process.poll() is None
            seconds = procfs.cpu_seconds(process.pid)
        finally:
            process.terminate()
        assert process.stderr is not None
        log = process.stderr.read().decode()
        assert process.wait(30) == 0, log
    assert seconds < 2.0


def test_a_port_that_is_in_use_is_reported_in_one_sentence() -> None:
    with socket.create_server(("", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = manager_process.run(
            "pipelines", "--webhook", CONTROLLER_PORT=port, PIPELINES_PROVIDER="none"
        )

    assert done.returncode == 2
    assert "cannot listen" in done.stderr
    assert "Traceback" not in done.stderr
