"""`python -m helm.generators`: write the generated files; with --check only list stale ones."""

from __future__ import annotations

import sys

import typer

from controllers import registry
from helm.generators import declarations, readmes, schemas

USAGE = "usage: python -m helm.generators [--check]"
_GENERATORS = (declarations.file, schemas.file, readmes.file)


def main(arguments: list[str]) -> int:
    """Return the exit code. 0: success; 1: a file is stale, with --check; 2: invalid usage."""
    if arguments not in ([], ["--check"]):
        typer.echo(USAGE, err=True)
        return 2
    stale = []
    for generate in _GENERATORS:
        path, content = generate(registry.controllers())
        if path.exists() and path.read_text(encoding="utf-8") == content:
            continue
        stale.append(path.name)
        if not arguments:
            path.write_text(content, encoding="utf-8")
    if stale and arguments:
        typer.echo(f"stale: {', '.join(stale)}. Run ./taskw generate", err=True)
        return 1
    for name in stale:
        typer.echo(f"written: {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
