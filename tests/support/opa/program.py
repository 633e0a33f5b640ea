"""The OPA program. From an empty cache its build takes 45 seconds on two cores."""

from pathlib import Path

from tests.support.parts import Part, golang, report

HERE = Path(__file__).parent
PACKAGE = "github.com/open-policy-agent/opa"


def build(folder: Path) -> None:
    """Builds OPA from source."""
    report("building OPA: about a minute, once per machine")
    golang.build({"opa": PACKAGE}, folder, module=HERE)


OPA = Part(name="opa", install=build, locks=(HERE / "go.mod", HERE / "go.sum"))


def program() -> Path:
    """The path of OPA, which is built first if it is missing. Raises PartMissingError."""
    return OPA.ensure() / "opa"
