"""The webhook: both protocols, keys minted once, nonsense, a store that is away."""

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

from controllers.pipelines import desired, names
from controllers.pipelines.config import PipelinesSettings
from controllers.pipelines.objectstore.provider import (
    Credentials,
    Refusal,
    RejectedError,
    Swept,
    Tenant,
    UnavailableError,
)
from controllers.pipelines.webhook import listen, protocol, server
from tests.bench import procfs
from tests.support.builders import inputs
from tests.support.cluster import suite, waiting
from tests.support.controlplane import ports

ENABLED = {names.ENABLED_LABEL: "true"}
STATIC = {"minio_access_key": "minio", "minio_secret_key": "minio123"}
SECRET = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": names.SECRET, "namespace": "team-a", "uid": "u"},
    "data": {"accesskey": "YQ==", "secretkey": "Yg==", "theirs": "Yw=="},
}
OLDER_KINDS = (
    "Secret.v1",
    "ConfigMap.v1",
    "Deployment.apps/v1",
    "Service.v1",
    "DestinationRule.networking.istio.io/v1alpha3",
    "AuthorizationPolicy.security.istio.io/v1beta1",
)


class Store:
    """Gives each namespace a new key at each call, unless it is told which is held."""

    def __init__(self) -> None:
        self.minted: list[str] = []
        self.error: Exception | None = None
        self.refusal: Refusal | None = None

    async def ensure(
        self, tenant: Tenant, held: Credentials | None
    ) -> Credentials | Refusal | None:
        await asyncio.sleep(0.01)
        if self.error:
            raise self.error
        if self.refusal or held:
            return self.refusal or held
        self.minted.append(tenant.namespace)
        assert tenant.uid == ""
        return Credentials(access_key=f"key-{len(self.minted)}", secret_key="hidden")

    async def maintain(self) -> None:
        if self.error:
            raise self.error

    async def sweep(self, profile_gone: Callable[[str, str], bool]) -> Sequence[Swept]:
        raise NotImplementedError(profile_gone)

    def health(self) -> str:
        return str(self.error or "")

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
        server.serving(made, listen.listening(0, None), lambda _: store or Store()) as (port,),
        aiohttp.ClientSession() as session,
    ):
        yield Client(session, port)


def asked(name: str = "team-a", seen: Any = None, *, secret: bool = True) -> dict[str, Any]:
    secrets: dict[str, Any] = {"Secret.v1": {f"{name}/{names.SECRET}": SECRET} if secret else {}}
    return {
        "object": {"metadata": {"name": name, "labels": ENABLED}},
        "attachments": {**secrets, "ConfigMap.v1": {}, "Deployment.apps/v1": {}, **(seen or {})},
    }


def named(objects: list[Any]) -> list[tuple[str, str]]:
    return [(one["kind"], one["metadata"]["name"]) for one in objects]


CONFIG_MAPS = [("ConfigMap", name) for name in (names.LAUNCHER, names.METADATA, names.REPOSITORIES)]
PROXY = [("Deployment", names.PROXY), ("Service", names.PROXY)]


# The current protocol


async def test_an_existing_secret_is_given_back_unchanged_and_last() -> None:
    store = Store()
    async with served(store, artifacts_proxy_enabled=True, kfp_version="2.17.0") as client:
        code, reply = await client.post(asked())

    assert code == 200
    assert named(reply["attachments"]) == [*CONFIG_MAPS, *PROXY, ("Secret", names.SECRET)]
    assert reply["attachments"][-1] == SECRET
    assert store.minted == []


async def test_a_minted_secret_comes_first_and_nothing_carries_our_marks() -> None:
    async with served() as client:
        _, reply = await client.post(asked(secret=False))

    first = reply["attachments"][0]
    assert named(reply["attachments"]) == [("Secret", names.SECRET), *CONFIG_MAPS]
    assert base64.b64decode(first["data"]["accesskey"]) == b"key-1"
    for one in reply["attachments"]:
        assert one["metadata"]["namespace"] == "team-a"
        assert not {"ownerReferences", "labels"} & set(one["metadata"])


