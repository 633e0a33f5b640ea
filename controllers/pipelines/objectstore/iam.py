"""The IAM API: users of the store, their keys and policies. All functions block."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from botocore import exceptions

from controllers.pipelines.objectstore.clients import Clients, code_of, request
from controllers.pipelines.objectstore.spec import Credentials

_NOT_FOUND_CODES = frozenset({"NoSuchEntity", "NoSuchEntityException"})
_EXISTS_CODES = frozenset({"EntityAlreadyExists", "EntityAlreadyExistsException"})


class Users:
    """The IAM API. Every method raises ExternalError and may be repeated."""

    def __init__(self, clients: Clients) -> None:
        self._iam = clients.iam
        self._endpoint = clients.iam.meta.endpoint_url

    def exists(self, user: str) -> bool:
        """Return whether the user exists."""
        with request(f"GetUser {user}", self._endpoint):
            try:
                self._iam.get_user(UserName=user)
            except exceptions.ClientError as error:
                if code_of(error) not in _NOT_FOUND_CODES:
                    raise
                return False
        return True

    def create(self, user: str) -> None:
        """Create the user, unless it exists."""
        with request(f"CreateUser {user}", self._endpoint):
            try:
                self._iam.create_user(UserName=user)
            except exceptions.ClientError as error:
                if code_of(error) not in _EXISTS_CODES:
                    raise

    def delete(self, user: str) -> None:
        """Delete the user and its inline policies. Its keys must have been deleted."""
        for policy in self.policies(user):
            with request(f"DeleteUserPolicy {user} {policy}", self._endpoint):
                self._iam.delete_user_policy(UserName=user, PolicyName=policy)
        with request(f"DeleteUser {user}", self._endpoint):
            try:
                self._iam.delete_user(UserName=user)
            except exceptions.ClientError as error:
                if code_of(error) not in _NOT_FOUND_CODES:
                    raise

    def policies(self, user: str) -> list[str]:
        """Return the names of the user's inline policies; an absent user has none."""
        with request(f"ListUserPolicies {user}", self._endpoint):
            try:
                pages = self._iam.get_paginator("list_user_policies").paginate(UserName=user)
                return [name for page in pages for name in page["PolicyNames"]]
            except exceptions.ClientError as error:
                if code_of(error) not in _NOT_FOUND_CODES:
                    raise
        return []

    def policy(self, user: str, name: str) -> Mapping[str, Any] | None:
        """Return an inline policy, or None if it or the user does not exist."""
        with request(f"GetUserPolicy {user} {name}", self._endpoint):
            try:
                found: Any = self._iam.get_user_policy(UserName=user, PolicyName=name)
            except exceptions.ClientError as error:
                if code_of(error) not in _NOT_FOUND_CODES:
                    raise
                return None
        document = found["PolicyDocument"]
        return document if isinstance(document, Mapping) else {"unreadable": document}

    def put_policy(self, user: str, name: str, document: Mapping[str, Any]) -> None:
        """Create or replace an inline policy."""
        with request(f"PutUserPolicy {user} {name}", self._endpoint):
            self._iam.put_user_policy(
                UserName=user, PolicyName=name, PolicyDocument=json.dumps(document)
            )

    def keys(self, user: str) -> dict[str, bool]:
        """Return access key -> whether it is active; an absent user has no keys."""
        with request(f"ListAccessKeys {user}", self._endpoint):
            try:
                pages = self._iam.get_paginator("list_access_keys").paginate(UserName=user)
                return {
                    key["AccessKeyId"]: key["Status"] == "Active"
                    for page in pages
                    for key in page["AccessKeyMetadata"]
                    # SeaweedFS lists the keys of all users if it cannot parse the name.
                    if key["UserName"] == user
                }
            except exceptions.ClientError as error:
                if code_of(error) not in _NOT_FOUND_CODES:
                    raise
        return {}

    def create_key(self, user: str, values: Credentials | None) -> Credentials | None:
        """Create a key and return it. Returns None if an access key of this value exists already.

        ``values`` are the key's; None: the store chooses them.
        """
        parameters: dict[str, Any] = {}
        if values is not None:
            parameters = {"AccessKeyId": values.access_key, "SecretAccessKey": values.secret_key}
        with request(f"CreateAccessKey {user}", self._endpoint):
            try:
                created = self._iam.create_access_key(UserName=user, **parameters)["AccessKey"]
            except exceptions.ClientError as error:
                if code_of(error) not in _EXISTS_CODES:
                    raise
                return None
        return Credentials(access_key=created["AccessKeyId"], secret_key=created["SecretAccessKey"])

    def delete_key(self, user: str, access_key: str) -> None:
        """Delete a key, if it exists."""
        with request(f"DeleteAccessKey {user} {access_key}", self._endpoint):
            try:
                self._iam.delete_access_key(UserName=user, AccessKeyId=access_key)
            except exceptions.ClientError as error:
                if code_of(error) not in _NOT_FOUND_CODES:
                    raise

    def account(self) -> str | None:
        """Return the number of the Amazon account, or None if no user shows it."""
        with request("ListUsers", self._endpoint):
            users = self._iam.list_users(MaxItems=1)["Users"]
        number = users[0]["Arn"].split(":")[4] if users else ""
        return number or None
