"""Logs on standard error: JSON lines for programs, aligned and coloured lines for people.

A line has ``timestamp level logger message``, then the bound fields in their order, and last
``exception``, a traceback as one string. Records of the standard library's logging, which most
libraries use, get the same format. Secrets are SecretStr, which is formatted as asterisks.
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

from profiles_controller import library_logs

_FIRST_FIELDS = ("timestamp", "level", "logger", "message")
_LEVELS = {"warn": "warning", "exception": "error", "fatal": "critical"}

# Below these levels kopf logs every event of every Profile, and API clients log headers, bodies and
# signed URLs, which contain secrets.
MINIMUM_LEVELS = {
    "kopf.objects": logging.WARNING,
    "kubernetes": logging.INFO,
    "aiohttp.access": logging.WARNING,
    "azure": logging.WARNING,
    "boto3": logging.INFO,
    "botocore": logging.INFO,
    "urllib3": logging.INFO,
}

Fields = MutableMapping[str, Any]


def configure(*, log_format: str, level: str, stream: BinaryIO | None = None) -> None:
    """Sends all logs to ``stream``, by default standard error.

    ``log_format`` is ``json`` or ``console``; ``level`` is the name of a level in lower case. A
    logger that was used before keeps its earlier configuration.
    """
    threshold = logging.getLevelNamesMapping()[level.upper()]
    target = sys.stderr.buffer if stream is None else stream
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            _console_renderer(target) if log_format == "console" else render_json,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.BytesLoggerFactory(target),
        cache_logger_on_first_use=True,
    )
    _redirect_standard_logging(threshold)


def render_json(logger: Any, method: str, fields: Fields) -> bytes:
    """Returns one line without a newline. A value that JSON cannot represent becomes its text."""
    fields = arrange(logger, method, fields)
    try:
        return orjson.dumps(fields, default=str, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:  # invalid Unicode, integers beyond 64 bits, unusual keys
        return json.dumps({name: _printable(value) for name, value in fields.items()}).encode()


def arrange(logger: Any, method: str, fields: Fields) -> Fields:
    """Returns the fields in their order: the first four, the bound fields, the traceback."""
    trace = structlog.processors.format_exc_info(logger, method, fields)
    arranged: Fields = {
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": _LEVELS.get(method, method),
        "logger": logger.name,
        "message": trace.pop("event", ""),
    }
    exception = trace.pop("exception", None)
    for name, value in trace.items():
        arranged[f"{name}_" if name in _FIRST_FIELDS else name] = value
    if exception is not None:
        arranged["exception"] = exception
    return arranged


class StructlogHandler(logging.Handler):
    """Forwards records of the standard library's logging to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        level = min(max(record.levelno // 10 * 10, logging.DEBUG), logging.CRITICAL)
        structlog.get_logger(record.name).log(
            level, _message(record), exc_info=record.exc_info or None
        )


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):  # the arguments do not match the message
        return f"{record.msg} {record.args}"


def _printable(value: object) -> object:
    return value if isinstance(value, bool | int | float | None) else str(value)


def _console_renderer(target: BinaryIO) -> structlog.typing.Processor:
    # structlog's default traceback shows the variables of each frame, which may contain secrets.
    renderer = structlog.dev.ConsoleRenderer(
        colors=_supports_colour(target),
        event_key="message",
        exception_formatter=structlog.dev.plain_traceback,
        sort_keys=False,
    )

    def render(logger: Any, method: str, fields: Fields) -> bytes:
        text = renderer(logger, method, arrange(logger, method, fields))
        return text.encode(errors="backslashreplace")

    return render


def _supports_colour(target: BinaryIO) -> bool:
    if not target.isatty():
        return False
    from rich.console import Console  # noqa: PLC0415 - slow to import; for terminals only

    console = Console(stderr=True)  # respects NO_COLOR, TERM and similar variables
    return console.is_terminal and not console.no_color and console.color_system is not None


def _redirect_standard_logging(threshold: int) -> None:
    logging.captureWarnings(capture=True)
    root = logging.getLogger()
    for handler in [one for one in root.handlers if isinstance(one, StructlogHandler)]:
        root.removeHandler(handler)
    root.addHandler(StructlogHandler())
    root.setLevel(threshold)
    for name, minimum in MINIMUM_LEVELS.items():
        logging.getLogger(name).setLevel(max(minimum, threshold))
    library_logs.install_filters()
