"""The course of the demo: prepare a cluster, start the controllers, simulate failures, check."""

import dataclasses
import itertools
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from controllers.runtime.objects.kinds import KINDS
from tests.demo import damage, profile_steps, tenants
from tests.demo.damage import Step
from tests.demo.edits import OVERRIDES
from tests.demo.environment import Environment, ExpectationError
from tests.demo.printer import Printer, format_seconds
from tests.demo.process import ManagerProcess
from tests.demo.state import ClusterState
from tests.support.builders import registered
from tests.support.cluster import kubeflow
from tests.support.controlplane import ControlPlane

OPTIONAL = {name for name, kind in KINDS.items() if kind.optional}
UNTOUCHED = (*(tenant.name for tenant in tenants.UNTOUCHED), tenants.RAISED.name)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """A step that succeeded, and the seconds until recovery."""

    step: Step
    seconds: float


def prepare(printer: Printer, folder: Path, cleanup: ExitStack) -> Environment:
    """A cluster with Kubeflow's objects, and a manager to start. `cleanup` stops both."""
    controllers = registered.RUN_BY_ALL
    with printer.task("control plane") as task:
        plane = ControlPlane.start(folder / "control-plane")
        cleanup.callback(plane.stop)
        task.detail = f"Kubernetes {plane.request('GET', '/version')['gitVersion']}"
    with printer.task("Kubeflow") as task:
        kubeflow.install(plane)
        owned = {own.kind for each in controllers for own in each.default_owned()}
        crds = sorted(owned & OPTIONAL)
        task.detail = f"its roles, and the CRDs of {', '.join(['Profile', *crds])}"
    manager = ManagerProcess(plane, controllers, folder)
    cleanup.callback(manager.kill)
    return Environment(
        plane=plane, state=ClusterState(), manager=manager, controllers=controllers, tenants={}
    )


def run(printer: Printer, environment: Environment, pause: float) -> None:
    """Runs all steps, with a pause in seconds before each. Raises ExpectationError.

    The environment's state must be watched meanwhile.
    """
    create_profiles(printer, environment)
    printer.show_table(environment)
    reconcile_seconds = start(printer, environment)
    printer.print_table()
    writes_before = environment.state.writes(environment.tenants)
    printer.headline("Simulated failures and time to recovery")
    results = []
    for step in steps(environment):
        time.sleep(pause)
        results.append(run_step(printer, environment, step))
    facts = [*verify(environment, writes_before), *recovery_times(results)]
    printer.print_last_table()
    printer.headline("Summary")
    objects = sum(len(environment.state.owned(name)) for name in environment.tenants)
    names = ", ".join(controller.name for controller in environment.controllers)
    size = f"{objects} objects of {len(environment.tenants)} Profiles, by {names}"
    started = f"reconciled in {format_seconds(reconcile_seconds)}"
    printer.facts([("managed", f"{size}; {started}"), *facts])
    printer.headline("All checks passed.")


def create_profiles(printer: Printer, environment: Environment) -> None:
    """Creates the Profiles, with the namespaces that Kubeflow creates for them."""
    with printer.task(f"{len(tenants.TENANTS)} Profiles") as task:
        for tenant in tenants.TENANTS:
            profile = environment.create_profile(tenant)
            if not tenant.foreign:
                kubeflow.create_namespace(environment.plane, profile)
                kubeflow.create_namespace_objects(environment.plane, profile)
        task.detail = "with the namespaces that Kubeflow creates; among them:"
    for tenant in tenants.TENANTS:
        if tenant.note:
            printer.line(f"  {tenant.name:<15}  {tenant.note}")


def start(printer: Printer, environment: Environment) -> float:
    """Starts the manager; returns the seconds until every Profile is reconciled, once ready."""
    with printer.task("manager") as task:
        environment.manager.start()
        environment.manager.wait_ready()
        task.detail = "one process, with the permissions of its ClusterRole only"
    ready = time.monotonic()
    with printer.task("reconciled") as task:
        reconciled = environment.wait(environment.unexpected_status, "first reconcile")
        task.detail = "every Profile has the expected condition of each controller"
    return max(reconciled - ready, 0.0)


def steps(environment: Environment) -> Iterator[Step]:
    """All steps. Each is created after the previous one ended, because it reads the state."""
    turns = itertools.cycle(tenants.DAMAGED)
    for controller in environment.controllers:
        for change in (damage.edit_content, damage.remove_label, damage.delete_object):
            name = next(turns).name
            for key in damage.first_of_each_kind(environment, controller.name, name):
                yield from change(environment, key)
    for override in OVERRIDES:
        yield from profile_steps.set_and_remove_label(environment, override)
    for create in (
        profile_steps.correct_label,
        profile_steps.create_namespace,
        profile_steps.change_owner,
        profile_steps.recreate_namespace,
        profile_steps.restart,
        profile_steps.delete_profile,
        profile_steps.resume,
    ):
        yield create(environment)


def run_step(printer: Printer, environment: Environment, step: Step) -> Result:
    """Runs and prints a step. Every Profile must have the expected conditions afterwards."""
    name = f"{step.tenant}: {step.title}"
    with printer.spinner(name):
        step.prepare()
        started = time.monotonic()
        step.act()
        seconds = environment.wait(step.pending, name) - started
        environment.wait(environment.unexpected_status, f"{name}: conditions")
    printer.step(step, format_seconds(seconds) if step.timed else "")
    return Result(step=step, seconds=seconds)


def verify(environment: Environment, writes_before: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    """Facts about the Profiles that no step touched. Raises ExpectationError."""
    names = untouched(environment)
    for name, count in environment.state.writes(names).items():
        if count != writes_before[name]:
            extra = count - writes_before[name]
            raise ExpectationError(f"{name}: no step touched it, and {extra} writes followed")
    objects = sum(len(environment.state.owned(name)) for name in names)
    yield "unaffected", f"{objects} objects of {len(names)} other tenants: no further write"
    foreign, invalid = tenants.FOREIGN.name, tenants.INVALID.name
    if text := environment.unwanted_object([foreign]):
        raise ExpectationError(f"{foreign} is not controlled by its Profile: {text}")
    yield "refused", f"{foreign}: its Profile does not control the namespace; no write"
    yield "reported", f"{invalid}: the invalid label; its other quotas were applied"


def untouched(environment: Environment) -> list[str]:
    """The tenants for which no step requires a write."""
    handed_over = tenants.HANDED_OVER.name
    affected = profile_steps.object_with_owner(environment, profile_steps.NEW_OWNER)
    return [*UNTOUCHED, *([] if affected else [handed_over])]


def recovery_times(results: Sequence[Result]) -> Iterator[tuple[str, str]]:
    """The number of steps, and the time to recovery."""
    times = sorted(result.seconds for result in results if result.step.repair)
    if times:
        minimum, median, maximum = map(
            format_seconds, (times[0], statistics.median(times), times[-1])
        )
        figures = f"median {median}, minimum {minimum}, maximum {maximum}"
        yield "repaired", f"{len(times)} of {len(times)} damaged objects: {figures}"
    others = sum(not result.step.repair for result in results)
    yield "applied", f"{others} of {others} other changes: labels, namespaces, Profiles, a restart"
