"""What the limitranges controller owns."""

from __future__ import annotations

from controllers.limitranges import desired, names
from controllers.limitranges.config import LimitRangesSettings
from controllers.runtime import Controller, Owned, always, no_facts

CONTROLLER = Controller(
    name="limitranges",
    summary="One LimitRange for each profile namespace: defaults for containers that set none",
    settings=LimitRangesSettings,
    facts=None,
    observe=no_facts,
    desired=desired.desired,
    # Listed without a label selector, so that the plan finds what it adopts; a namespace has few.
    owned=always(Owned(kind="LimitRange", adopt_legacy=names.is_legacy)),
)
