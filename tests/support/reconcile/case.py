"""A row of a reconcile table, and the table of a controller."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from controllers.manifests import Body, Key
from controllers.profiles import Profile
from controllers.runtime.controller import AnyController
from tests.support import builders
from tests.support.builders import registered
from tests.support.fakes import FakeCluster, harness

Event = tuple[str, str, str]
"""Type, reason and message."""


Content = Mapping[Key, Mapping[str, Any] | None]
"""Fields of objects, by key. None stands for an object that does not exist."""


def event(*changes: str) -> Event:
    """The event about changes, such as `ResourceQuota alice/quotas create`."""
    return ("Normal", "Reconciled", ", ".join(changes))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """One row: the Profile alice and the objects before, and what a reconcile must do.

    `requests` has the exact requests for single objects of the owned kinds, as `POST Kind ns/name`.
    The order of the requests for one object matters. None does not check them, nor the events.
    `after` has the fields that objects must have afterwards, by key; a value of None stands for an
    object that must not exist. `condition` and `after` default to those of the table. `names` are
    the names of all objects of the first owned kind.
    """

    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    annotations: Mapping[str, str] = dataclasses.field(default_factory=dict)
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    before: Sequence[Body] = ()
    requests: Sequence[str] | None = ()
    events: Sequence[Event] = ()
    condition: tuple[str, str] | None = None
    after: Content | None = None
    names: frozenset[str] | None = None

    def profile(self) -> Profile:
        """The Profile of the row."""
        return builders.profile(labels=self.labels, annotations=self.annotations)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
    """The rows of one controller.

    `defaults` are settings that all rows share. `condition` and `after` apply to rows without their
    own. A controller with external systems does not observe: it gets the facts that it declares.
    """

    controller: AnyController
    cases: Mapping[str, Case]
    defaults: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    condition: tuple[str, str] | None = None
    after: Content = dataclasses.field(default_factory=dict)
    _settings: dict[int, Any] = dataclasses.field(default_factory=dict, repr=False)
    """The parsed settings of each row: a row runs hundreds of times."""

    def settings(self, case: Case) -> Any:
        """The parsed settings of a row of this table."""
        if id(case) not in self._settings:
            required = registered.required_settings(self.controller)
            self._settings[id(case)] = self.controller.settings.model_validate(
                {**required, **self.defaults, **case.settings}
            )
        return self._settings[id(case)]

    def controller_for(self, case: Case) -> AnyController:
        """The controller that runs with the settings of a row."""
        controller = self.controller.for_settings(self.settings(case))
        if controller.external is None:
            return controller
        return with_declared_facts(controller)

    def cluster(
        self, case: Case, change: Callable[[Sequence[Body]], Sequence[Body]] = list
    ) -> FakeCluster:
        """A cluster with the Profile, its namespace, and the changed objects of the row."""
        cluster = harness.tenants(labels=case.labels, annotations=case.annotations)
        for namespace in self.controller.access.namespaces(self.settings(case)):
            cluster.objects.put(builders.namespace_body(namespace, owned=False))
        for body in change(case.before):
            cluster.objects.put(body)
        return cluster


def with_declared_facts(controller: AnyController) -> AnyController:
    """The controller, with the facts that it declares and without external systems."""

    async def observe(*_: object) -> Any:
        return controller.facts

    return dataclasses.replace(controller, observe=observe, external=None)
