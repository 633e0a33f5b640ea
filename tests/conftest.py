"""Fixtures that need a control plane; what starts one costs nothing to those who ask for none."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.support.azure import Azurite
from tests.support.cluster import kubeflow
from tests.support.controlplane import ControlPlane
from tests.support.objectstore.seaweedfs import SeaweedFS
from tests.support.opa import Opa
from tests.support.postgres.server import Postgres

# A busy machine is slow at times; that says nothing about the code.
hypothesis.settings.register_profile("suite", deadline=None, print_blob=True)
hypothesis.settings.load_profile("suite")


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """One for all tests of this worker: controller manager, audit log, Kubeflow's CRDs and roles.

    Tests share it, so each makes Profiles under names of its own and kills nothing.
    """
    workdir = tmp_path_factory.mktemp("control-plane")
    with ControlPlane.start(workdir, controller_manager=True, audit=True) as plane:
        kubeflow.install(plane)
        yield plane


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One for all tests of this worker, each with names of its own; none stops it."""
    server = Postgres.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[Postgres]:
    """One for a module, whose tests may stop it and what not."""
    server = Postgres.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def seaweedfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFS]:
    """One object store for all tests of this worker: each uses a bucket and users of its own."""
    store = SeaweedFS.start(tmp_path_factory.mktemp("seaweedfs"))
    yield store
    store.stop()


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """One for all tests of this worker, each with containers of its own; none stops it."""
    server = Azurite.start(tmp_path_factory.mktemp("azurite"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def opa(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opa]:
    """One for all tests of this worker, each with documents of its own; none stops it."""
    server = Opa.start(tmp_path_factory.mktemp("opa"))
    yield server
    server.stop()


@pytest.fixture
def fresh_control_plane(tmp_path: Path) -> Iterator[Callable[..., ControlPlane]]:
    """Makes control planes for one test alone; arguments as ControlPlane.start without workdir.

    They come empty: `kubeflow.install` brings the CRDs.
    """
    with contextlib.ExitStack() as stack:
        started = 0

        def start(**arguments: object) -> ControlPlane:
            nonlocal started
            started += 1
            workdir = tmp_path / f"control-plane-{started}"
            return stack.enter_context(ControlPlane.start(workdir, **arguments))  # type: ignore[arg-type]

        yield start
