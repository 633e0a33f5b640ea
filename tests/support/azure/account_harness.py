"""Storage accounts of several profiles on a real Azurite, without a Kubernetes cluster."""

import asyncio
import dataclasses
import itertools
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

from controllers.blob_csi import names
from controllers.blob_csi.accounts.secrets import AccountKey, SecretContent
from controllers.blob_csi.accounts.storage_accounts import CLUSTER_NAMESPACE, StorageAccounts
from controllers.blob_csi.config import BlobCsiSettings
from controllers.blob_csi.facts import Unavailable
from controllers.blob_csi.volumes import ObservedVolume
from controllers.profiles import Owner, Profile
from tests.support import builders
from tests.support.azure import Azurite, key_of

T = TypeVar("T")
JANE = "jane@example.ca"
_numbers = itertools.count(1)


def instance(name: str, secret: str, *, read_only: bool = False) -> dict[str, Any]:
    return {
        "name": name,
        "classification": "unclassified",
        "secretRef": secret,
        "capacity": 10,
        "readOnly": read_only,
    }


INSTANCES = (
    instance("standard", "good"),
    instance("reader", "good", read_only=True),
    instance("other", "other"),
)


class AccountHarness:
    """StorageAccounts with an event loop of its own.

    The Secret `good` has the key of `goodaccount`, and `other` that of `otheraccount`.
    """

    def __init__(self, azurite: Azurite, **settings: Any) -> None:
        self.azurite = azurite
        self.settings = BlobCsiSettings.model_validate(
            {
                "instances": INSTANCES,
                "storage_endpoint": azurite.endpoint,
                "storage_timeout_seconds": 5,
                **settings,
            }
        )
        self.secrets: dict[str, SecretContent] = {
            "good": azurite.key("goodaccount"),
            "other": azurite.key("otheraccount"),
        }
        self.profiles: dict[str, Profile] = {}
        self.cluster = f"uid-of-cluster-{next(_numbers)}"
        """Unique, so that the garbage collection ignores the containers of other tests."""
        self.runner = asyncio.Runner()
        self.accounts = StorageAccounts(self.settings)

    def restart(self, **arguments: Any) -> None:
        """Replace the accounts, as after a restart of the process: they start without a list."""
        self.run(self.accounts.close())
        self.accounts = StorageAccounts(self.settings, **arguments)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def close(self) -> None:
        self.run(self.accounts.close())
        self.runner.close()

    def profile(self, name: str, *, owner: str = JANE, **fields: Any) -> Profile:
        """Create a Profile, which replaces an earlier one with this name."""
        profile = builders.profile(name, **fields)
        uid = f"uid-{next(_numbers)}"
        self.profiles[name] = dataclasses.replace(profile, uid=uid, owner=Owner(name=owner))
        return self.profiles[name]

    def is_gone(self, name: str, uid: str) -> bool:
        profile = self.profiles.get(name)
        return profile is None or profile.uid != uid

    def unavailable(
        self, profile: Profile, volumes: Mapping[str, ObservedVolume] | None = None
    ) -> Mapping[str, Unavailable]:
        """Reconcile the profile's containers."""

        async def observe() -> Mapping[str, Unavailable]:
            self.accounts.update_secrets(self.read_cache)
            profiles = frozenset(self.profiles)
            return await self.accounts.unavailable(profile, volumes or {}, profiles)

        return self.run(observe())

    def reasons(
        self, profile: Profile, volumes: Mapping[str, ObservedVolume] | None = None
    ) -> dict[str, str]:
        """Reconcile the profile's containers; the reason of each unavailable instance."""
        return {name: one.reason for name, one in self.unavailable(profile, volumes).items()}

    def read_cache(self, kind: str, namespace: str, name: str, /) -> Any | None:
        if (kind, name) == ("Namespace", CLUSTER_NAMESPACE):
            return self.cluster
        if (kind, namespace) == ("Secret", names.AZURE_NAMESPACE):
            return self.secrets.get(name)
        raise KeyError(kind, namespace, name)

    def collect_garbage(self) -> None:
        self.run(self.accounts.collect_garbage(self.is_gone))

    def errors(self) -> dict[str, str]:
        """The error of each failing component, by name."""
        return {one.name: one.error for one in self.accounts.components() if one.error}


def owned_volume(profile: Profile, container: str, account: str = "good") -> ObservedVolume:
    """A volume that the Profile controls, as the older suite created it."""
    return ObservedVolume(
        owner_uid=profile.uid,
        driver=names.DRIVER,
        secret=(account, names.AZURE_NAMESPACE),
        attributes={"containerName": container},
    )


def wrong_key(account: str) -> AccountKey:
    return AccountKey(account=account, key=key_of("somebody-else"))
