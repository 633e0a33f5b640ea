"""Who may use which shared bucket: what both documents say, and what none of them may say."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers.blob_csi import names
from controllers.blob_csi.grants import parse as grants_parse
from controllers.blob_csi.grants.parse import Bucket, DocumentError

ENTRY = {"readers": ["alice", "bob"], "writers": ["bob"], "spn": "lab-sp"}
LISTED = {"bucketName": "lab", "pvName": "lab-iunc", "subfolder": "", **ENTRY}
LAB = Bucket(
    container="lab",
    volume="lab-iunc",
    principal="lab-sp",
    readers=frozenset({"alice", "bob"}),
    writers=frozenset({"bob"}),
)


def gateway(result: Any) -> grants_parse.Answer:
    return grants_parse.parse_gateway(json.dumps({"result": result}))


def listed(*entries: Any) -> grants_parse.Answer:
    return grants_parse.parse_list(json.dumps(entries))


def test_a_gateway_tells_of_buckets_by_their_keys() -> None:
    (bucket,) = gateway({"lab": {**ENTRY, "name": "lab-iunc"}, "httpapi": {"authz": 1}})
    assert bucket == LAB


def test_a_bucket_of_a_gateway_may_be_a_folder_and_have_no_name() -> None:
    (bucket,) = gateway({"lab/raw/2024": {"readers": ["alice"]}})
    assert ("lab", "raw/2024", "lab-raw-2024") == (
        bucket.container,
        bucket.subfolder,
        bucket.volume,
    )
    assert frozenset() == bucket.writers
    assert not bucket.principal


def test_a_list_tells_of_the_same_buckets() -> None:
    assert (LAB,) == listed(LISTED)


def test_a_listed_bucket_may_name_its_folder_in_either_way() -> None:
    for entry in ({"subfolder": "/raw/"}, {"bucketName": "lab/raw"}, {"subfolder": "données"}):
        (bucket,) = listed({**LISTED, **entry})
        assert "lab" == bucket.container
        assert bucket.subfolder in ("raw", "données")


def test_an_empty_answer_is_a_good_one() -> None:
    assert () == gateway({})
    assert () == gateway({"httpapi": {}})
    assert () == listed()


def test_the_order_of_an_answer_does_not_matter() -> None:
    other = {**LISTED, "pvName": "a"}
    assert listed(LISTED, other) == listed(other, LISTED)


def test_readers_that_can_be_no_namespace_are_told() -> None:
    answer = listed({**LISTED, "readers": ["alice, bob", "alice"]})
    assert ["alice, bob"] == list(grants_parse.strangers(answer))


BROKEN_REPLIES = {
    "": "not JSON",
    "<html><body>502 Bad Gateway</body></html>": "not JSON",
    '{"result": {"lab": {"readers": ["ali': "not JSON",
    "[" * 100_000: "not JSON",
    "NaN": "not JSON: NaN",
    "1" * 5000: "not JSON",
    "[]": "the answer is []: expected an object with the key 'result'",
    "null": "the answer is None",
    "{}": "result is None: expected an object of buckets",
    '{"result": null}': "result is None",
    '{"result": []}': "result is []",
    '{"result": {"lab": null}}': "result['lab'] is None: expected an object",
    '{"result": {"lab": {"readers": "alice"}}}': "result['lab'].readers is 'alice'",
    '{"result": {"lab": {"readers": [1]}}}': "result['lab'].readers is [1]: expected a list",
    '{"result": {"lab": {"writers": {"bob": true}}}}': "result['lab'].writers is {'bob': True}",
    '{"result": {"lab": {"spn": 1}}}': "result['lab'].spn is 1: expected a text",
    '{"result": {"lab": {"spn": "A B"}}}': "result['lab'].spn is 'A B': expected a service",
    '{"result": {"lab": {"name": "Lab_1"}}}': "result['lab'] is 'Lab_1': expected a name",
    '{"result": {"Lab": {}}}': "result['Lab'] is 'Lab': expected a container's name",
    '{"result": {"lab/../raw": {}}}': "result['lab/../raw'].subfolder is '../raw'",
    '{"result": {"lab/a -o rw": {}}}': "result['lab/a -o rw'].subfolder is 'a -o rw'",
    '{"result": {"lab": {}, "lab": {}}}': "key 'lab' is there twice",
    '{"result": {"lab/a": {}, "lab": {"name": "lab-a"}}}': "both make volumes 'lab-a'",
}


@pytest.mark.parametrize("text", BROKEN_REPLIES, ids=lambda text: text[:40])
def test_a_broken_reply_is_refused_as_a_whole(text: str) -> None:
    with pytest.raises(DocumentError) as refusal:
        grants_parse.parse_gateway(text)
    assert BROKEN_REPLIES[text] in str(refusal.value)
    assert len(str(refusal.value)) < 300


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"bucketName": None}, "[0].bucketName is '': expected a container's name"),
        ({"bucketName": 5}, "[0].bucketName is 5: expected a text"),
        ({"pvName": "x-"}, "[0].pvName is 'x-': expected a name"),
        ({"pvName": ""}, "[0].pvName is '': expected a name"),
        ({"pvName": "Test-iUnc"}, "[0].pvName is 'Test-iUnc': expected a name"),
        ({"pvName": "x" * 250}, "expected a name"),
        ({"subfolder": "a\n--x"}, r"[0].subfolder is 'a\n--x': expected folders"),
        ({"spn": ""}, "[0].spn is '': expected the name of a service principal"),
        ({"spn": None}, "[0].spn is None"),
        ({"readers": None, "writers": {}}, "[0].writers is {}"),
    ],
)
def test_a_broken_bucket_breaks_its_list(change: dict[str, Any], said: str) -> None:
    with pytest.raises(DocumentError) as refusal:
        listed({**LISTED, **change}, {**LISTED, "pvName": "good"})
    assert said in str(refusal.value)


def test_a_list_that_is_none_is_refused() -> None:
    for text in ("{}", '"lab"', "null", "3", "[3]", "[[]]"):
        with pytest.raises(DocumentError, match="expected"):
            grants_parse.parse_list(text)


def test_two_buckets_of_one_volume_break_a_list() -> None:
    with pytest.raises(DocumentError, match="'lab' and 'another' both make volumes"):
        listed(LISTED, {**LISTED, "bucketName": "another"})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*LISTED, "result", "name", "lab"]), inner, max_size=4)
    ),
    max_leaves=12,
)
NAMES = st.one_of(st.just("lab"), st.just("lab-iunc"), st.text(max_size=12), JSON)
BUCKETS = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("bucketName", "pvName", "name", "subfolder", "spn"), NAMES),
        **dict.fromkeys(("readers", "writers"), st.lists(st.text(max_size=5), max_size=3) | JSON),
    },
)


def held(answer: grants_parse.Answer) -> None:
    """What an answer promises, wherever it comes from."""
    volumes = [bucket.volume.lower() for bucket in answer]
    assert sorted(set(volumes)) == volumes
    for bucket in answer:
        assert names.is_container(bucket.container)
        for classification in names.CLASSIFICATIONS:
            assert names.is_subdomain(names.shared_claim(classification, bucket.volume))
        assert ".." not in bucket.subfolder.split("/")
        assert not any(letter.isspace() for letter in bucket.subfolder)
        assert not bucket.principal or names.is_subdomain(names.principal_secret(bucket.principal))


@given(st.one_of(st.dictionaries(NAMES.filter(lambda key: isinstance(key, str)), BUCKETS), JSON))
def test_an_arbitrary_reply_is_good_as_a_whole_or_refused(result: Any) -> None:
    try:
        answer = gateway(result)
    except DocumentError:
        return
    held(answer)


@given(st.one_of(st.lists(BUCKETS), JSON))
def test_an_arbitrary_list_is_good_as_a_whole_or_refused(document: Any) -> None:
    try:
        answer = grants_parse.parse_list(json.dumps(document))
    except DocumentError:
        return
    held(answer)


@given(st.binary(), st.text())
def test_arbitrary_bytes_and_texts_never_crash(raw: bytes, text: str) -> None:
    for parse in (grants_parse.parse_gateway, grants_parse.parse_list):
        for given_ in (raw, text):
            with contextlib.suppress(DocumentError):
                held(parse(given_))
