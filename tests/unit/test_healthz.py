"""The server of probes and metrics, also while the event loop is blocked."""

import asyncio
import contextlib
import http.client
import socket
import threading
import time
from collections.abc import Iterator, Sequence

import pytest

from controllers.runtime.client.config import ConfigurationError
from controllers.runtime.manager.healthz import Check, ProbeServer
from controllers.runtime.reconcile.metrics import Metrics

PASSING = Check(name="event-loop")
NOTED = Check(name="leading", note="standing by for the lease")
FAILING = Check(name="informer/ConfigMap", error="not listed yet")


@contextlib.contextmanager
def serving(
    *, livez: Sequence[Check] = (PASSING,), readyz: Sequence[Check] = (PASSING,)
) -> Iterator[ProbeServer]:
    server = ProbeServer(
        ("127.0.0.1", 0), livez=lambda: livez, readyz=lambda: readyz, metrics=Metrics()
    )
    server.start()
    try:
        yield server
    finally:
        server.stop()


def fetch(server: ProbeServer, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()


@pytest.mark.parametrize("path", ["/livez", "/healthz", "/readyz"])
def test_a_passing_probe_responds_ok(path: str) -> None:
    with serving() as server:
        assert (200, "ok") == fetch(server, path)


def test_a_failing_probe_names_the_failed_check() -> None:
    with serving(readyz=(PASSING, FAILING)) as server:
        assert (
            503,
            "[-]informer/ConfigMap failed: not listed yet\nreadyz check failed\n",
        ) == fetch(server, "/readyz")
        assert (200, "ok") == fetch(server, "/livez")


def test_a_verbose_probe_lists_every_check() -> None:
    with serving(readyz=(PASSING, NOTED, FAILING)) as server:
        code, text = fetch(server, "/readyz?verbose")

    assert 503 == code
    assert [
        "[+]event-loop ok",
        "[+]leading ok: standing by for the lease",
        "[-]informer/ConfigMap failed: not listed yet",
        "readyz check failed",
    ] == text.splitlines()


def test_a_passing_verbose_probe_lists_every_check() -> None:
    with serving() as server:
        assert (200, "[+]event-loop ok\nlivez check passed\n") == fetch(server, "/livez?verbose")


def test_metrics_are_served_in_the_prometheus_format() -> None:
    with serving() as server:
        code, text = fetch(server, "/metrics")

    assert 200 == code
    assert "# TYPE controller_runtime_reconcile_total counter" in text


def test_no_other_path_is_served() -> None:
    with serving() as server:
        assert 404 == fetch(server, "/")[0]


def test_an_address_in_use_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            ConfigurationError, match=rf"cannot listen on 127.0.0.1:{port}: .*in use"
        ):
            ProbeServer(("127.0.0.1", port), livez=list, readyz=list, metrics=Metrics())


def test_an_empty_host_listens_on_every_address() -> None:
    server = ProbeServer(("", 0), livez=list, readyz=list, metrics=Metrics())
    server.start()
    try:
        assert (200, "ok") == fetch(server, "/livez")
    finally:
        server.stop()


async def test_a_blocked_event_loop_is_reported_while_it_is_blocked() -> None:
    heartbeat = time.monotonic()

    def livez() -> list[Check]:
        blocked = time.monotonic() - heartbeat
        return [Check(name="event-loop", error="blocked" if blocked > 0.2 else "")]

    server = ProbeServer(("127.0.0.1", 0), livez=livez, readyz=list, metrics=Metrics())
    server.start()
    responses: list[tuple[int, str]] = []
    reported = threading.Event()

    def probe() -> None:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and (not responses or responses[-1][0] != 503):
            responses.append(fetch(server, "/livez"))
            time.sleep(0.02)
        reported.set()

    heartbeat = time.monotonic()
    prober = threading.Thread(target=probe)
    prober.start()
    reported.wait(30)  # blocks the event loop until the probe reports it
    prober.join()
    await asyncio.to_thread(server.stop)

    assert (200, "ok") == responses[0]
    assert (503, "[-]event-loop failed: blocked\nlivez check failed\n") == responses[-1]
