"""Who may do what in the bucket, and how long artifacts are kept. Pure."""

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
"""ID of the lifecycle rule, and its prefix."""
_OURS = ("KubeflowListOwn", "KubeflowHeadBucket", "KubeflowBrowseTop", "KubeflowDenyOthers")


def own_prefixes(namespace: str) -> tuple[str, ...]:
    """What belongs to the tenant alone."""
    return tuple(f"{prefix}{namespace}/" for prefix in _OWN)


def policy_name(namespace: str) -> str:
    """Name of the inline policy of the namespace's user; KFP's own controller uses it too."""
    return f"KubeflowProject{namespace}"


def user_policy(bucket: str, namespace: str) -> dict[str, Any]:
    """What the namespace's user may do. Allow only: SeaweedFS takes no Deny here."""
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
    """What a store makes of conditions in a bucket's policy."""

    SEAWEEDFS = "knows the request's method, and no s3:prefix where none was given"
    S3 = "as Amazon's, without the method"


def bucket_policy(
    existing: Statement | None, bucket: str, *, dialect: Dialect, account: str | None = None
) -> Statement:
    """The policy of the bucket: our statements, and those of others that we keep.

    Others' are kept unless they allow something to everybody: that would undo the isolation.
    ``account`` is the number of Amazon's account, without which Amazon refuses as public what is
    for everybody; other stores have none.
    """
    kept = [one for one in _said(existing) if _is_foreign(one)]
    return {"Version": _VERSION, "Statement": [*kept, *_statements(bucket, dialect, account)]}


def _statements(bucket: str, dialect: Dialect, account: str | None) -> list[Statement]:
    deep = {"s3:prefix": [f"{prefix}{_USER}/*" for prefix in _OWN]}
    listable = {"s3:prefix": [*deep["s3:prefix"], *(f"{prefix}*" for prefix in _SHARED)]}
    allowed: dict[str, Statement] = {_OURS[0]: {"StringLike": listable}}
    match dialect:
        case Dialect.SEAWEEDFS:
            allowed[_OURS[1]] = {"StringEquals": {"s3:RequestMethod": "HEAD"}}
            allowed[_OURS[2]] = {
                "Null": {"s3:prefix": "true"},
                "StringEquals": {"s3:delimiter": "/"},
            }
        case Dialect.S3:
            allowed[_OURS[2]] = {"StringEquals": {"s3:delimiter": "/", "s3:prefix": ""}}
    others = {
        "StringLike": {"s3:prefix": [f"{prefix}*" for prefix in _OWN]},
        "StringNotLike": deep,
    }
    return [
        *(
            _statement(sid, "Allow", bucket, _of_a_user(condition, account))
            for sid, condition in allowed.items()
        ),
        _statement(_OURS[3], "Deny", bucket, others),
    ]


def _of_a_user(condition: Statement, account: str | None) -> Statement:
    """The condition, for callers with a name only: everybody includes who gives no key at all."""
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
    """The statements of others that are not kept, for they allow something to everybody."""
    return [one for one in _said(existing) if one.get("Sid") not in _OURS and _opens(one)]


def _said(existing: Statement | None) -> list[Statement]:
    """The statements of a policy; one alone may stand without a list."""
    found = (existing or {}).get("Statement", ())
    return [
        one for one in (found if isinstance(found, list) else [found]) if isinstance(one, Mapping)
    ]


def _is_foreign(statement: Statement) -> bool:
    return statement.get("Sid") not in _OURS and not _opens(statement)


def _opens(statement: Statement) -> bool:
    principal = statement.get("Principal")
    named = principal.values() if isinstance(principal, Mapping) else [principal]
    everybody = "NotPrincipal" in statement or any("*" in _texts(one) for one in named)
    return everybody and statement.get("Effect") == "Allow"


def same(one: Statement | None, other: Statement | None) -> bool:
    """Whether two policies say the same: stores write a list of one as a text, and reorder."""
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
    """The rules of the bucket: those of others as they are, and ours when ``days`` > 0."""
    kept = [rule for rule in existing if rule.get("ID") != RETENTION_RULE]
    if days <= 0:
        return kept
    ours: Statement = {
        "ID": RETENTION_RULE,
        "Status": "Enabled",
        "Filter": {"Prefix": RETENTION_RULE},
        "Expiration": {"Days": days},
    }
    # In its old place, so that an unchanged rule makes an unchanged list.
    at = next((at for at, one in enumerate(existing) if one.get("ID") == RETENTION_RULE), len(kept))
    return [*kept[:at], ours, *kept[at:]]
