"""The settings of the pull-secrets controller."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class PullSecretsSettings(BaseModel):
    """The Secret of the platform that is copied, and its key."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source_namespace: str = Field(
        default="platform", description="namespace of the Secret that is copied"
    )
    source_name: str = Field(
        default="registry-credentials", description="name of the Secret that is copied"
    )
    source_key: str = Field(
        default=".dockerconfigjson", description="key of the Secret that holds the credentials"
    )
