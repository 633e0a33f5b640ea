"""What the limitranges controller owns."""

from __future__ import annotations

from controllers.limitranges import desired, names
from controllers.limitranges.config import LimitRangesSettings
from controllers.runtime.controller import Controller, Owned, no_facts

CONTROLLER = Controller(
    name="limitranges",
    summary="One LimitRange for each profile namespace: what containers get that ask for nothing",
    settings=LimitRangesSettings,
    facts=None,
    # Listed without a selector: a namespace has hardly another, and so a plan sees what it adopts.
    owned=(Owned(kind="LimitRange", legacy=names.is_legacy),),
    desired=desired.desired,
    findings=desired.findings,
    gather=no_facts,
)
