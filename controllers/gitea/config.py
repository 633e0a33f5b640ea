"""The settings of the gitea controller, under the variables that existing deployments set."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)


def _like(pattern: str, expected: str) -> AfterValidator:
    """Takes what matches the whole pattern, and says in words what is expected."""
    whole = re.compile(pattern)

    def check(text: str) -> str:
        if whole.fullmatch(text) is None:
            raise ValueError(f"expected {expected}")
        return text

    return AfterValidator(check)


_LABEL, _NAME = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?"
Label = Annotated[
    str, _like(_LABEL, "lower-case letters, digits and hyphens, such as gitea-http, at most 63")
]
Name = Annotated[
    str, _like(_NAME, "a name of an object: lower-case letters, digits, hyphens, dots")
]
Host = Annotated[
    str,
    _like(
        r"[A-Za-z0-9]([-A-Za-z0-9.]{0,251}[A-Za-z0-9])?",
        "a host's name, such as postgres.example.ca, without a port",
    ),
]
# What is put into a path, as it is: nothing that would be encoded, no slash at its ends.
Prefix = Annotated[
    str,
    _like(
        r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*",
        "letters, digits, hyphens, underscores, no slash at the ends, such as gitea-unclassified",
    ),
]
LabelKey = Annotated[
    str,
    _like(
        rf"({_NAME}/)?[A-Za-z0-9]([-A-Za-z0-9_.]{{0,61}}[A-Za-z0-9])?",
        "a label's key, such as example.ca/enabled",
    ),
]
RootUrl = Annotated[
    str, _like(r"https?://[^/\s?#]+(/[^\s?#]*)?", "a URL, such as https://kubeflow.example.ca")
]
Text = Annotated[str, _like(r"\S+", "a text without spaces")]
Port = Annotated[int, Field(ge=1, le=65535)]
# What a reconcile waits for with these must end before /livez takes it for stuck (300 s).
Connecting = Annotated[float, Field(gt=0, le=30, allow_inf_nan=False)]
Stating = Annotated[float, Field(gt=0, le=60, allow_inf_nan=False)]

_BY_CLASSIFICATION = {
    "service_url": "gitea-{}-http",
    "url_prefix": "gitea-{}",
    "banner_configmap_name": "gitea-banner-{}",
    "argocd_source_path": "profiles-argocd-system/template/gitea/{}",
}
"""Defaults that follow from the classification, as they are used at StatCan."""


class GiteaSettings(BaseModel):
    """One classification of Gitea: its Postgres, its Argo CD, and where browsers find it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    classification: Literal["unclassified", "protected-b"] = Field(
        description="what this process serves; a process of each may run"
    )
    psql_hostname: Host = Field(description="host of the Postgres server")
    psql_port: Port = Field(default=5432, description="its port")
    psql_admin_uname: Text = Field(
        description="login with CREATEROLE and CREATEDB; it needs to be no superuser"
    )
    psql_admin_passwd: SecretStr = Field(min_length=1, description="its password")
    psql_maintenance_db: Text = Field(
        default="postgres", description="database that the administrator connects to"
    )
    psql_sslmode: Literal["require", "verify-ca", "verify-full", "disable"] = Field(
        default="require",
        description="TLS to Postgres; disable is for Gitea, too: it has no TLS then",
    )
    psql_sslrootcert: Text | None = Field(
        default=None,
        validate_default=True,
        description="file of the certificate authorities, for the modes that verify; with"
        " verify-full also the word system",
    )
    psql_login_with_host: bool | None = Field(
        default=None,
        description="logins are role@host, as Azure's single server wants them; unset: as the"
        " profile's Secret has it, and without one as the administrator's name has it",
    )
    psql_connect_timeout: Connecting = Field(
        default=10.0, description="seconds to connect within, at most 30"
    )
    psql_statement_timeout: Stating = Field(
        default=30.0, description="seconds that one statement may take, at most 60"
    )
    psql_verify_minutes: Annotated[float, Field(ge=0, le=10080, allow_inf_nan=False)] = Field(
        default=60.0,
        description="minutes for which a database that was found well is not looked at again",
    )
    psql_connections: Annotated[int, Field(ge=1, le=32)] = Field(
        default=4,
        description="connections at once as administrator, and as many to try logins with",
    )
    former_data: Literal["refuse", "accept"] = Field(
        default="refuse",
        description="when a Profile finds the database of a deleted Profile of its name",
    )
    delete_data: bool = Field(
        default=False, description="drop database and role when their Profile is deleted"
    )
    opt_out: Literal["keep", "stop", "detach"] = Field(
        default="keep", description="what becomes of a Gitea whose profile no longer opts in"
    )
    service_url: Label = Field(default="", validate_default=False, description="Service of Gitea")
    service_port: Port = Field(default=80, description="its port")
    url_prefix: Prefix = Field(
        default="", validate_default=False, description="first part of the path in browsers"
    )
    banner_configmap_name: Name = Field(
        default="", validate_default=False, description="ConfigMap of the banner"
    )
    argocd_namespace: Label = Field(
        default="profiles-argocd-system", description="namespace of the Applications"
    )
    argocd_source_repo_url: Text = Field(description="Git repository of Gitea's manifests")
    argocd_source_target_revision: Text = Field(default="HEAD", description="its revision")
    argocd_source_path: Text = Field(
        default="", validate_default=False, description="path of the manifests in it"
    )
    argocd_project: Name = Field(default="default", description="Argo CD project")
    argocd_automated: bool = Field(
        default=False, description="Argo CD syncs by itself, prunes and heals"
    )
    source_control_enabled_label: LabelKey = Field(
        default="sourcecontrol.statcan.gc.ca/enabled",
        description="label of a Profile that opts in",
    )
    kubeflow_root_url: RootUrl | None = Field(
        default=None,
        description="URL of the dashboard, for redirects by its referer; unset: none of these",
    )

    @model_validator(mode="before")
    @classmethod
    def _by_classification(cls, data: Any) -> Any:
        """Names that were not given follow from the classification."""
        if not isinstance(data, dict) or not isinstance(data.get("classification"), str):
            return data
        named = {
            field: text.format(data["classification"]) for field, text in _BY_CLASSIFICATION.items()
        }
        return {**named, **data}

    @field_validator("psql_sslrootcert")
    @classmethod
    def _used(cls, value: str | None, info: ValidationInfo) -> str | None:
        mode = info.data.get("psql_sslmode")
        if mode is None:  # told of itself
            return value
        if value and not mode.startswith("verify"):
            raise ValueError(f"used with psql_sslmode verify-ca or verify-full only, not {mode!r}")
        if mode.startswith("verify") and not value:
            raise ValueError(f"psql_sslmode {mode} needs the file of the certificate authorities")
        if value == "system" and mode != "verify-full":
            raise ValueError("system is used with psql_sslmode verify-full only")
        return value

    @property
    def database_host(self) -> str:
        """``host:port`` of Postgres, as Gitea writes it."""
        return f"{self.psql_hostname}:{self.psql_port}"
