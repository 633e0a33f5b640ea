"""The parsers of the two documents that list shared buckets: valid and invalid input."""

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


def gateway(result: Any) -> grants_parse.Buckets:
    return grants_parse.parse_gateway(json.dumps({"result": result}))


def listed(*entries: Any) -> grants_parse.Buckets:
    return grants_parse.parse_list(json.dumps(entries))


def test_a_gateway_lists_buckets_by_key() -> None:
    (bucket,) = gateway({"lab": {**ENTRY, "name": "lab-iunc"}, "httpapi": {"authz": 1}})
    assert bucket == LAB


def test_a_bucket_of_a_gateway_may_be_a_folder_without_a_name() -> None:
    (bucket,) = gateway({"lab/raw/2024": {"readers": ["alice"]}})
    assert ("lab", "raw/2024", "lab-raw-2024") == (
        bucket.container,
        bucket.subfolder,
        bucket.volume,
    )
    assert frozenset() == bucket.writers
    assert not bucket.principal


def test_a_list_gives_the_same_buckets() -> None:
    assert (LAB,) == listed(LISTED)


def test_a_listed_bucket_may_state_its_folder_in_two_ways() -> None:
    for entry in ({"subfolder": "/raw/"}, {"bucketName": "lab/raw"}, {"subfolder": "données"}):
        (bucket,) = listed({**LISTED, **entry})
        assert "lab" == bucket.container
        assert bucket.subfolder in ("raw", "données")


def test_an_empty_document_is_valid() -> None:
    assert () == gateway({})
    assert () == gateway({"httpapi": {}})
    assert () == listed()


def test_the_order_of_buckets_does_not_matter() -> None:
    other = {**LISTED, "pvName": "a"}
    assert listed(LISTED, other) == listed(other, LISTED)


def test_readers_that_are_not_valid_namespaces_are_reported() -> None:
    buckets = listed({**LISTED, "readers": ["alice, bob", "alice"]})
    assert ["alice, bob"] == list(grants_parse.invalid_namespaces(buckets))


INVALID_RESPONSES = {
    "": "invalid JSON",
    "<html><body>502 Bad Gateway</body></html>": "invalid JSON",
    '{"result": {"lab": {"readers": ["ali': "invalid JSON",
    "[" * 100_000: "invalid JSON",
    "NaN": "invalid JSON: NaN",
    "1" * 5000: "invalid JSON",
    "[]": "the response is []; expected an object with the key 'result'",
    "null": "the response is None",
    "{}": "result is None; expected an object of buckets",
    '{"result": null}': "result is None",
    '{"result": []}': "result is []",
    '{"result": {"lab": null}}': "result['lab'] is None; expected an object",
    '{"result": {"lab": {"readers": "alice"}}}': "result['lab'].readers is 'alice'",
    '{"result": {"lab": {"readers": [1]}}}': "result['lab'].readers is [1]; expected a list",
    '{"result": {"lab": {"writers": {"bob": true}}}}': "result['lab'].writers is {'bob': True}",
    '{"result": {"lab": {"spn": 1}}}': "result['lab'].spn is 1; expected a string",
    '{"result": {"lab": {"spn": "A B"}}}': "result['lab'].spn is 'A B'; expected a service",
    '{"result": {"lab": {"name": "Lab_1"}}}': "result['lab'] is 'Lab_1'; expected a name",
    '{"result": {"Lab": {}}}': "result['Lab'] is 'Lab'; expected a container name",
    '{"result": {"lab/../raw": {}}}': "result['lab/../raw'].subfolder is '../raw'",
    '{"result": {"lab/a -o rw": {}}}': "result['lab/a -o rw'].subfolder is 'a -o rw'",
    '{"result": {"lab": {}, "lab": {}}}': "key 'lab' occurs more than once",
    '{"result": {"lab/a": {}, "lab": {"name": "lab-a"}}}': "have the same volume name 'lab-a'",
}


@pytest.mark.parametrize("text", INVALID_RESPONSES, ids=lambda text: text[:40])
def test_an_invalid_response_is_rejected_as_a_whole(text: str) -> None:
    with pytest.raises(DocumentError) as caught:
        grants_parse.parse_gateway(text)
    assert INVALID_RESPONSES[text] in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"bucketName": None}, "[0].bucketName is ''; expected a container name"),
        ({"bucketName": 5}, "[0].bucketName is 5; expected a string"),
        ({"pvName": "x-"}, "[0].pvName is 'x-'; expected a name"),
        ({"pvName": ""}, "[0].pvName is ''; expected a name"),
        ({"pvName": "Test-iUnc"}, "[0].pvName is 'Test-iUnc'; expected a name"),
        ({"pvName": "x" * 250}, "expected a name"),
        ({"subfolder": "a\n--x"}, r"[0].subfolder is 'a\n--x'; expected folders"),
        ({"spn": ""}, "[0].spn is ''; expected the name of a service principal"),
        ({"spn": None}, "[0].spn is None"),
        ({"readers": None, "writers": {}}, "[0].writers is {}"),
    ],
)
def test_an_invalid_bucket_makes_its_list_invalid(change: dict[str, Any], text: str) -> None:
    with pytest.raises(DocumentError) as caught:
        listed({**LISTED, **change}, {**LISTED, "pvName": "good"})
    assert text in str(caught.value)


def test_a_document_that_is_not_a_list_is_rejected() -> None:
    for text in ("{}", '"lab"', "null", "3", "[3]", "[[]]"):
        with pytest.raises(DocumentError, match="expected"):
            grants_parse.parse_list(text)


def test_two_buckets_with_one_volume_name_make_a_list_invalid() -> None:
    with pytest.raises(DocumentError, match="'lab' and 'another' have the same volume name"):
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


def check_valid(buckets: grants_parse.Buckets) -> None:
    """Check what every valid document guarantees."""
    volumes = [bucket.volume.lower() for bucket in buckets]
    assert sorted(set(volumes)) == volumes
    for bucket in buckets:
        assert names.is_container(bucket.container)
        for classification in names.CLASSIFICATIONS:
            assert names.is_subdomain(names.shared_claim_name(classification, bucket.volume))
        assert ".." not in bucket.subfolder.split("/")
        assert not any(letter.isspace() for letter in bucket.subfolder)
        assert not bucket.principal or names.is_subdomain(
            names.principal_secret_name(bucket.principal)
        )


@given(st.one_of(st.dictionaries(NAMES.filter(lambda key: isinstance(key, str)), BUCKETS), JSON))
def test_any_response_is_valid_as_a_whole_or_rejected(result: Any) -> None:
    try:
        buckets = gateway(result)
    except DocumentError:
        return
    check_valid(buckets)


@given(st.one_of(st.lists(BUCKETS), JSON))
def test_any_list_is_valid_as_a_whole_or_rejected(document: Any) -> None:
    try:
        buckets = grants_parse.parse_list(json.dumps(document))
    except DocumentError:
        return
    check_valid(buckets)


@given(st.binary(), st.text())
def test_any_bytes_and_text_are_parsed_or_rejected(raw: bytes, text: str) -> None:
    for parse in (grants_parse.parse_gateway, grants_parse.parse_list):
        for given_ in (raw, text):
            with contextlib.suppress(DocumentError):
                check_valid(parse(given_))
