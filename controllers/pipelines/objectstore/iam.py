"""Users of the store, their keys and their policies: what the IAM API is asked for. Blocking."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from botocore import exceptions

from controllers.pipelines.objectstore.clients import Clients, asking, code_of
from controllers.pipelines.objectstore.provider import Credentials

_MISSING = frozenset({"NoSuchEntity", "NoSuchEntityException"})
_TAKEN = frozenset({"EntityAlreadyExists", "EntityAlreadyExistsException"})


class Users:
    """The IAM API. Every method raises UnavailableError or RejectedError, and may be repeated."""

    def __init__(self, clients: Clients) -> None:
        """Asks nothing yet."""
        self._iam = clients.iam
        self._endpoint = clients.iam.meta.endpoint_url

    def exists(self, user: str) -> bool:
        """Whether there is such a user."""
        with asking(f"GetUser {user}", self._endpoint):
            try:
                self._iam.get_user(UserName=user)
            except exceptions.ClientError as error:
                if code_of(error) not in _MISSING:
                    raise
                return False
        return True

    def create(self, user: str) -> None:
        """Makes the user; one that exists is fine."""
        with asking(f"CreateUser {user}", self._endpoint):
            try:
                self._iam.create_user(UserName=user)
            except exceptions.ClientError as error:
                if code_of(error) not in _TAKEN:
                    raise

    def delete(self, user: str) -> None:
        """Removes the user and its inline policies; its keys must be gone."""
        for policy in self.policies(user):
            with asking(f"DeleteUserPolicy {user} {policy}", self._endpoint):
                self._iam.delete_user_policy(UserName=user, PolicyName=policy)
        with asking(f"DeleteUser {user}", self._endpoint):
            try:
                self._iam.delete_user(UserName=user)
            except exceptions.ClientError as error:
                if code_of(error) not in _MISSING:
                    raise

    def policies(self, user: str) -> list[str]:
        """Names of the user's inline policies; of no user, none."""
        with asking(f"ListUserPolicies {user}", self._endpoint):
            try:
                pages = self._iam.get_paginator("list_user_policies").paginate(UserName=user)
                return [name for page in pages for name in page["PolicyNames"]]
            except exceptions.ClientError as error:
                if code_of(error) not in _MISSING:
                    raise
        return []

    def policy(self, user: str, name: str) -> Mapping[str, Any] | None:
        """An inline policy; None where it or the user is missing."""
        with asking(f"GetUserPolicy {user} {name}", self._endpoint):
            try:
                found: Any = self._iam.get_user_policy(UserName=user, PolicyName=name)
            except exceptions.ClientError as error:
                if code_of(error) not in _MISSING:
                    raise
                return None
        document = found["PolicyDocument"]
        return document if isinstance(document, Mapping) else {"unreadable": document}

    def put_policy(self, user: str, name: str, document: Mapping[str, Any]) -> None:
        """Makes or replaces an inline policy."""
        with asking(f"PutUserPolicy {user} {name}", self._endpoint):
            self._iam.put_user_policy(
                UserName=user, PolicyName=name, PolicyDocument=json.dumps(document)
            )

    def keys(self, user: str) -> dict[str, bool]:
        """IDs of the user's keys, True for active ones; of no user, none."""
        with asking(f"ListAccessKeys {user}", self._endpoint):
            try:
                pages = self._iam.get_paginator("list_access_keys").paginate(UserName=user)
                return {
                    key["AccessKeyId"]: key["Status"] == "Active"
                    for page in pages
                    for key in page["AccessKeyMetadata"]
                    # SeaweedFS lists everybody's keys when it does not understand the name.
                    if key["UserName"] == user
                }
            except exceptions.ClientError as error:
                if code_of(error) not in _MISSING:
                    raise
        return {}

    def create_key(self, user: str, values: Credentials | None) -> Credentials | None:
        """A new key, with these values where the store allows that and they are not None.

        None: another user has a key of this ID.
        """
        chosen: dict[str, Any] = {}
        if values is not None:
            chosen = {"AccessKeyId": values.access_key, "SecretAccessKey": values.secret_key}
        with asking(f"CreateAccessKey {user}", self._endpoint):
            try:
                made = self._iam.create_access_key(UserName=user, **chosen)["AccessKey"]
            except exceptions.ClientError as error:
                if code_of(error) not in _TAKEN:
                    raise
                return None
        return Credentials(access_key=made["AccessKeyId"], secret_key=made["SecretAccessKey"])

    def delete_key(self, user: str, access_key: str) -> None:
        """Removes a key; one that is gone is fine."""
        with asking(f"DeleteAccessKey {user} {access_key}", self._endpoint):
            try:
                self._iam.delete_access_key(UserName=user, AccessKeyId=access_key)
            except exceptions.ClientError as error:
                if code_of(error) not in _MISSING:
                    raise

    def account(self) -> str | None:
        """Number of Amazon's account; None where no user tells."""
        with asking("ListUsers", self._endpoint):
            users = self._iam.list_users(MaxItems=1)["Users"]
        number = users[0]["Arn"].split(":")[4] if users else ""
        return number or None
