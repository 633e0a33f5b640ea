"""Runs a row in a fake cluster. The functions return what the checks compare."""

import contextlib
import dataclasses
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

from controllers.manifests import COMPONENT_LABEL, Body, Key, Manifest
from controllers.runtime.objects.kinds import KINDS, Mode
from controllers.runtime.options import Options
from tests.support import builders
from tests.support.fakes import FakeCluster, Request, harness
from tests.support.reconcile.case import Case, Table

REPORTING = ("Event", "Profile")
SERVER_METADATA = ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields")
DEFAULT_OPTIONS = Options(listen=None)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """The end of an undisturbed run: objects of the owned kinds, and the condition."""

    objects: Mapping[Key, Body]
    condition: tuple[str, str]
    requests: int
    """Requests of reconciles: writes, and reads of single objects."""


@contextlib.asynccontextmanager
async def running(
    table: Table, case: Case, cluster: FakeCluster, options: Options = DEFAULT_OPTIONS
) -> AsyncIterator[harness.Harness]:
    """The manager with the row's controller, once it is idle."""
    assembly = (table.controller_for(case), table.settings(case))
    async with harness.running(assembly, cluster=cluster, options=options) as process:
        yield process


async def outcome(table: Table, case: Case) -> Outcome:
    """The outcome of a run without failures."""
    cluster = table.cluster(case)
    async with running(table, case, cluster) as process:
        return Outcome(
            objects=objects(table, case, cluster),
            condition=condition(process),
            requests=sum(map(is_of_a_reconcile, cluster.requests)),
        )


def condition(process: harness.Harness) -> tuple[str, str]:
    """Status and message of the only condition."""
    (found,) = process.conditions().values()
    return found


def kinds(table: Table, case: Case) -> list[str]:
    """The owned kinds."""
    return list(dict.fromkeys(own.kind for own in table.controller.owned(table.settings(case))))


def objects(table: Table, case: Case, cluster: FakeCluster) -> dict[Key, Body]:
    """The objects of the owned kinds, without the metadata that the API server sets."""
    found = {}
    for kind in kinds(table, case):
        for body in cluster.objects.all_of(kind):
            metadata = {k: v for k, v in body["metadata"].items() if k not in SERVER_METADATA}
            found[key_of(body)] = {**body, "metadata": metadata}
    return found


def managed(table: Table, case: Case, found: Mapping[Key, Body]) -> Iterator[Key]:
    """The keys of the objects that the controller manages."""
    name = table.controller_for(case).name
    for key, body in found.items():
        if (body["metadata"].get("labels") or {}).get(COMPONENT_LABEL) == name:
            yield key


def manifests(table: Table, case: Case) -> dict[Key, Manifest]:
    """The desired objects by the declared facts."""
    controller = table.controller_for(case)
    desired = controller.desired(case.profile(), controller.facts, table.settings(case))
    return {one.key: one for one in desired.objects}


def requests_by_object(table: Table, case: Case, cluster: FakeCluster) -> dict[str, list[str]]:
    """The methods of the requests for single objects of the owned kinds, by object."""
    found: dict[str, list[str]] = defaultdict(list)
    owned = set(kinds(table, case))
    for request in cluster.requests:
        single = request.method == "POST" or request.target.name
        if single and request.kind in owned:
            method, _, key = str(request).partition(" ")
            found[key].append(method)
    return dict(found)


def expected_requests(case: Case) -> dict[str, list[str]]:
    """The requests of the row, by object."""
    found: dict[str, list[str]] = defaultdict(list)
    for text in case.requests or ():
        method, _, key = text.partition(" ")
        found[key].append(method)
    return dict(found)


def is_of_a_reconcile(request: Request) -> bool:
    """Whether the request is a write, or a read of a single object."""
    return request.method != "WATCH" and (request.method != "GET" or bool(request.target.name))


class Nth:
    """Matches the request of a reconcile that has this number."""

    def __init__(self, number: int) -> None:
        self._left = number

    def __call__(self, request: Request) -> bool:
        if not is_of_a_reconcile(request):
            return False
        self._left -= 1
        return self._left == -1


def key_of(body: Body) -> Key:
    metadata = body["metadata"]
    return Key(body["kind"], metadata.get("namespace", ""), metadata["name"])


def without_labels(body: Body, *, owners: list[Body] | None = None) -> Body:
    """The object without labels, with these owner references if given."""
    metadata = {key: value for key, value in body["metadata"].items() if key != "labels"}
    if owners is not None:
        metadata["ownerReferences"] = owners
    return {**body, "metadata": metadata}


def without_content(body: Body) -> Body:
    """The object without the content that can be changed; otherwise without its labels."""
    kind = KINDS[body["kind"]]
    if kind.immutable or kind.mode is Mode.APPLY or not kind.content:
        return {**body, "metadata": {**body["metadata"], "labels": {}}}
    return {field: value for field, value in body.items() if field not in kind.content}


def replacing(*bodies: Body) -> Any:
    """A change of a row's objects: these replace the objects with the same key, or are added."""
    new = {key_of(body): body for body in bodies}

    def change(before: Any) -> list[Body]:
        return [*(body for body in before if key_of(body) not in new), *new.values()]

    return change


BOB = builders.profile_reference("bob")
