"""The policies of users and bucket, and the retention of artifacts. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

Statement = Mapping[str, Any]

_VERSION = "2012-10-17"
_USER = "${aws:username}"
_OWN = ("private-artifacts/", "private/")
_SHARED = ("artifacts/", "shared/")
RETENTION_RULE = "private-artifacts"
"""ID and prefix of the lifecycle rule."""
_OUR_SIDS = ("KubeflowListOwn", "KubeflowHeadBucket", "KubeflowBrowseTop", "KubeflowDenyOthers")


def own_prefixes(namespace: str) -> tuple[str, ...]:
    """Return the prefixes of the objects that only the tenant can access."""
    return tuple(f"{prefix}{namespace}/" for prefix in _OWN)


def policy_name(namespace: str) -> str:
    """Return the name of the user's inline policy. KFP's own controller uses the same name."""
    return f"KubeflowProject{namespace}"


def user_policy(bucket: str, namespace: str) -> dict[str, Any]:
    """Return the inline policy of the namespace's user. SeaweedFS accepts no Deny in it."""
    prefixes = (_SHARED[0], *own_prefixes(namespace), _SHARED[1])
    return {
        "Version": _VERSION,
        "Statement": [
            {
                "Effect": "Allow",
                "Action": ["s3:Put*", "s3:Get*", "s3:List*", "s3:DeleteObject"],
                "Resource": [f"arn:aws:s3:::{bucket}/{prefix}*" for prefix in prefixes],
            }
        ],
    }


class Dialect(Enum):
    """Which conditions a store supports in a bucket's policy."""

    SEAWEEDFS = "it has s3:RequestMethod, and no s3:prefix if the request has no prefix"
    S3 = "as Amazon S3, which has no s3:RequestMethod"


def bucket_policy(
    existing: Statement | None, bucket: str, *, dialect: Dialect, account: str | None = None
) -> Statement:
    """Return the bucket's policy: our statements and most of the existing ones.

    Existing statements that allow something to anyone are dropped: they would break the
    isolation of tenants. ``account`` is the number of the Amazon account: without it Amazon rejects
    a statement for all users as public. Other stores have none.
    """
    others = [one for one in _statements_of(existing) if not _is_ours(one) and not _is_open(one)]
    return {"Version": _VERSION, "Statement": [*others, *_statements(bucket, dialect, account)]}


def _statements(bucket: str, dialect: Dialect, account: str | None) -> list[Statement]:
    own = {"s3:prefix": [f"{prefix}{_USER}/*" for prefix in _OWN]}
    listable = {"s3:prefix": [*own["s3:prefix"], *(f"{prefix}*" for prefix in _SHARED)]}
    allowed: dict[str, Statement] = {_OUR_SIDS[0]: {"StringLike": listable}}
    match dialect:
        case Dialect.SEAWEEDFS:
            allowed[_OUR_SIDS[1]] = {"StringEquals": {"s3:RequestMethod": "HEAD"}}
            allowed[_OUR_SIDS[2]] = {
                "Null": {"s3:prefix": "true"},
                "StringEquals": {"s3:delimiter": "/"},
            }
        case Dialect.S3:
            allowed[_OUR_SIDS[2]] = {"StringEquals": {"s3:delimiter": "/", "s3:prefix": ""}}
    others = {
        "StringLike": {"s3:prefix": [f"{prefix}*" for prefix in _OWN]},
        "StringNotLike": own,
    }
    return [
        *(
            _statement(sid, "Allow", bucket, _for_users(condition, account))
            for sid, condition in allowed.items()
        ),
        _statement(_OUR_SIDS[3], "Deny", bucket, others),
    ]


def _for_users(condition: Statement, account: str | None) -> Statement:
    """Return the condition for callers with a user name: ``*`` includes anonymous callers."""
    named = {**condition, "StringLike": {"aws:username": "?*", **condition.get("StringLike", {})}}
    if not account:
        return named
    equals = {"aws:PrincipalAccount": account, **condition.get("StringEquals", {})}
    return {**named, "StringEquals": equals}


def _statement(sid: str, effect: str, bucket: str, condition: Statement) -> Statement:
    return {
        "Sid": sid,
        "Effect": effect,
        "Principal": "*",
        "Action": "s3:ListBucket",
        "Resource": f"arn:aws:s3:::{bucket}",
        "Condition": condition,
    }


def dropped(existing: Statement | None) -> list[Statement]:
    """Return the existing statements that allow something to anyone."""
    return [one for one in _statements_of(existing) if not _is_ours(one) and _is_open(one)]


def _statements_of(existing: Statement | None) -> list[Statement]:
    """Return the statements of a policy. A single one may be without a list."""
    found = (existing or {}).get("Statement", ())
    return [
        one for one in (found if isinstance(found, list) else [found]) if isinstance(one, Mapping)
    ]


def _is_ours(statement: Statement) -> bool:
    return statement.get("Sid") in _OUR_SIDS


def _is_open(statement: Statement) -> bool:
    principal = statement.get("Principal")
    named = principal.values() if isinstance(principal, Mapping) else [principal]
    anyone = "NotPrincipal" in statement or any("*" in _texts(one) for one in named)
    return anyone and statement.get("Effect") == "Allow"


def same(one: Statement | None, other: Statement | None) -> bool:
    """Return whether two policies are equal. Stores unwrap lists of one item and reorder lists."""
    return bool(_canonical(one) == _canonical(other))


def _canonical(value: Any) -> Any:
    match value:
        case Mapping():
            return {key: _canonical(one) for key, one in sorted(value.items())}
        case [one]:
            return _canonical(one)
        case list() | tuple():
            return sorted((_canonical(one) for one in value), key=json.dumps)
        case _:
            return value


def _texts(value: Any) -> Sequence[Any]:
    if isinstance(value, str):
        return [value]
    return value if isinstance(value, list | tuple) else []


def lifecycle(existing: Sequence[Statement], days: int) -> list[Statement]:
    """Return the lifecycle rules: the existing ones, and ours if ``days`` > 0."""
    others = [rule for rule in existing if rule.get("ID") != RETENTION_RULE]
    if days <= 0:
        return others
    ours: Statement = {
        "ID": RETENTION_RULE,
        "Status": "Enabled",
        "Filter": {"Prefix": RETENTION_RULE},
        "Expiration": {"Days": days},
    }
    # At its previous index, so that an unchanged rule leaves the list unchanged.
    ids = [rule.get("ID") for rule in existing]
    index = ids.index(RETENTION_RULE) if RETENTION_RULE in ids else len(others)
    return [*others[:index], ours, *others[index:]]