@pytest.mark.parametrize("proxy", [True, False])
async def test_ready_counts_what_there_is(*, proxy: bool) -> None:
    seen = {
        "Secret.v1": {f"team-a/{names.SECRET}": SECRET},
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
async def test_a_namespace_without_the_label_gets_nothing(body: Any, reply: Any) -> None:
    async with served() as client:
        assert await client.post(body) == (200, reply)


async def test_an_unusual_name_is_no_error_unless_a_key_is_to_be_made() -> None:
    async with served() as client:
        assert (await client.post(asked("myName")))[0] == 200
        assert (await client.post(asked("myName", secret=False)))[0] == 400


async def test_without_a_provider_there_is_no_secret_and_none_is_missed() -> None:
    maps = {"a": 1, "b": 2, "c": 3}
    request = asked(seen={"ConfigMap.v1": maps}, secret=False)
    made = PipelinesSettings.model_validate({"provider": "none", "controller_port": 0})
    async with (
        server.serving(made, listen.listening(0, None)) as (port,),
        aiohttp.ClientSession() as session,
    ):
        _, reply = await Client(session, port).post(request)

    assert named(reply["attachments"]) == CONFIG_MAPS
    assert reply["status"] == {"kubeflow-pipelines-ready": "True"}


# Keys


async def test_concurrent_calls_mint_one_key_and_later_ones_repeat_it() -> None:
    store = Store()
    async with served(store) as client:
        replies = await asyncio.gather(*(client.post(asked(secret=False)) for _ in range(50)))
        replies.append(await client.post(asked(secret=False)))

    assert store.minted == ["team-a"]
    assert len({json.dumps(reply["attachments"][0]) for _, reply in replies}) == 1


async def test_namespaces_get_keys_of_their_own_and_a_lost_secret_another() -> None:
    store = Store()
    async with served(store) as client:
        for request in (
            asked(secret=False),
            asked("team-b", secret=False),
            asked(),
            asked(secret=False),
        ):
            await client.post(request)

    assert store.minted == ["team-a", "team-b", "team-a"]


@pytest.mark.parametrize(
    ("error", "after"),
    [
        (UnavailableError("the store is away", after=7.2), "8"),
        (UnavailableError("the store is away", after=0.0), "1"),
        (RejectedError("no such bucket"), "300"),
    ],
)
async def test_a_store_that_is_down_is_503_and_existing_secrets_do_not_need_it(
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


async def test_a_refused_tenant_gets_all_but_the_secret() -> None:
    store = Store()
    store.refusal = Refusal(reason="ForeignUser", message="a user of that name is another's")
    async with served(store) as client:
        code, reply = await client.post(asked(secret=False))

    assert (code, named(reply["attachments"])) == (200, CONFIG_MAPS)


# The older protocol


def older(settings: dict[str, Any] | None = None, **seen: Any) -> dict[str, Any]:
    made = PipelinesSettings.model_validate({"kfp_version": "2.4.0", **STATIC, **(settings or {})})
    children = {**{kind: [] for kind in OLDER_KINDS}, **seen}
    parent = {"metadata": {"name": "myName", "labels": ENABLED}}
    request = protocol.read({"parent": parent, "children": children})
    keys = desired.Keys(access="minio", secret="minio123")
    return protocol.older(request, keys, made)


@pytest.mark.parametrize("root", [None, "minio://bucket/root"])
def test_the_older_replys_children_are_those_of_the_golden_file(root: str | None) -> None:
    reply = older({"kfp_default_pipeline_root": root, "disable_istio_sidecar": root is not None})

    name = "older-with-root" if root else "older"
    assert reply["children"] == inputs.golden("pipelines", name)


def test_an_image_and_a_tag_of_ones_own_count_in_the_older_reply() -> None:
    images = {"visualization_server_image": "vis-image", "frontend_image": "frontend-image"}
    tags = {"visualization_server_tag": "1.2.3", "frontend_tag": "somehash"}
    children = older({**images, **tags})["children"]

    found = {
        one["spec"]["template"]["spec"]["containers"][0]["image"]
        for one in children
        if one["kind"] == "Deployment"
    }
    assert found == {"vis-image:1.2.3", "frontend-image:somehash"}


@pytest.mark.parametrize("root", [None, "minio://bucket/root"])
@pytest.mark.parametrize("as_maps", [True, False])
def test_the_older_status_counts_lengths_alone(root: str | None, *, as_maps: bool) -> None:
    lengths = dict(zip(OLDER_KINDS, (1, 2 if root else 1, 2, 2, 1, 1), strict=True))
    seen: dict[str, Any] = {
        kind: {str(n): n for n in range(length)} if as_maps else [1] * length
        for kind, length in lengths.items()
    }
    settings = {"kfp_default_pipeline_root": root}

    assert older(settings, **seen)["status"] == {"kubeflow-pipelines-ready": "True"}
    for kind in OLDER_KINDS:
        wrong = older(settings, **{**seen, kind: []})
        assert wrong["status"] == {"kubeflow-pipelines-ready": "False"}


NO_KEYS = {"provider": "none", "minio_access_key": None, "minio_secret_key": None}


@pytest.mark.parametrize("shown", [[], [SECRET]])
def test_without_a_provider_the_older_reply_has_no_secret_of_ours_and_misses_none(
    shown: list[Any],
) -> None:
    lengths = dict(zip(OLDER_KINDS, (0, 1, 2, 2, 1, 1), strict=True))
    seen: dict[str, Any] = {kind: [1] * length for kind, length in lengths.items()}
    reply = older(NO_KEYS, **{**seen, "Secret.v1": shown})

    assert reply["status"] == {"kubeflow-pipelines-ready": "True"}
    assert [one for one in reply["children"] if one["kind"] == "Secret"] == shown
    for one in reply["children"]:
        if one["kind"] == "Deployment":
            (container,) = one["spec"]["template"]["spec"]["containers"]
            assert "env" not in container  # a Secret that is not there would stop the pod
    wrong = older(NO_KEYS, **{**seen, "ConfigMap.v1": []})
    assert wrong["status"] == {"kubeflow-pipelines-ready": "False"}


async def test_the_older_protocol_without_its_settings_is_503() -> None:
    request = {"parent": {"metadata": {"name": "a", "labels": ENABLED}}, "children": {}}
    async with served() as client:
        code, reply = await client.post(request)
        assert (code, "KFP_VERSION" in reply["error"]) == (503, True)
    async with served(kfp_version="2.4.0") as client:
        code, reply = await client.post(request)
        assert (code, "MINIO_ACCESS_KEY" in reply["error"]) == (503, True)


# Nonsense, probes, the process


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
async def test_nonsense_is_400_and_says_what_was_expected(body: Any) -> None:
    store = Store()
    async with served(store) as client:
        code, reply = await client.post(body)

    assert code == 400
    assert reply["error"]
    assert store.minted == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(seen=JSON, kinds=JSON)
def test_whatever_the_request_shows_it_is_answered_or_refused(seen: Any, kinds: Any) -> None:
    namespace = {"metadata": {"name": "a", "labels": ENABLED}}
    keys = desired.Keys(access="minio", secret="minio123")
    settings = PipelinesSettings.model_validate({"kfp_version": "2.4.0"})
    for shown in (seen, {"Secret.v1": kinds, "ConfigMap.v1": kinds}):
        try:
            current = protocol.read({"object": namespace, "attachments": shown})
            older = protocol.read({"parent": namespace, "children": shown})
        except protocol.NonsenseError:
            assert not isinstance(shown, dict)
            continue
        assert protocol.current(current, None, settings)["attachments"]
        assert protocol.older(older, keys, settings)["children"]


async def test_what_is_nested_too_deeply_to_be_given_back_is_400() -> None:
    deep: Any = "end"
    for _ in range(300):
        deep = {"in": deep}
    secret = {**SECRET, "data": deep}
    seen = {"Secret.v1": {f"team-a/{names.SECRET}": secret}}
    store = Store()
    async with served(store) as client:
        code, reply = await client.post(asked(seen=seen))

    assert (code, bool(reply["error"])) == (400, True)
    assert store.minted == []


@pytest.mark.parametrize(
    ("headers", "data", "expected"),
    [
        ({"Content-Encoding": "gzip"}, b"no gzip", 400),
        ({}, b" " * (64 * 2**20 + 1), 413),
    ],
)
async def test_a_body_that_cannot_be_read_is_refused_in_a_sentence(
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


async def test_a_long_name_is_not_repeated_whole() -> None:
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


async def test_a_large_namespace_is_no_nonsense() -> None:
    async with served() as client:
        large = {f"team-a/{n}": {"data": {"x": "y" * 1000}} for n in range(5000)}
        assert (await client.post(asked(seen={"ConfigMap.v1": large})))[0] == 200


def test_the_process_listens_within_two_seconds_without_a_cluster() -> None:
    """Of a processor: a machine that is busy with other tests says nothing of the program."""
    port = ports.free()
    with subprocess.Popen(
        [sys.executable, "-m", "profiles_controller", "pipelines", "--webhook"],
        env=suite.environment(CONTROLLER_PORT=str(port), HOME="/nonexistent"),
        stderr=subprocess.PIPE,
    ) as process:
        try:
            waiting.until(lambda: process.poll() is not None or suite.is_open(port), "it listens")
            assert process.poll() is None
            seconds = procfs.cpu_seconds(process.pid)
        finally:
            process.terminate()
        assert process.stderr is not None
        log = process.stderr.read().decode()
        assert process.wait(30) == 0, log
    assert seconds < 2.0


def test_a_port_that_is_taken_is_told_in_a_sentence() -> None:
    with socket.create_server(("", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = suite.run("pipelines", "--webhook", CONTROLLER_PORT=port, PIPELINES_PROVIDER="none")

    assert done.returncode == 2
    assert "cannot listen" in done.stderr
    assert "Traceback" not in done.stderr
