"""Fixtures for servers. A server starts when the first test needs it."""

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
    """A shared control plane with controller manager, audit log, Kubeflow's CRDs and roles.

    Each test uses its own Profiles, and stops nothing.
    """
    workdir = tmp_path_factory.mktemp("control-plane")
    with ControlPlane.start(workdir, controller_manager=True, audit=True) as plane:
        kubeflow.install(plane)
        yield plane


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A shared Postgres server. Each test uses its own names, and none stops it."""
    server = Postgres.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[Postgres]:
    """A Postgres server for one module, whose tests may stop it."""
    server = Postgres.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def seaweedfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFS]:
    """A shared object store. Each test uses its own bucket and users."""
    store = SeaweedFS.start(tmp_path_factory.mktemp("seaweedfs"))
    yield store
    store.stop()


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """A shared Azurite. Each test uses its own containers, and none stops it."""
    server = Azurite.start(tmp_path_factory.mktemp("azurite"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def opa(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opa]:
    """A shared OPA. Each test uses its own documents, and none stops it."""
    server = Opa.start(tmp_path_factory.mktemp("opa"))
    yield server
    server.stop()


@pytest.fixture
def fresh_control_plane(tmp_path: Path) -> Iterator[Callable[..., ControlPlane]]:
    """Starts control planes for one test. The arguments are those of ControlPlane.start.

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
