"""Writes, counted at the API server: by the store's revision, and by the request metrics."""

import re
import time
from collections import Counter
from typing import NamedTuple

from tests.support.controlplane import ControlPlane

POLICIES = "/apis/networking.k8s.io/v1/networkpolicies"
OWN_WRITES = 4
"""Revisions of the API server itself in a measurement: it renews a Lease every ten seconds."""
POLL_SECONDS = 0.05
QUIET_SECONDS = 1.0

_REQUESTS = re.compile(r"^apiserver_request_total\{(.*)\} (\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')
_READS = frozenset({"GET", "LIST", "WATCH", "CONNECT", "HEAD"})


class Sample(NamedTuple):
    """The store's revision at a moment, and the CPU seconds of a process until then."""

    at: float
    revision: int
    cpu: float


def revision(plane: ControlPlane) -> int:
    """The store's revision: every write of any kind increments it."""
    return int(plane.request("GET", f"{POLICIES}?limit=1")["metadata"]["resourceVersion"])


def total(plane: ControlPlane, path: str) -> int:
    """The number of objects in a collection, without a list of it."""
    page = plane.request("GET", f"{path}?limit=1")
    return len(page["items"]) + int(page["metadata"].get("remainingItemCount", 0))


def writes(plane: ControlPlane) -> Counter[str]:
    """Successful writes so far by method and resource, such as `POST networkpolicies`."""
    found: Counter[str] = Counter()
    for labels, value in _REQUESTS.findall(plane.metrics()):
        label = dict(_LABEL.findall(labels))
        if label["verb"] in _READS or label["resource"] == "leases" or label["code"][0] != "2":
            continue
        subresource = f"/{label['subresource']}" if label["subresource"] else ""
        found[f"{label['verb']} {label['resource']}{subresource}"] += int(float(value))
    return found


def wait_until_quiet(plane: ControlPlane, seconds: float = 120.0) -> None:
    """Wait until there has been no write for a second."""
    deadline = time.monotonic() + seconds
    before, since = revision(plane), time.monotonic()
    while time.monotonic() - since < QUIET_SECONDS:
        if time.monotonic() > deadline:
            raise AssertionError(f"there are still writes after {seconds} s")
        time.sleep(POLL_SECONDS)
        now = revision(plane)
        if now > before + 1:
            before, since = now, time.monotonic()


def span(samples: list[Sample], count: int) -> tuple[Sample, Sample]:
    """The last sample before the first of `count` writes, and the first after the last one."""
    start = samples[0].revision
    first = [one for one in samples if one.revision <= start + OWN_WRITES][-1]
    last = next(one for one in samples if one.revision >= start + count)
    return first, last
