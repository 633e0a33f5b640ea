"""Libraries that say in a sentence what happened do not say it in a traceback as well."""

import logging
from collections.abc import Iterator

import pytest

from controllers.runtime import tracebacks

NAME = "tests.talkative"


@pytest.fixture(autouse=True)
def logger() -> Iterator[logging.Logger]:
    talkative = logging.getLogger(NAME)
    talkative.setLevel(logging.DEBUG)
    yield talkative
    talkative.filters.clear()


def fail(level: int, logger: logging.Logger) -> None:
    error = ConnectionError("refused")
    logger.log(level, "could not reach %s", "the server", exc_info=error)


def test_a_traceback_becomes_one_line(
    logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    tracebacks.silence(NAME)
    fail(logging.ERROR, logger)

    assert ["could not reach the server: ConnectionError('refused')"] == caplog.messages
    assert caplog.records[0].exc_info is None


def test_a_debug_record_keeps_its_traceback(
    logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    tracebacks.silence(NAME)
    fail(logging.DEBUG, logger)

    assert caplog.records[0].exc_info is not None


def test_silencing_twice_says_it_once(
    logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    tracebacks.silence(NAME)
    tracebacks.silence(NAME)
    fail(logging.WARNING, logger)

    assert 1 == len(logger.filters)
    assert ["could not reach the server: ConnectionError('refused')"] == caplog.messages


def test_what_has_no_traceback_is_left_as_it_is(
    logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    tracebacks.silence(NAME)
    logger.warning("plain %s", "words")

    assert ["plain words"] == caplog.messages
