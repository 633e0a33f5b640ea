"""An API server in memory, with failures on demand."""

from tests.support.fakes.cluster import FakeCluster
from tests.support.fakes.request import Failure, Request

__all__ = ["Failure", "FakeCluster", "Request"]
