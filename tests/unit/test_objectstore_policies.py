"""Policies and lifecycle rules, as values."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers.pipelines.objectstore import policies
from controllers.pipelines.objectstore.policies import Dialect

BUCKET = "mlpipeline"
ARN = f"arn:aws:s3:::{BUCKET}"
RULES = st.lists(
    st.fixed_dictionaries(
        {
            "ID": st.sampled_from([policies.RETENTION_RULE, "uploads", "tagged", ""]),
            "Status": st.sampled_from(["Enabled", "Disabled"]),
            "Expiration": st.fixed_dictionaries({"Days": st.integers(1, 99)}),
        }
    ),
    unique_by=lambda rule: str(rule["ID"]),
    max_size=4,
)


def test_a_user_has_access_to_its_own_and_to_shared_prefixes() -> None:
    (statement,) = policies.user_policy(BUCKET, "team")["Statement"]
    assert statement == {
        "Effect": "Allow",
        "Action": ["s3:Put*", "s3:Get*", "s3:List*", "s3:DeleteObject"],
        "Resource": [
            f"{ARN}/artifacts/*",
            f"{ARN}/private-artifacts/team/*",
            f"{ARN}/private/team/*",
            f"{ARN}/shared/*",
        ],
    }
    assert policies.policy_name("team") == "KubeflowProjectteam"


def test_the_bucket_policy_of_seaweedfs_has_four_statements_for_named_callers() -> None:
    policy = policies.bucket_policy(None, BUCKET, dialect=Dialect.SEAWEEDFS)
    assert [one["Effect"] for one in policy["Statement"]] == ["Allow", "Allow", "Allow", "Deny"]
    assert {one["Action"] for one in policy["Statement"]} == {"s3:ListBucket"}
    for statement in policy["Statement"][:3]:
        assert statement["Condition"]["StringLike"]["aws:username"] == "?*"


def test_on_amazon_all_users_are_those_of_the_account() -> None:
    policy = policies.bucket_policy(None, BUCKET, dialect=Dialect.S3, account="123456789012")
    assert "s3:RequestMethod" not in json.dumps(policy)
    for statement in policy["Statement"][:-1]:
        assert statement["Condition"]["StringEquals"]["aws:PrincipalAccount"] == "123456789012"


def test_statements_of_others_stay_unless_they_open_the_bucket_to_anyone() -> None:
    def statement(sid: str, effect: str, principal: object) -> Mapping[str, Any]:
        return {"Sid": sid, "Effect": effect, "Principal": principal, "Action": "s3:*"}

    existing = {
        "Statement": [
            statement("Deny", "Deny", "*"),
            statement("Named", "Allow", {"AWS": "arn:aws:iam::1:user/backup"}),
            statement("Open", "Allow", "*"),
            statement("OpenToo", "Allow", {"AWS": ["*"]}),
            statement("OpenThree", "Allow", {"Federated": "*"}),
            {"Sid": "ButOne", "Effect": "Allow", "NotPrincipal": {"AWS": "x"}, "Action": "s3:*"},
            statement("KubeflowListOwn", "Allow", {"AWS": "somebody"}),
        ]
    }
    policy = policies.bucket_policy(existing, BUCKET, dialect=Dialect.SEAWEEDFS)
    sids = [one["Sid"] for one in policy["Statement"]]
    assert sids[:2] == ["Deny", "Named"]
    assert len(sids) == 6
    again = policies.bucket_policy(policy, BUCKET, dialect=Dialect.SEAWEEDFS)
    assert policies.same(policy, again)
    opened = [one["Sid"] for one in policies.dropped(existing)]
    assert opened == ["Open", "OpenToo", "OpenThree", "ButOne"]
    assert policies.dropped(policy) == []


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ({"Sid": "Alone", "Effect": "Deny", "Principal": "*"}, 1),
        ("nonsense", 0),
        (["nonsense", 3], 0),
        (None, 0),
    ],
)
def test_a_policy_of_an_unusual_shape_is_parsed(said: object, kept: int) -> None:
    policy = policies.bucket_policy({"Statement": said}, BUCKET, dialect=Dialect.SEAWEEDFS)
    assert len(policy["Statement"]) == 4 + kept
    assert policies.dropped({"Statement": said}) == []


def test_policies_are_compared_by_meaning() -> None:
    one = {"Statement": [{"Action": ["b", "a"], "Resource": ["x"]}]}
    assert policies.same(one, {"Statement": {"Resource": "x", "Action": ["a", "b"]}})
    assert not policies.same(one, {"Statement": {"Resource": "y", "Action": ["a", "b"]}})
    assert not policies.same(one, None)
    assert policies.same(None, None)


@given(rules=RULES, days=st.integers(-1, 400))
def test_rules_of_others_stay_in_their_order(rules: list[Any], days: int) -> None:
    merged = policies.lifecycle(rules, days)

    def foreign(some: list[Any]) -> list[Any]:
        return [one for one in some if one["ID"] != policies.RETENTION_RULE]

    assert foreign(list(merged)) == foreign(rules)
    ours = [one for one in merged if one["ID"] == policies.RETENTION_RULE]
    assert [one["Expiration"]["Days"] for one in ours] == ([days] if days > 0 else [])
    assert policies.lifecycle(merged, days) == merged
