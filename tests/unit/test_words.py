"""Retired words stay out of names and texts (CONTRIBUTING.md, "Words").

The suite once had a dialect of its own. `docs/renames.md` lists what each name became. This test
reads every tracked Python, Markdown, YAML and template file, so that a new text cannot bring a
retired word back.
"""

import functools
import io
import re
import subprocess
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.docs import markdown

_NAME_WORDS = frozenset(
    {
        "absorb",
        "afresh",
        "anew",
        "backlog",
        "bade",
        "barred",
        "befall",
        "befalls",
        "boards",
        "bury",
        "census",
        "censuses",
        "chore",
        "chores",
        "concerning",
        "dispensable",
        "echoes",
        "faults",
        "fleeting",
        "furnish",
        "furnished",
        "furnishes",
        "haunted",
        "heed",
        "heeded",
        "heeds",
        "hurried",
        "hurry",
        "inherited",
        "inherits",
        "keeper",
        "keepers",
        "lookout",
        "lookouts",
        "lose",
        "mailbox",
        "mend",
        "mended",
        "mends",
        "news",
        "nobodys",
        "outsides",
        "patience",
        "patient",
        "removable",
        "sight",
        "sights",
        "spare",
        "spared",
        "stumble",
        "survey",
        "surveys",
        "sweep",
        "sweeps",
        "told",
        "trouble",
        "troubles",
        "unguarded",
        "unwell",
        "userless",
        "wakes",
        "whosever",
        "wish",
        "wishes",
        "withheld",
        "worlds",
    }
)
"""Parts of a Python name, between underscores or capitals."""

_TEXT_WORDS = (
    "afresh",
    "anew",
    "bade",
    "befalls?",
    "bidden",
    "census(es)?",
    "chores?",
    "echoes",
    "fares",
    "heed(s|ed|ing)?",
    "hurry",
    "lookouts?",
    "made anew",
    "mailbox(es)?",
    "mend(s|ed|ing)?",
    "put right",
    "puts? in line",
    "in shape",
    "is had",
    "be had",
    "it reads alone",
    "spared?",
    "stumbles?",
    "troubles?",
    "under our hands",
    "well again",
    "who(m|se)?ever",
    "wish(es)?",
    "wakes?",
    "nobody's",
    "told",
    "its word",
    "their words",
)
"""Regular expressions for whole words in comments, strings and documents."""

_TEXT = re.compile(rf"(?<![\w-])({'|'.join(_TEXT_WORDS)})(?![\w-])", re.IGNORECASE)
_PART = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_SUFFIXES = (".py", ".md", ".yml", ".yaml", ".tpl", ".txt", ".toml")
_EXEMPT = frozenset(
    {
        "docs/renames.md",  # lists the retired names
        "tests/unit/test_words.py",
        "LICENSE",
    }
)


@functools.cache
def tracked() -> tuple[str, ...]:
    """The repository's text files, by path."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=markdown.ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return tuple(
        path
        for path in listed.stdout.splitlines()
        if path.endswith(_SUFFIXES) and path not in _EXEMPT and (markdown.ROOT / path).is_file()
    )


def names(source: str) -> Iterator[tuple[int, str]]:
    """Line and text of each Python name."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.NAME:
            yield token.start[0], token.string


def prose(source: str) -> Iterator[tuple[int, str]]:
    """Line and text of each comment and string."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in (tokenize.COMMENT, tokenize.STRING):
            for offset, line in enumerate(token.string.splitlines()):
                yield token.start[0] + offset, line


def words(name: str) -> set[str]:
    """The parts of a name, in lower case."""
    return {part.lower() for piece in name.split("_") for part in _PART.findall(piece)}


def violations(path: str) -> list[str]:
    """Where a file uses a retired word: ``line: word in context``."""
    source = Path(markdown.ROOT, path).read_text(encoding="utf-8")
    found = []
    if path.endswith(".py"):
        texts = prose(source)
        found += [
            f"{line}: name {name}" for line, name in names(source) if words(name) & _NAME_WORDS
        ]
    else:
        texts = iter(enumerate(source.splitlines(), start=1))
    for line, text in texts:
        found += [f"{line}: {match[0]!r} in {text.strip()[:90]}" for match in _TEXT.finditer(text)]
    return found


@pytest.mark.parametrize("folder", sorted({path.partition("/")[0] for path in tracked()}))
def test_no_file_of_a_folder_has_a_retired_word(folder: str) -> None:
    paths = [path for path in tracked() if path.partition("/")[0] == folder]

    assert {path: found for path in paths if (found := violations(path))} == {}


@pytest.mark.parametrize(
    ("name", "retired"),
    [("spared_keys", "spared"), ("hasTrouble", "trouble"), ("CensusTaker", "census")],
)
def test_a_retired_word_in_a_name_is_found(name: str, retired: str) -> None:
    assert retired in words(name) & _NAME_WORDS


@pytest.mark.parametrize(
    "text", ["The object is made anew.", "put right by the next reconcile", "Tell whoever asks"]
)
def test_a_retired_word_in_a_text_is_found(text: str) -> None:
    assert _TEXT.search(text)
