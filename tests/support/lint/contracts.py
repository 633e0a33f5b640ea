"""Types of import contracts that import-linter lacks, for .importlinter."""

import sys
from collections.abc import Iterator
from typing import cast

from grimp import ImportGraph, Layer
from importlinter import Contract, ContractCheck, fields, output
from importlinter.domain import helpers, imports

ROOT = "controllers"
NAMED = ("registry", "runtime")


def controller_packages(graph: ImportGraph) -> set[str]:
    """The packages of the controllers."""
    folders = {child for child in graph.find_children(ROOT) if graph.find_children(child)}
    return folders - {f"{ROOT}.{name}" for name in NAMED}


def layers(graph: ImportGraph) -> list[Layer]:
    """Highest first; what is neither process, registry, controller nor runtime is the base."""
    controllers = controller_packages(graph)
    named = {f"{ROOT}.{name}" for name in NAMED}
    base = graph.find_children(ROOT) - controllers - named
    candidates = (
        ({"profiles_controller"}, True),
        ({f"{ROOT}.registry"}, True),
        (controllers, True),
        ({f"{ROOT}.runtime"}, True),
        (base, False),
    )
    return [
        Layer(*sorted(present), independent=independent)
        for modules, independent in candidates
        if (present := modules & graph.modules)
    ]


class ControllerLayers(Contract):
    """The layers of the suite. Controllers import each other neither directly nor indirectly."""

    type_name = "controller_layers"

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # noqa: ARG002, FBT001 -- import-linter's signature
        found = graph.find_illegal_dependencies_for_layers(layers(graph))
        chains = sorted(
            " -> ".join((*sorted(route.heads), *route.middle, *sorted(route.tails)))
            for dependency in found
            for route in dependency.routes
        )
        return ContractCheck(kept=not chains, metadata={"broken": chains})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for chain in check.metadata["broken"]:
            output.print_error(f"- {chain}")


class PureModules(Contract):
    """Modules that import only the listed modules and siblings, and pure standard modules."""

    type_name = "pure_modules"

    modules = fields.ListField(subfield=fields.ModuleExpressionField())
    allowed = fields.SetField(subfield=fields.StringField())
    allowed_siblings = fields.SetField(subfield=fields.StringField())
    forbidden_standard_library = fields.SetField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # noqa: ARG002, FBT001 -- import-linter's signature
        pure = helpers.module_expressions_to_modules(
            graph=graph,
            expressions=cast("list[imports.ModuleExpression]", self.modules),
            as_packages=True,
        )
        broken = sorted(
            f"{module.name} -> {imported}"
            for module in pure
            for imported in self.impure_imports(graph, module.name)
        )
        return ContractCheck(kept=not broken, metadata={"broken": broken})

    def impure_imports(self, graph: ImportGraph, module: str) -> Iterator[str]:
        # import-linter puts the parsed value where the class declares the field.
        allowed = cast("set[str]", self.allowed)
        siblings = cast("set[str]", self.allowed_siblings)
        forbidden = cast("set[str]", self.forbidden_standard_library)
        package = ".".join(module.split(".")[:2])
        own = {package, *(f"{package}.{sibling}" for sibling in siblings)}
        standard = sys.stdlib_module_names - forbidden
        for imported in graph.find_modules_directly_imported_by(module):
            if imported not in allowed | own and imported.split(".")[0] not in standard:
                yield imported

    def render_broken_contract(self, check: ContractCheck) -> None:
        for broken in check.metadata["broken"]:
            output.print_error(f"- {broken}")
