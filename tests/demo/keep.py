"""What `--keep` prints: how to use the cluster that keeps running, and how to stop it."""

import sys
from pathlib import Path

from tests.demo import tenants
from tests.demo.environment import Environment
from tests.demo.printer import Printer


def keep_running(printer: Printer, environment: Environment) -> None:
    """Lets the cluster and the manager outlive this process, and prints how to use them."""
    group = environment.plane.detach()
    kubeconfig = environment.plane.kubeconfig
    program = relative(Path(sys.executable).with_name("profiles-controller"))
    tenant = tenants.UNTOUCHED[0].name
    kubectl = f"kubectl -n {tenant}"
    label = f"kubectl label --overwrite profile {tenant} quotas.statcan.gc.ca/pods"
    printer.headline("Still running")
    printer.facts(
        [
            ("manager", f"http://{environment.manager.address}/readyz?verbose and /metrics"),
            ("log", str(environment.manager.log)),
            ("kubeconfig", str(kubeconfig)),
        ]
    )
    printer.headline("Commands to try")
    for line in (
        f"export KUBECONFIG={kubeconfig}",
        "kubectl get profiles",
        f"kubectl describe profile {tenants.INVALID.name}",
        f"{kubectl} delete resourcequota quotas && {kubectl} get resourcequotas",
        f"{label}=12",
        f"{kubectl} get resourcequota quotas -o yaml",
        f"{label}=plenty",
        f"kubectl describe profile {tenant}",
        f"{program} diff all {tenant}; echo $?    # 0: no object would change",
        f"{program} diff all    # all Profiles, including those that are refused",
    ):
        printer.line(f"  {line}")
    printer.headline("To stop everything")
    printer.line(f"  kill -KILL -- -{group}; rm -r {environment.manager.log.parent}")


def relative(path: Path) -> str:
    """The path relative to the current directory, if it is below it."""
    current = Path.cwd()
    return str(path.relative_to(current)) if path.is_relative_to(current) else str(path)
