"""Fixtures for processes of the program, and their logs in the report of a failed test."""

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from controllers import registry
from profiles_controller.config.load import env_prefix
from tests.support.cluster import kubeflow, service_account
from tests.support.cluster.manager_process import (
    NO_EXTERNAL_SYSTEMS,
    Launcher,
    ManagerProcess,
    Start,
    tails,
)
from tests.support.controlplane import ControlPlane


@pytest.fixture(scope="module")
def launcher(
    control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Launcher]:
    """Starts processes against the shared control plane, and stops them after the module."""
    with Launcher(control_plane, tmp_path_factory.mktemp("processes")) as made:
        yield made
    kubeflow.delete_profiles(control_plane)


@pytest.fixture(scope="module")
def manager(launcher: Launcher) -> ManagerProcess:
    """A ready process with all controllers, for all tests of the module."""
    return launcher.start("all").wait_ready()


@pytest.fixture
def fresh_launcher(
    fresh_control_plane: Callable[..., ControlPlane], tmp_path: Path
) -> Iterator[Callable[..., Launcher]]:
    """Creates launchers for a control plane that the test may restart."""
    with ExitStack() as stack:

        def make(*, kubeflow_installed: bool = True, controller_manager: bool = False) -> Launcher:
            plane = fresh_control_plane(audit=True, controller_manager=controller_manager)
            if kubeflow_installed:
                kubeflow.install(plane)
            return stack.enter_context(Launcher(plane, tmp_path / "processes", allow_denied=True))

        yield make


@pytest.fixture
def start(launcher: Launcher, tmp_path: Path) -> Iterator[Start]:
    """Starts a controller with settings, with exactly the permissions that follow from them.

    One at a time: the one before is stopped. Arguments: name, settings, more of the command line.
    """
    running: list[ManagerProcess] = []

    def begin(name: str, settings: Mapping[str, Any], *arguments: str) -> ManagerProcess:
        while running:
            assert running.pop().stop() == 0
        file = tmp_path / "config.yaml"
        file.write_text(yaml.safe_dump({name: dict(settings)}))
        parsed = registry.load(name).settings.model_validate(dict(settings))
        kubeconfig = launcher.identity(
            service_account.name_of(name, settings), name, **{name: parsed}
        )
        command = ("--config", str(file), *arguments)
        own = env_prefix(name)  # a variable goes before the file
        others = {
            key: value for key, value in NO_EXTERNAL_SYSTEMS.items() if not key.startswith(own)
        }
        running.append(launcher.start(name, *command, kubeconfig=kubeconfig, variables=others))
        return running[0].wait_ready()

    yield begin
    for manager in running:
        manager.stop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if call.excinfo is not None and isinstance(item, pytest.Function):
        for value in item.funcargs.values():
            if isinstance(value, Launcher):
                report.sections.append(("processes", tails(value.running)))
            elif isinstance(value, ManagerProcess):
                report.sections.append(("suite", value.tail()))
    return report
