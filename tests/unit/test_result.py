"""The outcome of a reconcile for each kind of error."""

import pytest

from controllers.runtime.apply.changeset import ApplyError
from controllers.runtime.errors import ApiError, Terminal, UnreachableError, Waiting
from controllers.runtime.reconcile import result as reconcile_result
from controllers.runtime.reconcile.result import Outcome, Result

INTERNAL_ERROR = ApiError(code=500, reason="InternalError", message="etcd is down")
TERMINATING = ApiError(
    code=403, reason="Forbidden", message="terminating", causes=["NamespaceTerminating"]
)


def test_waiting_without_a_delay_does_not_requeue() -> None:
    outcome = reconcile_result.outcome_of_error(
        Waiting("NamespaceNotFound", "namespace alice does not exist")
    )

    assert outcome == Outcome(
        ready=False,
        reason="NamespaceNotFound",
        message="namespace alice does not exist",
        debounced=True,
    )


def test_waiting_with_a_delay_requeues_after_it() -> None:
    outcome = reconcile_result.outcome_of_error(Waiting("KindNotServed", "no such kind", after=5.0))

    assert (Result.REQUEUE_AFTER, 5.0, False) == (
        outcome.result,
        outcome.requeue_after,
        outcome.retry,
    )


def test_a_wait_that_needs_a_person_is_a_warning() -> None:
    outcome = reconcile_result.outcome_of_error(Waiting("KindNotServed", "no such kind", warn=True))

    assert outcome.warn
    assert outcome.debounced


def test_a_terminal_error_is_a_warning_and_is_not_retried() -> None:
    outcome = reconcile_result.outcome_of_error(Terminal("NamespaceNotOwned", "not yours"))

    assert outcome == Outcome(
        ready=False, reason="NamespaceNotOwned", message="not yours", warn=True
    )


FAILURES = {
    "api_error": (INTERNAL_ERROR, "ReconcileFailed", "500 InternalError: etcd is down", True),
    "forbidden": (
        ApiError(code=403, reason="Forbidden", message="no"),
        "Forbidden",
        "403 Forbidden: no",
        True,
    ),
    "invalid": (
        ApplyError(
            "ConfigMap a/b create: bad", ApiError(code=422, reason="Invalid", message="bad")
        ),
        "Invalid",
        "ConfigMap a/b create: bad",
        True,
    ),
    "unreachable": (UnreachableError("refused"), "Unreachable", "refused", False),
    "unreachable_during_apply": (
        ApplyError("ConfigMap a/b create: refused", UnreachableError("refused")),
        "Unreachable",
        "ConfigMap a/b create: refused",
        False,
    ),
    "internal_error": (KeyError("spec"), "ReconcileFailed", "KeyError: 'spec'", True),
    "error_without_message": (ValueError(), "ReconcileFailed", "ValueError: ValueError", True),
}


@pytest.mark.parametrize("case", FAILURES)
def test_any_other_error_is_retried_with_backoff(case: str) -> None:
    error, reason, message, warn = FAILURES[case]

    assert reconcile_result.outcome_of_error(error) == Outcome(
        result=Result.ERROR,
        ready=False,
        reason=reason,
        message=message,
        retry=True,
        debounced=True,
        warn=warn,
    )


def test_a_terminating_namespace_is_not_a_failure() -> None:
    outcome = reconcile_result.outcome_of_error(
        ApplyError("ConfigMap a/b create: terminating", TERMINATING)
    )

    assert ("NamespaceTerminating", False, Result.SUCCESS) == (
        outcome.reason,
        outcome.retry,
        outcome.result,
    )


def test_only_unexpected_errors_need_a_traceback() -> None:
    for expected in (
        INTERNAL_ERROR,
        UnreachableError("a"),
        ApplyError("a", INTERNAL_ERROR),
        Waiting("a", "b"),
    ):
        assert reconcile_result.is_expected(expected)
    assert not reconcile_result.is_expected(KeyError("spec"))
    assert not reconcile_result.is_expected(None)
