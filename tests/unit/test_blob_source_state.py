"""The state of a source of shared buckets, from its documents to the desired volumes."""

import dataclasses
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from controllers.blob_csi import desired, names
from controllers.blob_csi.facts import Facts
from controllers.blob_csi.grants.parse import DocumentError, parse_gateway, parse_list
from controllers.blob_csi.grants.sources import Source
from controllers.blob_csi.grants.state import SourceHealth, SourceState, affected_namespaces
from tests.support import builders
from tests.support.azure.builders import GATEWAY, INTERNAL, SHARED, bucket

PEOPLE = ("alice", "bob", "carol")
ODD_VALUES: list[Any] = [
    None,
    "",
    "../x",
    "Alice, Bob",
    "ALICE",
    5,
    True,
    [],
    {},
    "x" * 300,
    "é",
    "a\nb",
]
LISTED = st.lists(st.sampled_from([*PEOPLE, "alice, bob", "x" * 70]), max_size=4)
ENTRY = st.fixed_dictionaries(
    {"readers": LISTED, "writers": LISTED},
    optional={
        "bucketName": st.sampled_from(["lab", "raw", "raw/data"]),
        "name": st.sampled_from(["lab", "raw"]),
        "pvName": st.sampled_from(["lab", "raw", "raw.b"]),
        "subfolder": st.sampled_from(["", "a", "a/b"]),
        "spn": st.sampled_from(["lab-sp", "other-sp"]),
    },
)
INVALID = st.tuples(
    ENTRY, st.sampled_from(["readers", "writers", "name", "pvName", "subfolder", "spn"]),
    st.sampled_from(ODD_VALUES),
).map(lambda parts: {**parts[0], parts[1]: parts[2]})  # fmt: skip
ENTRIES = st.one_of(ENTRY, ENTRY, INVALID, st.sampled_from(ODD_VALUES))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
KEYS = st.sampled_from(["lab", "raw", "raw/data", "httpapi", "Not-A-Bucket", ""])
GATEWAYS = st.dictionaries(KEYS, ENTRIES, max_size=3).map(lambda buckets: {"result": buckets})
BODIES = st.one_of(
    GATEWAYS.map(json.dumps),
    st.lists(ENTRIES, max_size=3).map(json.dumps),
    JSON.map(json.dumps),
    st.text(max_size=20),
    st.tuples(GATEWAYS.map(json.dumps), st.integers(0, 80)).map(lambda cut: cut[0][: cut[1]]),
).map(str.encode)
SETTINGS = SHARED.model_copy(update={"instances": ()})


def state_of(source: Source) -> SourceState:
    parse = parse_gateway if source is GATEWAY else parse_list
    return SourceState(source=source, parse=parse, clock=lambda: 1.0)


@given(bodies=st.lists(BODIES, max_size=4), source=st.sampled_from([INTERNAL, GATEWAY]))
def test_any_documents_change_the_volumes_of_the_affected_namespaces_only(
    bodies: list[bytes], source: Source
) -> None:
    state = state_of(source)
    granted = INTERNAL  # the volumes do not depend on the kind of the source
    for body in bodies:
        before = state.buckets
        try:
            buckets = state.parse_if_changed(body)
        except DocumentError as error:
            state.failed(str(error))
            assert before == state.buckets
            continue
        affected = state.update(body, buckets) if buckets is not None else ()
        for name in PEOPLE:
            profile = builders.profile(name)
            old, new = (
                desired.decide(profile, Facts(buckets={granted: buckets or ()}), SETTINGS)
                for buckets in (before, state.buckets)
            )
            assert all(names.is_subdomain(one.name) for one in new.manifests)
            if affected is not None and name not in affected:
                assert (old.manifests, old.findings) == (new.manifests, new.findings)


def test_a_changed_bucket_affects_the_namespaces_whose_access_differs() -> None:
    lab = bucket()
    assert set() == set(affected_namespaces((lab,), (lab,)))
    assert {"alice", "bob"} == set(affected_namespaces((lab,), ()))
    assert {"alice", "bob"} == set(affected_namespaces((), (lab,)))
    fewer = dataclasses.replace(lab, readers=frozenset({"bob"}))
    assert {"alice"} == set(affected_namespaces((lab,), (fewer,)))
    assert {"alice", "bob"} == set(affected_namespaces((lab,), (bucket(principal="other"),)))
    assert {"alice", "bob"} == set(affected_namespaces((lab,), (bucket(volume="renamed"),)))


def test_a_gateway_is_failing_at_its_third_failure_and_a_config_map_at_its_first() -> None:
    gateway = state_of(GATEWAY)
    assert [(), (), None, ()] == [gateway.failed("down") for _ in range(4)]
    document = state_of(INTERNAL)
    body = b'[{"bucketName":"lab","pvName":"p","spn":"s","readers":["alice"],"writers":["bob"]}]'
    buckets = document.parse_if_changed(body)
    assert buckets is not None
    assert document.update(body, buckets) is None
    assert [{"alice"}, ()] == [document.failed("invalid") for _ in range(2)]
    assert [SourceHealth.FAILING] == [document.health]
    document.succeeded()
    assert ("", 0, SourceHealth.HEALTHY) == (document.error, document.failures, document.health)
    assert document.parse_if_changed(body) is None


def test_a_source_is_pending_until_it_is_read_and_degraded_while_a_failure_is_transient() -> None:
    gateway = state_of(GATEWAY)
    assert [SourceHealth.PENDING] == [gateway.health]
    gateway.failed("down")
    assert [SourceHealth.DEGRADED] == [gateway.health]
