"""Reconcile tables: rows of every controller, and one runner that checks all rows alike."""

from tests.support.reconcile.case import Case, Table, event

__all__ = ["Case", "Table", "event"]
