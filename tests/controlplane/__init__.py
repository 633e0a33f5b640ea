"""A real Kubernetes control plane for tests, demo and bench.

with ControlPlane.start(workdir, controller_manager=True) as plane:
    plane.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "jane"}})
"""

from tests.controlplane.clients import Client, Json, StatusError
from tests.controlplane.parts import PartMissingError
from tests.controlplane.planes import ControlPlane
from tests.controlplane.processes import ChildFailedError

__all__ = [
    "ChildFailedError",
    "Client",
    "ControlPlane",
    "Json",
    "PartMissingError",
    "StatusError",
]
