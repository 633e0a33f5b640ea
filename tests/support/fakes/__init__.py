"""An API server in memory: what the base relies on of a real one, and failures on demand."""

from tests.support.fakes.clusters import FakeCluster
from tests.support.fakes.requests import Failure, Request

__all__ = ["Failure", "FakeCluster", "Request"]
