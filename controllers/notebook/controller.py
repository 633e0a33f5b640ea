"""What the notebook controller owns."""

from __future__ import annotations

from controllers.notebook import desired, names
from controllers.notebook.config import NotebookSettings
from controllers.runtime import Controller, Owned, always, no_facts

CONTROLLER = Controller(
    name="notebook",
    summary="One PodDefault for each profile namespace, which marks notebooks as Protected B",
    settings=NotebookSettings,
    facts=None,
    observe=no_facts,
    desired=desired.desired,
    # Listed without a label selector, so that the plan finds what it adopts; a namespace has few.
    owned=always(Owned(kind="PodDefault", adopt_legacy=names.is_legacy)),
)
