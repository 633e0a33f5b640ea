"""The import contracts of our own break when they should."""

import grimp
import pytest

from tests.support.lint import contracts

MODULES = (
    "profiles_controller.cli.app",
    "controllers.registry",
    "controllers.quotas.controller",
    "controllers.quotas.desired",
    "controllers.quotas.config",
    "controllers.rbac.controller",
    "controllers.runtime.workqueue",
    "controllers.manifests",
    "controllers.profiles",
)
KEPT = (
    ("profiles_controller.cli.app", "controllers.registry"),
    ("controllers.registry", "controllers.quotas.controller"),
    ("controllers.quotas.controller", "controllers.runtime.workqueue"),
    ("controllers.quotas.controller", "controllers.quotas.desired"),
    ("controllers.quotas.desired", "controllers.quotas.config"),
    ("controllers.quotas.desired", "controllers.manifests"),
    ("controllers.quotas.desired", "decimal"),
    ("controllers.runtime.workqueue", "controllers.manifests"),
    ("controllers.profiles", "controllers.manifests"),
)


def graph_with(*imports: tuple[str, str]) -> grimp.ImportGraph:
    graph = grimp.ImportGraph()
    for module in MODULES:
        parts = module.split(".")
        for length in range(1, len(parts) + 1):
            graph.add_module(".".join(parts[:length]))
    for importer, imported in (*KEPT, *imports):
        graph.add_import(importer=importer, imported=imported)
    return graph


def layers() -> contracts.ControllerLayers:
    return contracts.ControllerLayers("layers", {}, {})


def purity() -> contracts.PureModules:
    options = {
        "modules": ["controllers.*.desired"],
        "allowed": ["controllers.manifests"],
        "allowed_siblings": ["config"],
        "forbidden_standard_library": ["os"],
    }
    return contracts.PureModules("pure", {}, options)


def test_the_suites_own_imports_are_kept() -> None:
    graph = graph_with()

    assert layers().check(graph, verbose=False).kept
    assert purity().check(graph, verbose=False).kept


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("controllers.rbac.controller", "controllers.quotas.desired"),
        ("controllers.rbac.controller", "controllers.registry"),
        ("controllers.runtime.workqueue", "controllers.quotas.config"),
        ("controllers.manifests", "controllers.runtime.workqueue"),
        ("controllers.registry", "profiles_controller.cli.app"),
    ],
)
def test_an_import_upwards_or_between_controllers_breaks_the_layers(
    importer: str, imported: str
) -> None:
    check = layers().check(graph_with((importer, imported)), verbose=False)

    assert check.metadata["broken"]
    assert not check.kept


@pytest.mark.parametrize(
    "imported", ["os", "kopf", "controllers.runtime.workqueue", "controllers.quotas.controller"]
)
def test_a_pure_module_imports_nothing_but_what_is_listed(imported: str) -> None:
    check = purity().check(graph_with(("controllers.quotas.desired", imported)), verbose=False)

    assert check.metadata["broken"] == [f"controllers.quotas.desired -> {imported}"]
