"""`python -m tests.support.controlplane build`: find or get all parts, and say where they are."""

import sys

from tests.support.azure import installs
from tests.support.controlplane import modules, parts, tools
from tests.support.opa import builds

USAGE = "usage: python -m tests.support.controlplane build"


def main() -> int:
    if sys.argv[1:] != ["build"]:
        print(USAGE, file=sys.stderr)
        return 2
    try:
        found = parts.ensure()
        modules.ensure()
        azurite = installs.ensure()
        tools.ensure()
        opa = builds.ensure()
    except parts.PartMissingError as error:
        print(f"parts: {error}", file=sys.stderr)
        return 1
    print(f"parts: control plane {parts.kubernetes_version()} in {found.apiserver.parent}")
    for name in modules.versions():
        print(f"parts: {name} in {modules.folder(name)}")
    print(f"parts: Azurite in {azurite}")
    print(f"parts: {', '.join(tools.PACKAGES)} in {tools.folder()}")
    print(f"parts: OPA in {opa.parent}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
