"""Filters for the logs of libraries, which report one failure several times."""

from __future__ import annotations

import logging

_ONE_LINE = (
    "kopf",
    "kopf.activities",
    "kopf.objects",
    "kubernetes.aio.leaderelection.leaderelection",
    "kubernetes.aio.leaderelection.resourcelock.leaselock",
)
"""Loggers that log a traceback beside a message that says the same."""
_KOPF_REQUESTS = (
    "kopf._cogs.clients.fetching",
    "kopf._cogs.clients.watching",
    "kopf._core.reactor.observation",
    "kopf._core.reactor.running",
)
"""Loggers that log an error for every attempt; the Profile watch logs an outage once."""
_REPEATED = ("Request attempt", "OS signals are ignored")


def install_filters() -> None:
    """Install the filters of all libraries. Can be called again."""
    for name in _ONE_LINE:
        shorten_tracebacks(name)
    for name in _KOPF_REQUESTS:
        logging.getLogger(name).addFilter(_is_not_repeated)


def shorten_tracebacks(name: str) -> None:
    """Turn the tracebacks of a logger into one line; debug messages keep theirs."""
    logging.getLogger(name).addFilter(_in_one_line)


def _in_one_line(record: logging.LogRecord) -> bool:
    if record.exc_info and record.exc_info[1] is not None and record.levelno > logging.DEBUG:
        record.msg = f"{record.getMessage()}: {record.exc_info[1]!r}"
        record.args = None
        record.exc_info = None
    return True


def _is_not_repeated(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith(_REPEATED)
