"""What happened, counted at the API server: the store's revision, and requests by resource."""

import re
import time
from collections import Counter
from typing import NamedTuple

from tests.support.controlplane import ControlPlane

POLICIES = "/apis/networking.k8s.io/v1/networkpolicies"
EVENTS = "/api/v1/namespaces/default/events"
SLACK = 4
"""Revisions that the API server makes itself meanwhile: it renews a Lease every ten seconds."""
POLL_SECONDS = 0.05
STILL_SECONDS = 1.0

_REQUESTS = re.compile(r"^apiserver_request_total\{(.*)\} (\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')
_READS = frozenset({"GET", "LIST", "WATCH", "CONNECT", "HEAD"})


class Sample(NamedTuple):
    """The store's revision at one moment, and the processor seconds of a process until then."""

    at: float
    revision: int
    cpu: float


def revision(plane: ControlPlane) -> int:
    """The store's: it grows by one with every write of whatever kind."""
    return int(plane.request("GET", f"{POLICIES}?limit=1")["metadata"]["resourceVersion"])


def total(plane: ControlPlane, path: str) -> int:
    """How many objects a collection holds, without listing them."""
    page = plane.request("GET", f"{path}?limit=1")
    return len(page["items"]) + int(page["metadata"].get("remainingItemCount", 0))


def writes(plane: ControlPlane) -> Counter[str]:
    """Successful requests that change something, so far, such as `POST networkpolicies`."""
    found: Counter[str] = Counter()
    for labels, value in _REQUESTS.findall(plane.metrics()):
        label = dict(_LABEL.findall(labels))
        if label["verb"] in _READS or label["resource"] == "leases" or label["code"][0] != "2":
            continue
        subresource = f"/{label['subresource']}" if label["subresource"] else ""
        found[f"{label['verb']} {label['resource']}{subresource}"] += int(float(value))
    return found


def until_still(plane: ControlPlane, seconds: float = 120.0) -> None:
    """Waits until nothing has been written for a second."""
    deadline = time.monotonic() + seconds
    before, since = revision(plane), time.monotonic()
    while time.monotonic() - since < STILL_SECONDS:
        if time.monotonic() > deadline:
            raise AssertionError(f"still writing after {seconds} s")
        time.sleep(POLL_SECONDS)
        now = revision(plane)
        if now > before + 1:
            before, since = now, time.monotonic()


def span(samples: list[Sample], count: int) -> tuple[Sample, Sample]:
    """The last sample before the first of `count` writes, and the first after the last of them."""
    base = samples[0].revision
    first = [one for one in samples if one.revision <= base + SLACK][-1]
    last = next(one for one in samples if one.revision >= base + count)
    return first, last
