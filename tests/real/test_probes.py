"""/livez and /readyz of a process, in normal operation and during failures."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from controllers.runtime.cache import subscriptions
from tests.support.builders import registered
from tests.support.cli import short_timeouts
from tests.support.cluster import kubeflow, observe, service_account, waiting
from tests.support.cluster.manager_process import HOST, Launcher, ManagerProcess
from tests.support.controlplane import ControlPlane, ports
from tests.support.network.tcp_proxy import TCPProxy

pytestmark = pytest.mark.xdist_group("probes")

SHORT = "tests.support.cli.short_timeouts"


@pytest.fixture
def proxy(control_plane: ControlPlane) -> Iterator[TCPProxy]:
    with TCPProxy(control_plane) as created:
        yield created


def contains(manager: ManagerProcess, path: str, *lines: str) -> bool:
    """Returns True; asserts that the response contains each of these lines."""
    text = manager.probe_text(path)
    missing = [line for line in lines if line not in text]
    assert not missing, f"{missing} is not in:\n{text}"
    return True


def test_readyz_passes_once_every_list_is_complete(
    launcher: Launcher, proxy: TCPProxy, tmp_path: Path
) -> None:
    kubeconfig = proxy.kubeconfig(launcher.identity("all"), tmp_path)
    proxy.disconnect()
    manager = launcher.start("all", kubeconfig=kubeconfig)
    waiting.until(lambda: manager.probe_status("/livez") == 200, "it serves probes")
    waiting.until(
        lambda: contains(
            manager,
            "/readyz?verbose",
            "[-]informer/ResourceQuota failed: API server unreachable",
            "[-]profiles failed: API server unreachable",
        ),
        "/readyz shows why it is not ready",
    )
    before = (manager.probe_status("/readyz"), manager.probe_status("/livez"))
    gauges = manager.series("profiles_controller_informer_synced")

    proxy.restore()

    manager.wait_ready()
    assert before == (503, 200)
    assert {value for _, value in gauges} == {0.0}
    assert manager.get("/readyz") == (200, "ok")
    assert contains(
        manager,
        "/readyz?verbose",
        "[+]profiles ok\n",
        "[+]informer/Namespace ok\n",
        "[+]informer/ResourceQuota ok\n",
        "[+]informer/LimitRange ok\n",
        "readyz check passed",
    )
    assert {value for _, value in manager.series("profiles_controller_informer_synced")} == {1.0}
    assert manager.stop() == 0


def test_readyz_fails_while_a_watch_is_down_for_too_long(
    control_plane: ControlPlane, launcher: Launcher, proxy: TCPProxy, tmp_path: Path
) -> None:
    kubeflow.create_tenants(control_plane, ["watched"])
    kubeconfig = proxy.kubeconfig(launcher.identity("all"), tmp_path)
    manager = launcher.start("quotas", kubeconfig=kubeconfig, module=SHORT).wait_ready()
    waiting.until(lambda: observe.quota_hard(control_plane, "watched"), "the quota is created")

    proxy.disconnect()
    waiting.until(
        lambda: contains(
            manager, "/readyz", "informer/Namespace failed: watch down for", "profiles"
        ),
        "/readyz fails",
    )
    while_down = (manager.probe_status("/readyz"), manager.probe_status("/livez"))
    proxy.restore()

    manager.wait_ready()
    observe.set_quota_labels(control_plane, "watched", pods="4")
    waiting.until(
        lambda: observe.quota_hard(control_plane, "watched")["pods"] == "4", "it reconciles again"
    )
    assert while_down == (503, 200)
    assert manager.stop() == 0


def test_livez_fails_while_a_reconcile_hangs(launcher: Launcher) -> None:
    kubeflow.create_tenants(launcher.plane, ["hanging"])
    manager = launcher.start(
        "await", kubeconfig=launcher.identity("all"), module=SHORT
    ).wait_ready()
    alive = manager.probe_status("/livez")

    waiting.until(
        lambda: contains(
            manager, "/livez?verbose", "[-]workers/await failed: a reconcile has been running for"
        ),
        "the hanging worker fails /livez",
    )

    assert alive == 200
    assert contains(manager, "/livez?verbose", "[+]event-loop ok")
    assert manager.probe_status("/livez") == 503
    assert manager.probe_status("/readyz") == 200
    manager.kill()


def test_livez_fails_while_the_event_loop_is_blocked(launcher: Launcher) -> None:
    kubeflow.create_tenants(launcher.plane, ["blocking"])
    manager = launcher.start("block", kubeconfig=launcher.identity("all"), module=SHORT)

    waiting.until(
        lambda: (
            manager.probe_status("/livez") == 503
            and contains(manager, "/livez?verbose", "[-]event-loop failed: blocked for")
        ),
        "the blocked event loop fails /livez",
        seconds=60,
    )

    assert short_timeouts.BLOCKED_SECONDS > short_timeouts.HANG_SECONDS
    manager.kill()


def test_readyz_fails_until_the_profile_crd_is_served(
    fresh_launcher: Callable[..., Launcher],
) -> None:
    launcher = fresh_launcher(kubeflow_installed=False)
    manager = launcher.start("all")
    waiting.until(
        lambda: contains(
            manager,
            "/readyz?verbose",
            "[-]profiles failed: CustomResourceDefinition profiles.kubeflow.org is not served yet",
            "[+]informer/Namespace ok",
        ),
        "/readyz shows what is missing",
    )
    before = (manager.probe_status("/readyz"), manager.probe_status("/livez"))

    kubeflow.install_profiles(launcher.plane)
    kubeflow.create_tenants(launcher.plane, ["first"])

    manager.wait_ready()
    observe.wait_ready(launcher.plane, "first")
    assert before == (503, 200)
    assert "Traceback" not in manager.text()
    assert manager.stop() == 0


def test_a_port_in_use_is_an_error(launcher: Launcher) -> None:
    kubeconfig = launcher.identity("all")
    first = launcher.start("all", kubeconfig=kubeconfig).wait_ready()
    second = launcher.start("all", "--listen", f"{HOST}:{first.port}", kubeconfig=kubeconfig)

    code = second.wait()

    assert code == 2
    assert f"cannot listen on {HOST}:{first.port}: Address already in use" in second.text()
    assert "Traceback" not in second.text()
    assert first.stop() == 0


def test_an_unreachable_api_server_is_retried_and_logged(
    launcher: Launcher, proxy: TCPProxy, tmp_path: Path
) -> None:
    watched = subscriptions.subscriptions(
        [(one, registered.sample_settings(one)) for one in registered.RUN_BY_ALL]
    )
    kinds = {"Profile", *(name.partition(" ")[0] for name in watched)}
    proxy.disconnect()
    kubeconfig = proxy.kubeconfig(launcher.identity("all"), tmp_path)
    manager = launcher.start("all", kubeconfig=kubeconfig)
    waiting.until(
        lambda: (
            manager.text().count("unreachable") >= len(kinds)
            and manager.requests(code="<error>") >= 6
        ),
        "it retries and logs the outage",
    )
    warnings = manager.lines(message="watch is down")

    assert {line["kind"] for line in warnings} == kinds
    assert all("API server unreachable: " in line["error"] for line in warnings)
    assert manager.lines(level="error") == []
    assert manager.probe_status("/readyz") == 503
    assert manager.stop() == 0
    assert "Traceback" not in manager.text()


def test_a_rejected_token_is_reported_without_a_traceback(
    launcher: Launcher, control_plane: ControlPlane
) -> None:
    token = service_account.user("nobody")  # no API server accepts this token
    kubeconfig = control_plane.kubeconfig_for("nobody", token)
    manager = launcher.start("all", kubeconfig=kubeconfig)
    waiting.until(
        lambda: contains(
            manager,
            "/readyz?verbose",
            "[-]informer/Namespace failed: 401 Unauthorized",
            "[-]profiles failed: the API server responded 401",
        ),
        "/readyz shows the rejected token",
    )
    assert manager.stop() == 0
    assert "Traceback" not in manager.text()
    assert ports.is_free(HOST, manager.port)
