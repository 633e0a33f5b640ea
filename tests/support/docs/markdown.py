"""Parses Markdown documents: links, headings, tables, examples."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[3]

_FENCE = re.compile(r"^```(?P<language>\S*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"^(?P<level>#+) (?P<title>.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Document:
    """A file, or a section of it."""

    path: Path
    text: str

    @property
    def name(self) -> str:
        """The path in the repository."""
        return str(self.path.relative_to(ROOT))

    @cached_property
    def prose(self) -> str:
        """The text without its fenced blocks."""
        return _FENCE.sub("", self.text)

    @property
    def links(self) -> list[str]:
        """The link targets within the repository."""
        targets = [match["target"] for match in _LINK.finditer(self.prose)]
        return [target for target in targets if "://" not in target]

    @property
    def anchors(self) -> set[str]:
        """The anchors that GitHub derives from headings."""
        return {_slug(match["title"]) for match in _HEADING.finditer(self.prose)}

    def examples(self, language: str) -> list[str]:
        """Return the fenced blocks of a language."""
        found = _FENCE.finditer(self.text)
        return [match["text"] for match in found if match["language"] == language]

    def section(self, title: str) -> "Document":
        """Return the section with this title, up to the next heading of its level or higher."""
        headings = list(_HEADING.finditer(self._unfenced()))
        for number, match in enumerate(headings):
            if match["title"] == title:
                level = len(match["level"])
                ends = (each for each in headings[number + 1 :] if len(each["level"]) <= level)
                end = next((each.start() for each in ends), len(self.text))
                return Document(self.path, self.text[match.start() : end])
        raise AssertionError(f"{self.name} has no section {title!r}")

    def rows(self) -> Iterator[list[str]]:
        """Yield the rows of all tables, without headings; cells without backticks."""
        for line in self.prose.splitlines():
            cells = [cell.strip().replace("`", "") for cell in line.strip("| ").split(" | ")]
            if line.startswith("| `") and len(cells) > 1:
                yield cells

    def _unfenced(self) -> str:
        """Return the text with fenced blocks replaced by spaces, so that positions stay."""
        return _FENCE.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), self.text)


def read(name: str) -> Document:
    """Read a document by its path in the repository."""
    path = ROOT / name
    return Document(path, path.read_text(encoding="utf-8"))


def everything() -> list[Document]:
    """Read all documents of the repository."""
    paths = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    return [read(str(path.relative_to(ROOT))) for path in sorted(paths)]


def _slug(title: str) -> str:
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
