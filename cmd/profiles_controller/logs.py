"""Logs on standard error: JSON lines for programs, aligned and coloured lines for people.

A line has ``timestamp level logger message``, then what was bound, in that order, and last
``exception``, a traceback as one string. What libraries log by the standard library's logging
takes the same way. Secrets are SecretStr, whose text is asterisks: nothing here looks into one.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import MutableMapping
from datetime import UTC, datetime
from typing import Any, BinaryIO

import orjson
import structlog

_HEAD = ("timestamp", "level", "logger", "message")
_LEVELS = {"warn": "warning", "exception": "error", "fatal": "critical"}

# Loggers that say more than is good at a lower level: kopf's logs every event of every Profile, the
# clients' log headers, bodies and signed addresses, and with them secrets.
FLOORS = {
    "kopf.objects": logging.WARNING,
    "kubernetes": logging.INFO,
    "aiohttp.access": logging.WARNING,
    "azure": logging.WARNING,
    "boto3": logging.INFO,
    "botocore": logging.INFO,
    "urllib3": logging.INFO,
}

Fields = MutableMapping[str, Any]


def configure(*, form: str, level: str, stream: BinaryIO | None = None) -> None:
    """Sends all logs to ``stream`` (standard error) from now on.

    ``form`` is ``json`` or ``console``, ``level`` a level's name in lower case. Loggers that were
    used before keep what was in force then.
    """
    threshold = logging.getLevelNamesMapping()[level.upper()]
    target = sys.stderr.buffer if stream is None else stream
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            _console_renderer(target) if form == "console" else render_json,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.BytesLoggerFactory(target),
        cache_logger_on_first_use=True,
    )
    _take_over_standard_logging(threshold)


def render_json(logger: Any, method: str, fields: Fields) -> bytes:
    """One line, without its end; a value that JSON cannot hold is written as its text."""
    fields = arrange(logger, method, fields)
    try:
        return orjson.dumps(fields, default=str, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:  # text that is no Unicode, numbers beyond 64 bits, odd keys
        return json.dumps({name: _printable(value) for name, value in fields.items()}).encode()


def arrange(logger: Any, method: str, fields: Fields) -> Fields:
    """The fields in their order: the head, what was bound, the traceback."""
    trace = structlog.processors.format_exc_info(logger, method, fields)
    arranged: Fields = {
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": _LEVELS.get(method, method),
        "logger": logger.name,
        "message": trace.pop("event", ""),
    }
    exception = trace.pop("exception", None)
    for name, value in trace.items():
        arranged[f"{name}_" if name in _HEAD else name] = value
    if exception is not None:
        arranged["exception"] = exception
    return arranged


class Forwarder(logging.Handler):
    """Hands the records of the standard library's logging to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        level = min(max(record.levelno // 10 * 10, logging.DEBUG), logging.CRITICAL)
        structlog.get_logger(record.name).log(
            level, _message(record), exc_info=record.exc_info or None
        )


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):  # arguments that do not fit the text
        return f"{record.msg} {record.args}"


def _printable(value: object) -> object:
    return value if isinstance(value, bool | int | float | None) else str(value)


def _console_renderer(target: BinaryIO) -> structlog.typing.Processor:
    # structlog's own traceback shows the variables of every frame, and with them secrets.
    renderer = structlog.dev.ConsoleRenderer(
        colors=_is_colourful(target),
        event_key="message",
        exception_formatter=structlog.dev.plain_traceback,
        sort_keys=False,
    )

    def render(logger: Any, method: str, fields: Fields) -> bytes:
        text = renderer(logger, method, arrange(logger, method, fields))
        return text.encode(errors="backslashreplace")

    return render


def _is_colourful(target: BinaryIO) -> bool:
    if not target.isatty():
        return False
    from rich.console import Console  # noqa: PLC0415 - only people at a terminal wait for it

    console = Console(stderr=True)  # knows NO_COLOR, TERM and their kin
    return console.is_terminal and not console.no_color and console.color_system is not None


def _take_over_standard_logging(threshold: int) -> None:
    logging.captureWarnings(capture=True)
    root = logging.getLogger()
    for handler in [one for one in root.handlers if isinstance(one, Forwarder)]:
        root.removeHandler(handler)
    root.addHandler(Forwarder())
    root.setLevel(threshold)
    for name, floor in FLOORS.items():
        logging.getLogger(name).setLevel(max(floor, threshold))
