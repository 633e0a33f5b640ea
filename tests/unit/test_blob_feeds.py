"""What a source says, from its document to the volumes: whatever it is, and whatever it was."""

import dataclasses
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from controllers.blob_csi import desired, names
from controllers.blob_csi.grants.parse import DocumentError, parse_gateway, parse_list
from controllers.blob_csi.grants.resolve import Facts
from controllers.blob_csi.grants.sources import Source
from controllers.blob_csi.grants.state import Feed, concerned_by
from tests.support.azure.buckets import GATEWAY, INTERNAL, SHARED, bucket
from tests.support.builders import inputs

PEOPLE = ("alice", "bob", "carol")
ODD: list[Any] = [None, "", "../x", "Alice, Bob", "ALICE", 5, True, [], {}, "x" * 300, "é", "a\nb"]
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
SPOILT = st.tuples(
    ENTRY, st.sampled_from(["readers", "writers", "name", "pvName", "subfolder", "spn"]),
    st.sampled_from(ODD),
).map(lambda parts: {**parts[0], parts[1]: parts[2]})  # fmt: skip
ENTRIES = st.one_of(ENTRY, ENTRY, SPOILT, st.sampled_from(ODD))
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


def feed(source: Source) -> Feed:
    parse = parse_gateway if source is GATEWAY else parse_list
    return Feed(source=source, parse=parse, clock=lambda: 1.0)


@given(bodies=st.lists(BODIES, max_size=4), source=st.sampled_from([INTERNAL, GATEWAY]))
def test_whatever_a_source_says_only_those_it_concerns_see_a_difference_and_nothing_breaks(
    bodies: list[bytes], source: Source
) -> None:
    one = feed(source)
    granted = INTERNAL  # a gateway's buckets are wanted as those of any source are
    for body in bodies:
        before = one.answer
        try:
            answer = one.reread(body)
        except DocumentError as error:
            one.fail(str(error))
            assert before == one.answer
            continue
        concerned = one.take(body, answer) if answer is not None else ()
        for name in PEOPLE:
            profile = inputs.profile(name)
            was, now = (
                desired.decide(profile, Facts(answers={granted: known or ()}), SETTINGS)
                for known in (before, one.answer)
            )
            assert all(names.is_subdomain(made.name) for made in now.manifests)
            if concerned is not None and name not in concerned:
                assert (was.manifests, was.findings) == (now.manifests, now.findings)


def test_whom_a_change_concerns() -> None:
    lab = bucket()
    assert set() == set(concerned_by((lab,), (lab,)))
    assert {"alice", "bob"} == set(concerned_by((lab,), ()))
    assert {"alice", "bob"} == set(concerned_by((), (lab,)))
    fewer = dataclasses.replace(lab, readers=frozenset({"bob"}))
    assert {"alice"} == set(concerned_by((lab,), (fewer,)))
    assert {"alice", "bob"} == set(concerned_by((lab,), (bucket(principal="other"),)))
    assert {"alice", "bob"} == set(concerned_by((lab,), (bucket(volume="renamed"),)))


def test_a_gateway_is_told_of_once_it_has_failed_for_a_while_and_a_document_at_once() -> None:
    gateway = feed(GATEWAY)
    assert [(), (), None, ()] == [gateway.fail("away") for _ in range(4)]
    document = feed(INTERNAL)
    body = b'[{"bucketName":"lab","pvName":"p","spn":"s","readers":["alice"],"writers":["bob"]}]'
    answer = document.reread(body)
    assert answer is not None
    assert document.take(body, answer) is None
    assert [{"alice"}, ()] == [document.fail("bad") for _ in range(2)]
    assert document.failing
    document.succeed()
    assert ("", 0, False) == (document.trouble, document.failures, document.failing)
    assert document.reread(body) is None
