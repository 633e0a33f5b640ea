"""Generated rows of every controller in the registry: a new tenant, and objects that drifted."""

from collections.abc import Iterator, Sequence

from controllers import registry
from controllers.manifests import Body
from controllers.runtime.controller import AnyController
from controllers.runtime.objects.kinds import KINDS
from tests.support import builders
from tests.support.builders.registered import OPT_IN_LABELS
from tests.support.reconcile import runner
from tests.support.reconcile.case import Case, Table


def table(controller: AnyController) -> Table:
    """The generated rows of a controller, and of its other variants."""
    new = Case(labels=OPT_IN_LABELS, requests=None)
    plain = Table(controller=controller, cases={"opted in": new})
    drifted = Case(labels=OPT_IN_LABELS, before=tuple(drifted_objects(plain, new)), requests=None)
    return Table(controller=controller, cases={"opted in": new, "opted in and drifted": drifted})


def drifted_objects(plain: Table, case: Case) -> Iterator[Body]:
    """The desired objects, edited, and an object that is no longer desired."""
    controller = plain.controller_for(case)
    manifests = [one for one in runner.manifests(plain, case).values() if not one.update_only]
    bodies = builders.bodies(manifests, case.profile(), component=controller.name)
    for manifest, body in zip(manifests, bodies, strict=True):
        yield body if manifest.create_only else runner.without_content(body)
    kind = runner.kinds(plain, case)[0]
    namespace = case.profile().namespace if KINDS[kind].namespaced else ""
    labels = builders.managed_labels(controller.name)
    yield builders.object_body(kind, "no-longer-desired", namespace, labels=labels)


TABLES: Sequence[Table] = tuple(table(controller) for controller in registry.controllers())
