"""What the image holds works: the steps of its first stage, run here, and a controller of that."""

import re
import subprocess
from pathlib import Path

import pytest

from profiles_controller import DISTRIBUTION, version
from tests.support.cluster import kubeflow, observe, waiting
from tests.support.cluster.manager_process import Launcher, environment
from tests.support.controlplane import ControlPlane
from tests.support.docs import markdown
from tests.support.image import dockerfile

pytestmark = pytest.mark.xdist_group("namespaces")


@pytest.fixture(scope="module")
def venv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the final stage gets."""
    root = tmp_path_factory.mktemp("image")
    dockerfile.run(dockerfile.stages()[0], root)
    return root / "opt" / "venv"


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_image_contains_only_the_locked_requirements_and_the_package(venv: Path) -> None:
    lock = (markdown.ROOT / "requirements.lock").read_text()
    pinned = re.findall(r"^([\w.-]+)==(\S+)( ; \S.*)? \\$", lock, re.MULTILINE)

    installed = {
        canonical(name): release
        for info in venv.glob("lib/python3*/site-packages/*.dist-info")
        for name, release in [info.stem.rsplit("-", 1)]
    }
    assert installed.pop(DISTRIBUTION) == version()
    everywhere = {canonical(name): release for name, release, marker in pinned if not marker}
    assert everywhere.items() <= installed.items()
    assert installed.keys() <= {canonical(name) for name, *_ in pinned}
    assert not list(venv.glob("bin/pip*"))


def test_the_entry_point_prints_its_help(venv: Path) -> None:
    done = subprocess.run(
        (venv / "bin" / "profiles-controller", "--help"),
        env=environment(), capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip

    assert "Kubernetes controllers for Kubeflow Profiles." in done.stdout


def test_a_controller_of_the_image_reconciles_a_tenant(
    venv: Path, control_plane: ControlPlane, launcher: Launcher
) -> None:
    kubeflow.create_tenants(control_plane, ["imaged"])

    program = (str(venv / "bin" / "profiles-controller"),)
    manager = launcher.start("quotas", program=program).wait_ready()

    waiting.until(
        lambda: observe.condition_status(control_plane, "imaged", "QuotasReady") == "True",
        "it is ready",
    )
    assert observe.quota_hard(control_plane, "imaged")
    assert manager.stop() == 0
