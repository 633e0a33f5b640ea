"""Every part by name, and which parts each task needs."""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.support.azure import program as azurite
from tests.support.chart import programs as chart
from tests.support.controlplane import programs as control_plane
from tests.support.crds import upstream
from tests.support.opa import program as opa

PARTS: Mapping[str, Callable[[], Path]] = {
    "control-plane": lambda: control_plane.ensure_server().apiserver,
    "controller-manager": control_plane.ensure_controller_manager,
    "istio-crds": functools.partial(upstream.folder, upstream.ISTIO),
    "argo-cd-crds": functools.partial(upstream.folder, upstream.ARGO_CD),
    "prometheus-operator-crds": functools.partial(upstream.folder, upstream.PROMETHEUS),
    **{name: functools.partial(chart.program, name) for name in chart.PACKAGES},
    "azurite": azurite.AZURITE.ensure,
    "opa": opa.program,
}
"""Each function returns where the part is, and installs the part first if it is missing."""

TASKS: Mapping[str, tuple[str, ...]] = {
    "demo": ("control-plane", "istio-crds"),
    "bench": ("control-plane", "istio-crds"),
    "check": ("helm",),
    "test": tuple(PARTS),
}
