"""Three small controllers for tests of the command line: quotas, limit-ranges and forge."""

from typing import Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, SecretStr

from controllers.desired import Desired
from controllers.findings import Finding
from controllers.manifests import Manifest
from controllers.profiles import Profile
from controllers.runtime.controller import AnyController, Command, Controller, always, no_facts


class QuotaSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    hard: dict[str, str] = Field(default_factory=lambda: {"pods": "100"})
    names: tuple[str, ...] = ()


class LimitSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    cpu: str = "250m"


class LoginSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    user: str = "admin"
    password: SecretStr = SecretStr("")


class ForgeSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = Field(validation_alias=AliasChoices("FORGE_ROOT_URL"))
    port: int = Field(default=80, gt=0)
    token: SecretStr = SecretStr("")
    login: LoginSettings = LoginSettings()


def desired(profile: Profile, _facts: None, settings: Any) -> Desired:
    hard = getattr(settings, "hard", {})
    bad = profile.labels.get("bad")
    return Desired(
        objects=[
            Manifest(
                kind="ResourceQuota",
                name="quotas",
                namespace=profile.namespace,
                content={"spec": {"hard": dict(hard)}},
            )
        ],
        findings=[Finding(reason="BadLabel", message=f"label bad is {bad}")] if bad else [],
    )


def controller(
    name: str, settings: type[BaseModel], *, aliases: tuple[str, ...] = ()
) -> AnyController:
    return Controller(
        name=name,
        summary=f"Manages {name}.",
        settings=settings,
        facts=None,
        owned=always(),
        desired=desired,
        observe=no_facts,
        command=Command(aliases=aliases),
    )


REGISTRY = (
    controller("quotas", QuotaSettings),
    controller("limit-ranges", LimitSettings, aliases=("limits",)),
)
FORGE = controller("forge", ForgeSettings)
