"""What `--keep` leaves behind, how to go on from there, and how to end it."""

import sys
from pathlib import Path

from tests.demo import tenants
from tests.demo.screens import Screen
from tests.demo.stages import Stage


def farewell(screen: Screen, stage: Stage) -> None:
    """Cluster and suite outlive this process from here on."""
    group = stage.plane.detach()
    kubeconfig = stage.plane.kubeconfig
    program = shortest(Path(sys.executable).with_name("profiles-controller"))
    tenant = tenants.BYSTANDERS[0].name
    kubectl = f"kubectl -n {tenant}"
    label = f"kubectl label --overwrite profile {tenant} quotas.statcan.gc.ca/pods"
    screen.headline("Left running")
    screen.facts(
        [
            ("suite", f"http://{stage.suite.address}/readyz?verbose and /metrics"),
            ("its log", str(stage.suite.log)),
            ("kubeconfig", str(kubeconfig)),
        ]
    )
    screen.headline("To go on")
    for line in (
        f"export KUBECONFIG={kubeconfig}",
        "kubectl get profiles",
        f"kubectl describe profile {tenants.MISTAKEN.name}",
        f"{kubectl} delete resourcequota quotas && {kubectl} get resourcequotas",
        f"{label}=12",
        f"{kubectl} get resourcequota quotas -o yaml",
        f"{label}=plenty",
        f"kubectl describe profile {tenant}",
        f"{program} diff all {tenant}; echo $?    # 0: nothing would change",
        f"{program} diff all    # all Profiles, and which are refused",
    ):
        screen.say(f"  {line}")
    screen.headline("To stop everything")
    screen.say(f"  kill -KILL -- -{group}; rm -r {stage.suite.log.parent}")


def shortest(path: Path) -> str:
    """As seen from here, where it lies below."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
