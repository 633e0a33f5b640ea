"""Keeps libraries from logging tracebacks for what they also say in a sentence."""

from __future__ import annotations

import logging


def silence(*loggers: str) -> None:
    """Turn tracebacks of these loggers into one line each; debug records keep theirs."""
    for name in loggers:
        logging.getLogger(name).addFilter(_in_one_line)


def _in_one_line(record: logging.LogRecord) -> bool:
    if record.exc_info and record.exc_info[1] is not None and record.levelno > logging.DEBUG:
        record.msg = f"{record.getMessage()}: {record.exc_info[1]!r}"
        record.args = None
        record.exc_info = None
    return True
