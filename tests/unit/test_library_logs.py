"""Filters for the logs of libraries, which report one failure several times."""

import logging
from collections.abc import Iterator

import pytest

from profiles_controller import library_logs

NAME = "tests.library"


@pytest.fixture(autouse=True)
def logger() -> Iterator[logging.Logger]:
    library = logging.getLogger(NAME)
    library.setLevel(logging.DEBUG)
    yield library
    library.filters.clear()


def fail(level: int, logger: logging.Logger) -> None:
    error = ConnectionError("refused")
    logger.log(level, "could not reach %s", "the server", exc_info=error)


def test_a_traceback_becomes_one_line(
    logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    library_logs.shorten_tracebacks(NAME)
    fail(logging.ERROR, logger)

    assert ["could not reach the server: ConnectionError('refused')"] == caplog.messages
    assert caplog.records[0].exc_info is None


def test_a_debug_message_keeps_its_traceback(
    logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    library_logs.shorten_tracebacks(NAME)
    fail(logging.DEBUG, logger)

    assert caplog.records[0].exc_info is not None


def test_a_filter_is_installed_once(
    logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    library_logs.shorten_tracebacks(NAME)
    library_logs.shorten_tracebacks(NAME)
    fail(logging.WARNING, logger)

    assert 1 == len(logger.filters)
    assert ["could not reach the server: ConnectionError('refused')"] == caplog.messages


def test_a_message_without_traceback_is_unchanged(
    logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    library_logs.shorten_tracebacks(NAME)
    logger.warning("plain %s", "text")

    assert ["plain text"] == caplog.messages


@pytest.mark.parametrize(
    ("message", "logged"),
    [("Request attempt #1 failed", []), ("Watching is over", ["Watching is over"])],
)
def test_repeated_messages_of_kopf_are_dropped(
    message: str, logged: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    library_logs.install_filters()
    logging.getLogger("kopf._cogs.clients.watching").error(message)

    assert logged == caplog.messages
