"""What the notebook controller owns."""

from __future__ import annotations

from controllers.notebook import desired, names
from controllers.notebook.config import NotebookSettings
from controllers.runtime.controller import Controller, Owned, no_facts

CONTROLLER = Controller(
    name="notebook",
    summary="One PodDefault for each profile namespace, which marks notebooks as Protected B",
    settings=NotebookSettings,
    facts=None,
    # Listed without a selector: a namespace has few of them, and so a plan sees what it adopts.
    owned=(Owned(kind="PodDefault", legacy=names.is_legacy),),
    desired=desired.desired,
    gather=no_facts,
)
