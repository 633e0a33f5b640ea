"""A real Kubernetes control plane for the tests, the demo and the bench.

with ControlPlane.start(workdir, controller_manager=True) as plane:
    plane.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "jane"}})
"""

from tests.support.controlplane.client import Client, Json, StatusError
from tests.support.controlplane.control_plane import ControlPlane
from tests.support.controlplane.processes import ChildFailedError

__all__ = [
    "ChildFailedError",
    "Client",
    "ControlPlane",
    "Json",
    "StatusError",
]
