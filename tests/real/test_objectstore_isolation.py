"""Two tenants of one bucket, by real S3 requests with their own keys."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from controllers.pipelines.objectstore import policies
from controllers.pipelines.objectstore.spec import Credentials
from tests.support.cluster import waiting
from tests.support.objectstore.accounts import StoreTenant
from tests.support.objectstore.seaweedfs import SeaweedFS, client

DENIED = "AccessDenied"
OK = "ok"


class Pair:
    """Two tenants with a common prefix of their names, and their access."""

    def __init__(
        self, ours: StoreTenant, theirs: StoreTenant, keys: tuple[Credentials, Credentials]
    ) -> None:
        self.ours = ours
        self.theirs = theirs
        self.keys = keys
        self.bucket = ours.config.bucket

    @classmethod
    async def make(cls, seaweedfs: SeaweedFS) -> "Pair":
        ours = StoreTenant.create(seaweedfs, "spec")
        theirs = replace(ours, name=f"{ours.name}0", uid="uid-2", in_secret=None)
        keys = await ours.key(), await theirs.key()
        await ours.store.reconcile_bucket()
        for tenant in (ours, theirs):
            for prefix in ("private", "private-artifacts"):
                tenant.put(f"{prefix}/{tenant.name}/deep/seed")
        for prefix in ("artifacts", "shared", "elsewhere"):
            ours.put(f"{prefix}/deep/seed")
        return cls(ours, theirs, keys)

    def request(self, action: str, **arguments: Any) -> str:
        """What S3 answers to the first spec."""
        s3 = self.ours.seaweedfs.s3(self.keys[0])
        return result_of(getattr(s3, action), Bucket=self.bucket, **arguments)

    def access(self, folder: str) -> dict[str, str]:
        """Return the result of each action on a folder."""
        seed, probe = f"{folder}deep/seed", f"{folder}deep/probe"
        source = {"Bucket": self.bucket, "Key": seed}
        own = f"private/{self.ours.name}/copied"
        return {
            "put": self.request("put_object", Key=probe, Body=b"1"),
            "get": self.request("get_object", Key=seed),
            "copy": self.request("copy_object", Key=own, CopySource=source),
            "delete": self.request("delete_object", Key=probe),
            "list": self.request("list_objects_v2", Prefix=folder),
            "list level": self.request("list_objects_v2", Prefix=folder, Delimiter="/"),
            "list old": self.request("list_objects", Prefix=folder),
        }

    def check(self) -> bool:
        """Check the access to every prefix."""
        mine, other = self.ours.name, self.theirs.name
        open_ = {f"private/{mine}/", f"private-artifacts/{mine}/", "artifacts/", "shared/"}
        closed = {f"private/{other}/", f"private-artifacts/{other}/", "elsewhere/"}
        closed.add("profiles-controller/users/")
        expected: Mapping[str, set[str]]
        for folders, results in ((open_, {OK}), (closed, {DENIED})):
            expected = dict.fromkeys(folders, results)
            assert expected == {one: set(self.access(one).values()) for one in sorted(folders)}
        for prefix in ("", "private", "private/", f"private/{mine}", f"private/{mine[:-1]}"):
            assert DENIED == self.request("list_objects_v2", Prefix=prefix), prefix
        for prefix in ("private/", "private-artifacts/", f"private/{other}/deep/"):
            assert DENIED == self.request("list_objects_v2", Prefix=prefix, Delimiter="/"), prefix
        assert DENIED == self.request("list_object_versions", Prefix=f"private/{other}/")
        assert DENIED == self.request("list_multipart_uploads", Prefix=f"private/{other}/")
        assert OK == self.request("head_bucket")
        assert OK == self.request("list_objects_v2", Delimiter="/")
        return True


def result_of(call: Callable[..., Any], **arguments: Any) -> str:
    try:
        call(**arguments)
    except ClientError as error:
        return str(error.response.get("Error", {}).get("Code", "Unknown"))
    return OK


async def test_tenants_access_only_their_own_and_shared_prefixes(
    seaweedfs: SeaweedFS,
) -> None:
    pair = await Pair.make(seaweedfs)
    waiting.until(pair.check, "the policies are in force")


async def test_anonymous_callers_have_no_access(seaweedfs: SeaweedFS) -> None:
    pair = await Pair.make(seaweedfs)
    waiting.until(pair.check, "the policies are in force")
    import boto3  # noqa: PLC0415 - this test alone

    anonymous = boto3.client(
        "s3",
        endpoint_url=seaweedfs.s3_url,
        region_name="us-east-1",
        config=Config(signature_version=UNSIGNED, s3={"addressing_style": "path"}),
    )
    for prefix in ("", "shared/", "artifacts/", "private/"):
        for more in ({}, {"Delimiter": "/"}):
            result = result_of(anonymous.list_objects_v2, Bucket=pair.bucket, Prefix=prefix, **more)
            assert DENIED == result
    assert DENIED == result_of(anonymous.get_object, Bucket=pair.bucket, Key="shared/deep/seed")


async def test_a_tenants_key_cannot_change_policies_or_users(seaweedfs: SeaweedFS) -> None:
    pair = await Pair.make(seaweedfs)
    wide = '{"Version": "2012-10-17", "Statement": []}'
    for url in (seaweedfs.s3_url, seaweedfs.iam_url):
        iam = client("iam", url, pair.keys[0])
        name = policies.policy_name(pair.ours.name)
        calls: list[tuple[Callable[..., Any], dict[str, str]]] = [
            (
                iam.put_user_policy,
                {"UserName": pair.ours.name, "PolicyName": name, "PolicyDocument": wide},
            ),
            (iam.create_user, {"UserName": "another"}),
            (iam.create_access_key, {"UserName": pair.theirs.name}),
            (iam.delete_access_key, {"UserName": pair.theirs.name, "AccessKeyId": "x" * 16}),
            (iam.list_users, {}),
        ]
        for call, arguments in calls:
            assert OK != result_of(call, **arguments), call
    assert DENIED == pair.request("put_bucket_policy", Policy="{}")
    assert DENIED == pair.request("delete_bucket_policy")
    assert DENIED == pair.request("put_bucket_acl", ACL="public-read")


def widen_user(pair: Pair) -> None:
    pair.ours.widen_policy()


def drop_user_policy(pair: Pair) -> None:
    pair.ours.seaweedfs.iam().delete_user_policy(
        UserName=pair.ours.name, PolicyName=policies.policy_name(pair.ours.name)
    )


def widen_behind_the_api(pair: Pair) -> None:
    """Change the rights without the policy document that GetUserPolicy returns."""
    pair.ours.seaweedfs.shell(f"s3.configure -user {pair.ours.name} -actions Admin -apply")


def open_bucket(pair: Pair) -> None:
    statement = {
        "Sid": "Everything",
        "Effect": "Allow",
        "Principal": {"AWS": ["*"]},
        "Action": ["s3:*"],
        "Resource": [f"arn:aws:s3:::{pair.bucket}", f"arn:aws:s3:::{pair.bucket}/*"],
    }
    pair.ours.api.bucket.put_policy({"Version": "2012-10-17", "Statement": [statement]})


def drop_bucket_policy(pair: Pair) -> None:
    pair.ours.seaweedfs.s3().delete_bucket_policy(Bucket=pair.bucket)


TAMPERING = (
    widen_user,
    drop_user_policy,
    widen_behind_the_api,
    open_bucket,
    drop_bucket_policy,
)


@pytest.mark.parametrize("tamper", TAMPERING, ids=lambda one: one.__name__)
async def test_isolation_is_restored_after_tampering(
    seaweedfs: SeaweedFS, tamper: Callable[[Pair], None]
) -> None:
    pair = await Pair.make(seaweedfs)
    waiting.until(pair.check, "the policies are in force")
    tamper(pair)

    def broken() -> bool:
        try:
            pair.check()
        except AssertionError:
            return True
        return False

    waiting.until(broken, "the tampering is in force")
    await pair.ours.store.reconcile_bucket()
    assert pair.keys[0] == await pair.ours.ensure_key()
    waiting.until(pair.check, "the policies are in force again")


async def test_statements_and_rules_of_others_are_preserved(seaweedfs: SeaweedFS) -> None:
    tenant = StoreTenant.create(seaweedfs, "foreign", retention_days=30)
    bucket = tenant.config.bucket
    deny = {
        "Sid": "NoUploadsFromOutside",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:PutObject",
        "Resource": f"arn:aws:s3:::{bucket}/*",
        "Condition": {"NotIpAddress": {"aws:SourceIp": ["127.0.0.0/8", "10.0.0.0/8"]}},
    }
    tenant.api.bucket.put_policy({"Version": "2012-10-17", "Statement": [deny]})
    rules: list[Mapping[str, Any]] = [
        {
            "ID": "uploads",
            "Status": "Enabled",
            "Filter": {"Prefix": "artifacts/"},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 3},
        },
        {
            "ID": "tagged",
            "Status": "Disabled",
            "Filter": {"And": {"Prefix": "shared/", "Tags": [{"Key": "a", "Value": "b"}]}},
            "Expiration": {"Days": 9},
        },
    ]
    tenant.api.bucket.put_lifecycle(rules)
    await tenant.store.reconcile_bucket()
    found = (tenant.api.bucket.policy() or {})["Statement"]
    assert "NoUploadsFromOutside" in [one["Sid"] for one in found]
    assert 5 == len(found)
    assert [30] == [
        one["Expiration"]["Days"]
        for one in tenant.api.bucket.lifecycle()
        if one["ID"] == policies.RETENTION_RULE
    ]
    assert rules == [
        one for one in tenant.api.bucket.lifecycle() if one["ID"] != policies.RETENTION_RULE
    ]
    tenant.config = replace(tenant.config, retention_days=-1)
    tenant.restart()
    await tenant.store.reconcile_bucket()
    assert rules == tenant.api.bucket.lifecycle()


async def test_retention_is_set_changed_and_removed(seaweedfs: SeaweedFS) -> None:
    tenant = StoreTenant.create(seaweedfs, "retention")
    for days, expected in ((7, [7]), (30, [30]), (30, [30]), (0, []), (-1, [])):
        tenant.config = replace(tenant.config, retention_days=days)
        tenant.restart()
        await tenant.store.reconcile_bucket()
        assert expected == [one["Expiration"]["Days"] for one in tenant.api.bucket.lifecycle()]
