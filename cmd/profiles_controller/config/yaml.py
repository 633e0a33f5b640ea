"""Parses YAML strictly, and writes it for people to read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

# PyYAML's constructors raise these, unwrapped, for scalars such as `2001-99-99` and `!!int ""`.
_CONSTRUCTOR_ERRORS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


class DocumentError(Exception):
    """A file cannot be read or is not valid YAML. The message contains no value of the file."""


def read(path: Path) -> bytes:
    """Returns the content of a file. Raises DocumentError."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise DocumentError(error.strerror or type(error).__name__) from error
    except ValueError as error:  # a NUL in the path
        raise DocumentError(str(error)) from error


def parse(content: bytes) -> list[Any]:
    """Returns the documents that are not empty. Raises DocumentError."""
    try:
        documents = list(yaml.load_all(content, Loader=_StrictLoader))
    except yaml.MarkedYAMLError as error:
        raise DocumentError(_located(error)) from error
    except yaml.reader.ReaderError as error:
        raise DocumentError(f"byte {error.position} is not UTF-8 or UTF-16 text") from error
    except RecursionError as error:
        raise DocumentError("nested too deeply") from error
    except _CONSTRUCTOR_ERRORS as error:  # of objects that PyYAML completes after the loader
        raise DocumentError("a value does not match its tag") from error
    return [document for document in documents if document is not None]


def dump(documents: Iterable[Any]) -> str:
    """Returns the documents as YAML, separated by ``---``; keys keep their order."""
    return "---\n".join(
        yaml.dump(_plain(document), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=4096)
        for document in documents
    )


class _Dumper(yaml.SafeDumper):
    """The safe dumper without anchors; it writes text of several lines as a block."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's signature
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


class _StrictLoader(yaml.SafeLoader):
    """The safe loader; it also rejects duplicate keys."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # noqa: FBT001, FBT002 - PyYAML's signature
        try:
            return super().construct_object(node, deep=deep)
        except _CONSTRUCTOR_ERRORS as error:
            tag = node.tag.rpartition(":")[2]
            raise _error_at(f"not a valid {tag}", node) from error

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - as above
        duplicate = _duplicate_key(node)
        if duplicate is not None:
            raise _error_at(f"duplicate key {duplicate.value!r}", duplicate)
        return super().construct_mapping(node, deep=deep)


def _duplicate_key(node: yaml.Node) -> yaml.ScalarNode | None:
    seen: set[tuple[str, str]] = set()
    # The tag `!!set` may precede any node, and PyYAML checks the node only later.
    for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
        if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
            continue
        if (key.tag, key.value) in seen:
            return key
        seen.add((key.tag, key.value))
    return None


def _error_at(problem: str, node: yaml.Node) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)


def _located(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return where + (error.problem or error.context or "invalid YAML")
