"""/livez and /readyz of a process, in normal operation and during failures."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from controllers.runtime.cache import subscriptions
from tests.support.builders import registered
from tests.support.cli import short_timeouts
from tests.support.cluster import kubeflow, observe, service_account, waiting
from tests.support.cluster.suite import HOST, Suite, Suites
from tests.support.controlplane import ControlPlane, ports
from tests.support.network.tcp_proxy import Cable

pytestmark = pytest.mark.xdist_group("probes")

SHORT = "tests.support.cli.short_timeouts"


@pytest.fixture
def cable(control_plane: ControlPlane) -> Iterator[Cable]:
    with Cable(control_plane) as created:
        yield created


def contains(suite: Suite, path: str, *lines: str) -> bool:
    """Returns True; asserts that the response contains each of these lines."""
    text = suite.page(path)
    missing = [line for line in lines if line not in text]
    assert not missing, f"{missing} is not in:\n{text}"
    return True


def test_readyz_passes_once_every_list_is_complete(
    suites: Suites, cable: Cable, tmp_path: Path
) -> None:
    kubeconfig = cable.kubeconfig(suites.identity("all"), tmp_path)
    cable.cut()
    suite = suites.start("all", kubeconfig=kubeconfig)
    waiting.until(lambda: suite.answers("/livez") == 200, "it serves probes")
    waiting.until(
        lambda: contains(
            suite,
            "/readyz?verbose",
            "[-]informer/ResourceQuota failed: API server unreachable",
            "[-]profiles failed: API server unreachable",
        ),
        "/readyz shows why it is not ready",
    )
    before = (suite.answers("/readyz"), suite.answers("/livez"))
    gauges = suite.series("profiles_controller_informer_synced")

    cable.mend()

    suite.wait_ready()
    assert before == (503, 200)
    assert {value for _, value in gauges} == {0.0}
    assert suite.get("/readyz") == (200, "ok")
    assert contains(
        suite,
        "/readyz?verbose",
        "[+]profiles ok\n",
        "[+]informer/Namespace ok\n",
        "[+]informer/ResourceQuota ok\n",
        "[+]informer/LimitRange ok\n",
        "readyz check passed",
    )
    assert {value for _, value in suite.series("profiles_controller_informer_synced")} == {1.0}
    assert suite.stop() == 0


def test_readyz_fails_while_a_watch_is_down_for_too_long(
    control_plane: ControlPlane, suites: Suites, cable: Cable, tmp_path: Path
) -> None:
    kubeflow.create_tenants(control_plane, ["watched"])
    kubeconfig = cable.kubeconfig(suites.identity("all"), tmp_path)
    suite = suites.start("quotas", kubeconfig=kubeconfig, module=SHORT).wait_ready()
    waiting.until(lambda: observe.hard(control_plane, "watched"), "the quota is created")

    cable.cut()
    waiting.until(
        lambda: contains(suite, "/readyz", "informer/Namespace failed: watch down for", "profiles"),
        "/readyz fails",
    )
    while_down = (suite.answers("/readyz"), suite.answers("/livez"))
    cable.mend()

    suite.wait_ready()
    observe.label(control_plane, "watched", pods="4")
    waiting.until(
        lambda: observe.hard(control_plane, "watched")["pods"] == "4", "it reconciles again"
    )
    assert while_down == (503, 200)
    assert suite.stop() == 0


def test_livez_fails_while_a_reconcile_hangs(suites: Suites) -> None:
    kubeflow.create_tenants(suites.plane, ["hanging"])
    suite = suites.start("await", kubeconfig=suites.identity("all"), module=SHORT).wait_ready()
    alive = suite.answers("/livez")

    waiting.until(
        lambda: contains(
            suite, "/livez?verbose", "[-]workers/await failed: a reconcile has been running for"
        ),
        "the hanging worker fails /livez",
    )

    assert alive == 200
    assert contains(suite, "/livez?verbose", "[+]event-loop ok")
    assert suite.answers("/livez") == 503
    assert suite.answers("/readyz") == 200
    suite.kill()


def test_livez_fails_while_the_event_loop_is_blocked(suites: Suites) -> None:
    kubeflow.create_tenants(suites.plane, ["blocking"])
    suite = suites.start("block", kubeconfig=suites.identity("all"), module=SHORT)

    waiting.until(
        lambda: (
            suite.answers("/livez") == 503
            and contains(suite, "/livez?verbose", "[-]event-loop failed: blocked for")
        ),
        "the blocked event loop fails /livez",
        seconds=60,
    )

    assert short_timeouts.BLOCKED_SECONDS > short_timeouts.HANG_SECONDS
    suite.kill()


def test_readyz_fails_until_the_profile_crd_is_served(
    fresh_suites: Callable[..., Suites],
) -> None:
    suites = fresh_suites(kubeflow_installed=False)
    suite = suites.start("all")
    waiting.until(
        lambda: contains(
            suite,
            "/readyz?verbose",
            "[-]profiles failed: CustomResourceDefinition profiles.kubeflow.org is not served yet",
            "[+]informer/Namespace ok",
        ),
        "/readyz shows what is missing",
    )
    before = (suite.answers("/readyz"), suite.answers("/livez"))

    kubeflow.install_profiles(suites.plane)
    kubeflow.create_tenants(suites.plane, ["first"])

    suite.wait_ready()
    observe.wait_in_shape(suites.plane, "first")
    assert before == (503, 200)
    assert "Traceback" not in suite.text()
    assert suite.stop() == 0


def test_a_port_in_use_is_an_error(suites: Suites) -> None:
    kubeconfig = suites.identity("all")
    first = suites.start("all", kubeconfig=kubeconfig).wait_ready()
    second = suites.start("all", "--listen", f"{HOST}:{first.port}", kubeconfig=kubeconfig)

    code = second.wait()

    assert code == 2
    assert f"cannot listen on {HOST}:{first.port}: Address already in use" in second.text()
    assert "Traceback" not in second.text()
    assert first.stop() == 0


def test_an_unreachable_api_server_is_retried_and_logged(
    suites: Suites, cable: Cable, tmp_path: Path
) -> None:
    watched = subscriptions.subscriptions(
        [(one, registered.settings(one)) for one in registered.TOGETHER]
    )
    kinds = {"Profile", *(name.partition(" ")[0] for name in watched)}
    cable.cut()
    kubeconfig = cable.kubeconfig(suites.identity("all"), tmp_path)
    suite = suites.start("all", kubeconfig=kubeconfig)
    waiting.until(
        lambda: (
            suite.text().count("unreachable") >= len(kinds) and suite.requests(code="<error>") >= 6
        ),
        "it retries and logs the outage",
    )
    warnings = suite.lines(message="watch is down")

    assert {line["kind"] for line in warnings} == kinds
    assert all("API server unreachable: " in line["error"] for line in warnings)
    assert suite.lines(level="error") == []
    assert suite.answers("/readyz") == 503
    assert suite.stop() == 0
    assert "Traceback" not in suite.text()


def test_a_rejected_token_is_reported_without_a_traceback(
    suites: Suites, control_plane: ControlPlane
) -> None:
    token = service_account.user("nobody")  # no API server accepts this token
    kubeconfig = control_plane.kubeconfig_for("nobody", token)
    suite = suites.start("all", kubeconfig=kubeconfig)
    waiting.until(
        lambda: contains(
            suite,
            "/readyz?verbose",
            "[-]informer/Namespace failed: 401 Unauthorized",
            "[-]profiles failed: the API server responded 401",
        ),
        "/readyz shows the rejected token",
    )
    assert suite.stop() == 0
    assert "Traceback" not in suite.text()
    assert ports.is_free(HOST, suite.port)
