"""Probes and metrics, over HTTP, also while the event loop is stuck."""

import asyncio
import contextlib
import http.client
import socket
import threading
import time
from collections.abc import Iterator, Sequence

import pytest

from controllers.runtime.client.config import ConfigurationError
from controllers.runtime.manager.servers import Check, Server
from controllers.runtime.reconcile.metrics import Metrics

WELL = Check(name="loop")
NOTED = Check(name="leading", note="standing by for the lease")
ILL = Check(name="informer/ConfigMap", trouble="not listed yet")


@contextlib.contextmanager
def serving(
    *, live: Sequence[Check] = (WELL,), ready: Sequence[Check] = (WELL,)
) -> Iterator[Server]:
    server = Server(("127.0.0.1", 0), live=lambda: live, ready=lambda: ready, metrics=Metrics())
    server.start()
    try:
        yield server
    finally:
        server.stop()


def fetch(server: Server, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


@pytest.mark.parametrize("path", ["/livez", "/healthz", "/readyz"])
def test_a_probe_that_is_well_says_ok(path: str) -> None:
    with serving() as server:
        assert (200, "ok") == fetch(server, path)


def test_a_probe_that_fails_names_what_is_wrong() -> None:
    with serving(ready=(WELL, ILL)) as server:
        assert (
            503,
            "[-]informer/ConfigMap failed: not listed yet\nreadyz check failed\n",
        ) == fetch(server, "/readyz")
        assert (200, "ok") == fetch(server, "/livez")


def test_a_verbose_probe_names_everything() -> None:
    with serving(ready=(WELL, NOTED, ILL)) as server:
        code, text = fetch(server, "/readyz?verbose")

    assert 503 == code
    assert [
        "[+]loop ok",
        "[+]leading ok: standing by for the lease",
        "[-]informer/ConfigMap failed: not listed yet",
        "readyz check failed",
    ] == text.splitlines()


def test_a_verbose_probe_that_is_well_says_so() -> None:
    with serving() as server:
        assert (200, "[+]loop ok\nlivez check passed\n") == fetch(server, "/livez?verbose")


def test_metrics_are_served_as_prometheus_reads_them() -> None:
    with serving() as server:
        code, text = fetch(server, "/metrics")

    assert 200 == code
    assert "# TYPE controller_runtime_reconcile_total counter" in text


def test_nothing_else_is_served() -> None:
    with serving() as server:
        assert 404 == fetch(server, "/")[0]


def test_an_address_that_is_taken_is_said_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            ConfigurationError, match=rf"cannot listen on 127.0.0.1:{port}: .*in use"
        ):
            Server(("127.0.0.1", port), live=list, ready=list, metrics=Metrics())


def test_an_empty_host_listens_everywhere() -> None:
    server = Server(("", 0), live=list, ready=list, metrics=Metrics())
    server.start()
    try:
        assert (200, "ok") == fetch(server, "/livez")
    finally:
        server.stop()


async def test_a_blocked_event_loop_is_told_while_it_is_blocked() -> None:
    beat = time.monotonic()

    def live() -> list[Check]:
        stuck = time.monotonic() - beat
        return [Check(name="loop", trouble="blocked" if stuck > 0.2 else "")]

    server = Server(("127.0.0.1", 0), live=live, ready=list, metrics=Metrics())
    server.start()
    answers: list[tuple[int, str]] = []
    released = threading.Event()

    def probe() -> None:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and (not answers or answers[-1][0] != 503):
            answers.append(fetch(server, "/livez"))
            time.sleep(0.02)
        released.set()

    beat = time.monotonic()
    prober = threading.Thread(target=probe)
    prober.start()
    released.wait(30)  # this blocks the event loop, until the probe has said so
    prober.join()
    await asyncio.to_thread(server.stop)

    assert (200, "ok") == answers[0]
    assert (503, "[-]loop failed: blocked\nlivez check failed\n") == answers[-1]
