"""Content and format of logs."""

import io
import json
import logging
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from profiles_controller import logs


@pytest.fixture
def restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    levels = {name: logging.getLogger(name).level for name in logs.MINIMUM_LEVELS}
    yield
    structlog.reset_defaults()
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


class Stream(io.BytesIO):
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.getvalue().splitlines()]


Configured = Callable[..., Stream]


@pytest.fixture
def configured(restored: None) -> Configured:  # noqa: ARG001 - restores what the test changes
    def configure(*, log_format: str = "json", level: str = "info") -> Stream:
        stream = Stream()
        logs.configure(log_format=log_format, level=level, stream=stream)
        return stream

    return configure


def fail(secret: str) -> None:
    raise LookupError(len(secret))


def test_a_line_starts_with_four_fields_before_the_bound_fields_in_their_order(
    configured: Configured,
) -> None:
    stream = configured()

    structlog.stdlib.get_logger("a.b").bind(profile="alice", controller="quotas").info(
        "reconciled", duration_ms=1.5
    )

    [line] = stream.lines()
    assert list(line) == [
        "timestamp", "level", "logger", "message", "profile", "controller", "duration_ms",
    ]  # fmt: skip
    assert datetime.fromisoformat(line.pop("timestamp")).utcoffset() is not None
    assert line == {
        "level": "info",
        "logger": "a.b",
        "message": "reconciled",
        "profile": "alice",
        "controller": "quotas",
        "duration_ms": 1.5,
    }


def test_a_bound_field_does_not_replace_one_of_the_first_four(configured: Configured) -> None:
    stream = configured()

    structlog.get_logger("a").info("text", message="other", level=7)

    [line] = stream.lines()
    assert (line["message"], line["message_"]) == ("text", "other")
    assert (line["level"], line["level_"]) == ("info", 7)


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("warning", ["warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_lower_levels_are_not_logged_by_structlog_or_logging(
    configured: Configured, level: str, expected: list[str]
) -> None:
    stream = configured(level=level)

    for one in (structlog.get_logger("ours"), logging.getLogger("theirs")):
        one.debug("x")
        one.info("x")
        one.warning("x")
        one.error("x")

    assert [line["level"] for line in stream.lines()] == expected * 2


def test_a_traceback_is_the_last_field_of_the_line(configured: Configured) -> None:
    stream = configured()
    ours, theirs = structlog.stdlib.get_logger("ours"), logging.getLogger("theirs")

    try:
        fail("four")
    except LookupError:
        ours.exception("failed", profile="alice")
        theirs.exception("failed")

    for line in stream.lines():
        assert line["level"] == "error"
        assert list(line)[-1] == "exception"
        assert line["exception"].startswith("Traceback (most recent call last):\n")
        assert line["exception"].endswith("LookupError: 4")


def test_records_of_libraries_have_the_same_format(configured: Configured) -> None:
    stream = configured()

    logging.getLogger("asyncio").warning("took %.1f s", 2)
    logging.getLogger("x").log(25, "between levels")
    wrong = {"name": "x", "levelno": logging.INFO, "msg": "%s and %s", "args": ("one",)}
    logs.StructlogHandler().emit(logging.makeLogRecord(wrong))

    assert [(line["logger"], line["level"], line["message"]) for line in stream.lines()] == [
        ("asyncio", "warning", "took 2.0 s"),
        ("x", "info", "between levels"),
        ("x", "info", "%s and %s ('one',)"),
    ]


def test_python_warnings_are_logged(configured: Configured) -> None:
    stream = configured()

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn("old", stacklevel=1)
        logging.captureWarnings(capture=False)

    [line] = stream.lines()
    assert line["logger"] == "py.warnings"


@pytest.mark.parametrize(
    ("name", "quiet"),
    [("kopf.objects", "info"), ("kubernetes.client.rest", "debug"), ("botocore.auth", "debug"),
     ("azure.core.pipeline", "info"), ("urllib3.connectionpool", "debug")],
)  # fmt: skip
def test_verbose_levels_of_some_libraries_are_not_logged(
    configured: Configured, name: str, quiet: str
) -> None:
    stream = configured(level="debug")

    getattr(logging.getLogger(name), quiet)("Authorization: ...")
    logging.getLogger(name).warning("logged")

    assert [line["message"] for line in stream.lines()] == ["logged"]


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_secret_is_logged_as_asterisks(configured: Configured, log_format: str) -> None:
    stream = configured(log_format=log_format)
    secret = SecretStr("hunter2")

    structlog.get_logger("a").info("x", secret=secret, nested={"a": [secret]})
    logging.getLogger("a").info("with %s", secret)
    try:
        fail(secret.get_secret_value())
    except LookupError:
        structlog.get_logger("a").exception("x")

    assert b"hunter2" not in stream.getvalue()
    assert b"*****" in stream.getvalue()


def test_a_second_configuration_replaces_the_first(configured: Configured) -> None:
    first, second = configured(), configured()

    logging.getLogger("a").info("x")

    assert first.lines() == []
    assert len(second.lines()) == 1


def test_console_lines_have_no_colour_outside_a_terminal(configured: Configured) -> None:
    stream = configured(log_format="console")

    structlog.get_logger("a.b").info("reconciled", profile="alice", n=1)

    [line] = stream.getvalue().decode().splitlines()
    assert "\x1b" not in line
    assert line.endswith("[a.b] profile=alice n=1")
    assert "[info     ] reconciled" in line


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters())
    | st.binary() | st.datetimes() | st.tuples(st.integers()),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.integers() | st.text() | st.tuples(st.text()), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip


@given(fields=st.dictionaries(st.text(st.characters()), VALUES, max_size=4), text=st.text())
def test_every_value_is_logged_as_one_line_of_json(fields: dict[str, Any], text: str) -> None:
    class Named:
        name = "a"

    line = logs.render_json(Named(), "info", {**fields, "exc_info": None, "event": text})

    assert b"\n" not in line
    assert json.loads(line)["message"] == text


def test_logs_are_not_written_to_standard_output() -> None:
    program = (
        "import structlog; from profiles_controller import logs;"
        "logs.configure(log_format='json', level='info'); structlog.get_logger('a').info('x')"
    )

    result = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)

    assert result.stdout == b""
    assert json.loads(result.stderr)["message"] == "x"
