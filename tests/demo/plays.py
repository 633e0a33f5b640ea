"""The whole demo: from an empty machine to the last check."""

import dataclasses
import itertools
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from controllers.runtime.objects.kinds import KINDS
from tests.demo import episodes, scenes, tenants
from tests.demo.scenes import Scene
from tests.demo.screens import Screen, spell
from tests.demo.scripts import OVERRIDES
from tests.demo.stages import Stage, UnmetError
from tests.demo.suites import Suite
from tests.demo.worlds import World
from tests.support.builders import registered
from tests.support.cluster import kubeflow
from tests.support.controlplane import ControlPlane

OPTIONAL = {name for name, kind in KINDS.items() if kind.optional}
BYSTANDERS = (*(tenant.name for tenant in tenants.BYSTANDERS), tenants.OVERRIDDEN.name)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Played:
    """A scene that ended well, after so many seconds."""

    scene: Scene
    seconds: float


def built(screen: Screen, folder: Path, ends: ExitStack) -> Stage:
    """A cluster with what Kubeflow brings, and a suite that may be started. `ends` ends both."""
    controllers = registered.TOGETHER
    with screen.step("control plane") as step:
        plane = ControlPlane.start(folder / "control-plane")
        ends.callback(plane.stop)
        step.detail = f"Kubernetes {plane.request('GET', '/version')['gitVersion']}"
    with screen.step("Kubeflow") as step:
        kubeflow.install(plane)
        crds = sorted({own.kind for each in controllers for own in each.default_owned()} & OPTIONAL)
        step.detail = f"its roles, and the CRDs of {', '.join(['Profile', *crds])}"
    suite = Suite(plane, controllers, folder)
    ends.callback(suite.kill)
    return Stage(plane=plane, world=World(), suite=suite, controllers=controllers, cast={})


def play(screen: Screen, stage: Stage, pace: float) -> None:
    """Raises UnmetError as soon as something is not as it should be. `pace` is a pause's seconds.

    The stage's world is being watched meanwhile.
    """
    populated(screen, stage)
    screen.show(stage)
    settling = started(screen, stage)
    screen.table()
    before = stage.world.writes(stage.cast)
    screen.headline("What befalls the cluster, and how long until all is as it should be")
    played = []
    for scene in programme(stage):
        time.sleep(pace)
        played.append(performed(screen, stage, scene))
    facts = [*verified(stage, before), *told(played)]
    screen.last_table()
    screen.headline("Summary")
    kept = sum(len(stage.world.kept(name)) for name in stage.cast)
    names = ", ".join(controller.name for controller in stage.controllers)
    shape = f"{kept} objects for {len(stage.cast)} Profiles, by {names}; {spell(settling)} at start"
    screen.facts([("kept", shape), *facts])
    screen.headline("All is as it should be.")


def populated(screen: Screen, stage: Stage) -> None:
    """The Profiles, each with the namespace that Kubeflow makes for it."""
    with screen.step(f"{len(tenants.TENANTS)} Profiles") as step:
        for tenant in tenants.TENANTS:
            profile = stage.enter(tenant)
            if not tenant.foreign:
                kubeflow.create_namespace(stage.plane, profile)
                kubeflow.furnish_namespace(stage.plane, profile)
        step.detail = "with namespaces, as Kubeflow makes them; among them:"
    for tenant in tenants.TENANTS:
        if tenant.part:
            screen.say(f"  {tenant.name:<15}  {tenant.part}")


def started(screen: Screen, stage: Stage) -> float:
    """The suite; the seconds that it took, once it was ready, to bring everything into shape."""
    with screen.step("suite") as step:
        stage.suite.start()
        stage.suite.await_ready()
        step.detail = "a process of its own, with the rights of its ClusterRole and no other"
    ready = time.monotonic()
    with screen.step("all in shape") as step:
        settled = stage.wait(stage.unsettled, "bringing the Profiles into shape")
        step.detail = "every Profile tells of every controller what it should"
    return max(settled - ready, 0.0)


def programme(stage: Stage) -> Iterator[Scene]:
    """Made one by one: a scene may look at what the one before left."""
    turns = itertools.cycle(tenants.DAMAGED)
    for controller in stage.controllers:
        for damage in (scenes.edited, scenes.relabelled, scenes.deleted):
            for key in scenes.first_kept(stage, controller.name, next(turns).name):
                yield from damage(stage, key)
    for override in OVERRIDES:
        yield from episodes.overridden(stage, override)
    for episode in (
        *(episodes.mended, episodes.arrived, episodes.handed_over, episodes.recreated),
        *(episodes.restarted, episodes.left, episodes.resumed),
    ):
        yield episode(stage)


def performed(screen: Screen, stage: Stage, scene: Scene) -> Played:
    """Tells how the scene went; every Profile must tell the truth of itself afterwards."""
    what = f"{scene.tenant}: {scene.title}"
    with screen.busy(what):
        scene.prepare()
        began = time.monotonic()
        scene.act()
        seconds = stage.wait(scene.lacking, what) - began
        stage.wait(stage.unsettled, f"{what}: what the Profiles tell of themselves")
    took = spell(seconds) if scene.timed else ""
    screen.scene(scene.tenant, scene.title, scene.verdict, took)
    return Played(scene=scene, seconds=seconds)


def verified(stage: Stage, before: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    """That nobody was harmed: a fact each, or UnmetError."""
    names = untouched(stage)
    for name, count in stage.world.writes(names).items():
        if count != before[name]:
            raise UnmetError(f"{name}: nobody touched it, and {count - before[name]} writes came")
    objects = sum(len(stage.world.kept(name)) for name in names)
    whose = f"{objects} objects of {len(names)} tenants"
    yield "undisturbed", f"{whose}: none was written again, whatever befell the others"
    foreign, mistaken = tenants.FOREIGN.name, tenants.MISTAKEN.name
    if trespass := stage.meddled([foreign]):
        raise UnmetError(f"{foreign} is not its Profile's own: {trespass}")
    yield ("refused", f"{foreign}: its Profile does not control it, nothing was written there")
    yield ("reported", f"{mistaken}: the bad label, while all its other quotas were in force")


def untouched(stage: Stage) -> list[str]:
    """Whose objects nothing has happened to that would have to be answered."""
    handed_over = tenants.HANDED_OVER.name
    follows = episodes.mentions(stage, episodes.NEW_OWNER)
    return [*BYSTANDERS, *([] if follows else [handed_over])]


def told(played: Sequence[Played]) -> Iterator[tuple[str, str]]:
    """The figures."""
    times = sorted(one.seconds for one in played if one.scene.repair)
    if times:
        fastest, median, slowest = times[0], statistics.median(times), times[-1]
        figures = f"median {spell(median)}, fastest {spell(fastest)}, slowest {spell(slowest)}"
        yield "repaired", f"{len(times)} of {len(times)} damaged objects: {figures}"
    others = sum(not one.scene.repair for one in played)
    yield (
        "followed",
        f"{others} of {others} other events: labels, namespaces, arrivals, a restart ...",
    )
