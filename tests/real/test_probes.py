"""What /livez and /readyz say of a process, while all is well and while it is not."""

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
    with Cable(control_plane) as made:
        yield made


def says(suite: Suite, path: str, *lines: str) -> bool:
    """Whether the probe's text holds each of these."""
    text = suite.page(path)
    missing = [line for line in lines if line not in text]
    assert not missing, f"{missing} is not in:\n{text}"
    return True


def test_a_process_is_ready_once_every_list_is_complete(
    suites: Suites, cable: Cable, tmp_path: Path
) -> None:
    kubeconfig = cable.kubeconfig(suites.identity("all"), tmp_path)
    cable.cut()
    suite = suites.start("all", kubeconfig=kubeconfig)
    waiting.until(lambda: suite.answers("/livez") == 200, "it serves probes")
    waiting.until(
        lambda: says(
            suite,
            "/readyz?verbose",
            "[-]informer/ResourceQuota failed: API server unreachable",
            "[-]profiles failed: API server unreachable",
        ),
        "it says why it is not ready",
    )
    before = (suite.answers("/readyz"), suite.answers("/livez"))
    gauges = suite.series("profiles_controller_informer_synced")

    cable.mend()

    suite.wait_ready()
    assert before == (503, 200)
    assert {value for _, value in gauges} == {0.0}
    assert suite.get("/readyz") == (200, "ok")
    assert says(
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


def test_a_watch_that_is_down_for_too_long_makes_a_process_unready(
    control_plane: ControlPlane, suites: Suites, cable: Cable, tmp_path: Path
) -> None:
    kubeflow.create_tenants(control_plane, ["overheard"])
    kubeconfig = cable.kubeconfig(suites.identity("all"), tmp_path)
    suite = suites.start("quotas", kubeconfig=kubeconfig, module=SHORT).wait_ready()
    waiting.until(lambda: observe.hard(control_plane, "overheard"), "the quota is made")

    cable.cut()
    waiting.until(
        lambda: says(suite, "/readyz", "informer/Namespace failed: watch down for", "profiles"),
        "it is not ready any more",
    )
    while_down = (suite.answers("/readyz"), suite.answers("/livez"))
    cable.mend()

    suite.wait_ready()
    observe.label(control_plane, "overheard", pods="4")
    waiting.until(
        lambda: observe.hard(control_plane, "overheard")["pods"] == "4", "it goes on with its work"
    )
    assert while_down == (503, 200)
    assert suite.stop() == 0


def test_a_reconcile_that_hangs_fails_the_liveness_probe(suites: Suites) -> None:
    kubeflow.create_tenants(suites.plane, ["hanging"])
    suite = suites.start("await", kubeconfig=suites.identity("all"), module=SHORT).wait_ready()
    alive = suite.answers("/livez")

    waiting.until(
        lambda: says(
            suite, "/livez?verbose", "[-]workers/await failed: a reconcile has been running for"
        ),
        "the worker's hanging is told",
    )

    assert alive == 200
    assert says(suite, "/livez?verbose", "[+]event-loop ok")
    assert suite.answers("/livez") == 503
    assert suite.answers("/readyz") == 200
    suite.kill()


def test_an_event_loop_that_is_blocked_fails_the_liveness_probe(suites: Suites) -> None:
    kubeflow.create_tenants(suites.plane, ["blocking"])
    suite = suites.start("block", kubeconfig=suites.identity("all"), module=SHORT)

    waiting.until(
        lambda: (
            suite.answers("/livez") == 503
            and says(suite, "/livez?verbose", "[-]event-loop failed: blocked for")
        ),
        "the loop's hanging is told",
        seconds=60,
    )

    assert short_timeouts.BLOCKED_SECONDS > short_timeouts.HANG_SECONDS
    suite.kill()


def test_a_process_waits_for_the_profile_crd_and_says_so(
    fresh_suites: Callable[..., Suites],
) -> None:
    suites = fresh_suites(kubeflow_installed=False)
    suite = suites.start("all")
    waiting.until(
        lambda: says(
            suite,
            "/readyz?verbose",
            "[-]profiles failed: CustomResourceDefinition profiles.kubeflow.org is not served yet",
            "[+]informer/Namespace ok",
        ),
        "it says what it waits for",
    )
    before = (suite.answers("/readyz"), suite.answers("/livez"))

    kubeflow.install_profiles(suites.plane)
    kubeflow.create_tenants(suites.plane, ["first"])

    suite.wait_ready()
    observe.wait_in_shape(suites.plane, "first")
    assert before == (503, 200)
    assert "Traceback" not in suite.text()
    assert suite.stop() == 0


def test_a_port_that_is_taken_is_named(suites: Suites) -> None:
    kubeconfig = suites.identity("all")
    first = suites.start("all", kubeconfig=kubeconfig).wait_ready()
    second = suites.start("all", "--listen", f"{HOST}:{first.port}", kubeconfig=kubeconfig)

    code = second.wait()

    assert code == 2
    assert f"cannot listen on {HOST}:{first.port}: Address already in use" in second.text()
    assert "Traceback" not in second.text()
    assert first.stop() == 0


def test_an_unreachable_api_server_is_tried_again_and_told(
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
        "it tries again, and says so",
    )
    warnings = suite.lines(message="watch is down")

    assert {line["kind"] for line in warnings} == kinds
    assert all("API server unreachable: " in line["error"] for line in warnings)
    assert suite.lines(level="error") == []
    assert suite.answers("/readyz") == 503
    assert suite.stop() == 0
    assert "Traceback" not in suite.text()


def test_a_token_that_nobody_knows_is_told_without_a_traceback(
    suites: Suites, control_plane: ControlPlane
) -> None:
    token = service_account.user("nobody")  # a token that no API server knows
    kubeconfig = control_plane.kubeconfig_for("nobody", token)
    suite = suites.start("all", kubeconfig=kubeconfig)
    waiting.until(
        lambda: says(
            suite,
            "/readyz?verbose",
            "[-]informer/Namespace failed: 401 Unauthorized",
            "[-]profiles failed: the API server responded 401",
        ),
        "it says that it is not let in",
    )
    assert suite.stop() == 0
    assert "Traceback" not in suite.text()
    assert ports.is_free(HOST, suite.port)
