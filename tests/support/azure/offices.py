"""Several profiles and accounts before a real Azurite, as tests of the accounts arrange them."""

import asyncio
import dataclasses
import itertools
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

from controllers.blob_csi import names, observations
from controllers.blob_csi.accounts import secrets as accounts_secrets
from controllers.blob_csi.accounts.accounts import CLUSTER_NAMESPACE, Accounts
from controllers.blob_csi.config import BlobCsiSettings
from controllers.blob_csi.grants.resolve import Withheld
from controllers.profiles import Owner, Profile
from tests.support.azure import Azurite, key_of
from tests.support.builders import inputs

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


class Office:
    """Accounts with their own event loop; `good` is `goodaccount`, `other` is `otheraccount`."""

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
        self.secrets: dict[str, accounts_secrets.Found] = {
            "good": azurite.key("goodaccount"),
            "other": azurite.key("otheraccount"),
        }
        self.profiles: dict[str, Profile] = {}
        self.cluster = f"uid-of-cluster-{next(_numbers)}"
        """Its own, so that it sweeps no other test's containers."""
        self.runner = asyncio.Runner()
        self.accounts = Accounts(self.settings)

    def start(self, **arguments: Any) -> None:
        """Anew, as after a restart: what was known is forgotten."""
        self.run(self.accounts.close())
        self.accounts = Accounts(self.settings, **arguments)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def close(self) -> None:
        self.run(self.accounts.close())
        self.runner.close()

    def profile(self, name: str, *, owner: str = JANE, **fields: Any) -> Profile:
        """A Profile that exists from now on, in the place of an earlier one of its name."""
        made = inputs.profile(name, **fields)
        uid = f"uid-{next(_numbers)}"
        self.profiles[name] = dataclasses.replace(made, uid=uid, owner=Owner(name=owner))
        return self.profiles[name]

    def profile_gone(self, name: str, uid: str) -> bool:
        known = self.profiles.get(name)
        return known is None or known.uid != uid

    def withheld(
        self, profile: Profile, volumes: Mapping[str, observations.Volume] | None = None
    ) -> Mapping[str, Withheld]:
        """As a reconcile asks."""

        async def gather() -> Mapping[str, Withheld]:
            self.accounts.read(self.kept)
            return await self.accounts.withheld(profile, volumes or {}, frozenset(self.profiles))

        return self.run(gather())

    def reasons(
        self, profile: Profile, volumes: Mapping[str, observations.Volume] | None = None
    ) -> dict[str, str]:
        """Of each instance that is withheld."""
        return {name: one.reason for name, one in self.withheld(profile, volumes).items()}

    def kept(self, kind: str, namespace: str, name: str, /) -> Any | None:
        if (kind, name) == ("Namespace", CLUSTER_NAMESPACE):
            return self.cluster
        if (kind, namespace) == ("Secret", names.AZURE_NAMESPACE):
            return self.secrets.get(name)
        raise KeyError(kind, namespace, name)

    def sweep(self) -> None:
        self.run(self.accounts.sweep(self.profile_gone))


def volume_of(profile: Profile, container: str, where: str = "good") -> observations.Volume:
    """One that this Profile controls, as an older suite made it."""
    return observations.Volume(
        owner=profile.uid,
        driver=names.DRIVER,
        secret=(where, names.AZURE_NAMESPACE),
        attributes={"containerName": container},
    )


def wrong_key(account: str) -> accounts_secrets.AccountKey:
    return accounts_secrets.AccountKey(account=account, key=key_of("somebody-else"))
