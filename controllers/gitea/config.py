"""The settings of the gitea controller, with the variables that existing deployments set."""

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


def _matches(pattern: str, expected: str) -> AfterValidator:
    """Return a validator: the whole text matches, or the error states what is expected."""
    compiled = re.compile(pattern)

    def check(text: str) -> str:
        if compiled.fullmatch(text) is None:
            raise ValueError(f"expected {expected}")
        return text

    return AfterValidator(check)


_LABEL, _NAME = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?"
DnsLabel = Annotated[
    str,
    _matches(_LABEL, "at most 63 lower-case letters, digits and hyphens, such as gitea-http"),
]
ObjectName = Annotated[
    str,
    _matches(_NAME, "the name of an object: lower-case letters, digits, hyphens and dots"),
]
HostName = Annotated[
    str,
    _matches(
        r"[A-Za-z0-9]([-A-Za-z0-9.]{0,251}[A-Za-z0-9])?",
        "a host name without a port, such as postgres.example.ca",
    ),
]
# Used in a path without encoding.
UrlPrefix = Annotated[
    str,
    _matches(
        r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*",
        "letters, digits, hyphens and underscores, with no slash at the ends, such as"
        " gitea-unclassified",
    ),
]
LabelKey = Annotated[
    str,
    _matches(
        rf"({_NAME}/)?[A-Za-z0-9]([-A-Za-z0-9_.]{{0,61}}[A-Za-z0-9])?",
        "the key of a label, such as example.ca/enabled",
    ),
]
RootUrl = Annotated[
    str, _matches(r"https?://[^/\s?#]+(/[^\s?#]*)?", "a URL, such as https://kubeflow.example.ca")
]
Word = Annotated[str, _matches(r"\S+", "text without spaces")]
Port = Annotated[int, Field(ge=1, le=65535)]
# Limited so that one request ends before /livez reports a worker as hung (300 s).
ConnectTimeout = Annotated[float, Field(gt=0, le=30, allow_inf_nan=False)]
StatementTimeout = Annotated[float, Field(gt=0, le=60, allow_inf_nan=False)]

_BY_CLASSIFICATION = {
    "service_url": "gitea-{}-http",
    "url_prefix": "gitea-{}",
    "banner_configmap_name": "gitea-banner-{}",
    "argocd_source_path": "profiles-argocd-system/template/gitea/{}",
}
"""Defaults that depend on the classification, as StatCan uses them."""


class GiteaSettings(BaseModel):
    """Gitea of one classification: its Postgres server, its Argo CD and its URL."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    classification: Literal["unclassified", "protected-b"] = Field(
        description="classification of the data; run one process for each"
    )
    psql_hostname: HostName = Field(description="host name of the Postgres server")
    psql_port: Port = Field(default=5432, description="port of the Postgres server")
    psql_admin_uname: Word = Field(
        description="administrator with CREATEROLE and CREATEDB; a superuser is not required"
    )
    psql_admin_passwd: SecretStr = Field(min_length=1, description="password of the administrator")
    psql_maintenance_db: Word = Field(
        default="postgres", description="database that the administrator connects to"
    )
    psql_sslmode: Literal["require", "verify-ca", "verify-full", "disable"] = Field(
        default="require",
        description="TLS mode of connections to Postgres; with disable also of Gitea",
    )
    psql_sslrootcert: Word | None = Field(
        default=None,
        validate_default=True,
        description="file of certificate authorities, for verify-ca and verify-full; with"
        " verify-full also the word system",
    )
    psql_login_with_host: bool | None = Field(
        default=None,
        description="login names are role@host, as Azure single server requires; unset: as in"
        " the profile's Secret, or as the administrator's name if there is no Secret",
    )
    psql_connect_timeout: ConnectTimeout = Field(
        default=10.0, description="timeout for connecting, in seconds, at most 30"
    )
    psql_statement_timeout: StatementTimeout = Field(
        default=30.0, description="timeout for one statement, in seconds, at most 60"
    )
    psql_verify_minutes: Annotated[float, Field(ge=0, le=10080, allow_inf_nan=False)] = Field(
        default=60.0,
        description="minutes until a database that is in sync is checked again",
    )
    psql_connections: Annotated[int, Field(ge=1, le=32)] = Field(
        default=4,
        description="maximum concurrent connections as administrator, and as many to test logins",
    )
    former_data: Literal["refuse", "accept"] = Field(
        default="refuse",
        description="what to do if the database of a deleted Profile with the same name exists",
    )
    delete_data: bool = Field(
        default=False, description="drop database and role after their Profile is deleted"
    )
    opt_out: Literal["keep", "stop", "detach"] = Field(
        default="keep", description="what happens to Gitea when its profile opts out"
    )
    service_url: DnsLabel = Field(
        default="", validate_default=False, description="name of the Service of Gitea"
    )
    service_port: Port = Field(default=80, description="port of the Service of Gitea")
    url_prefix: UrlPrefix = Field(
        default="", validate_default=False, description="first part of the URL path"
    )
    banner_configmap_name: ObjectName = Field(
        default="", validate_default=False, description="name of the ConfigMap with the banner"
    )
    argocd_namespace: DnsLabel = Field(
        default="profiles-argocd-system", description="namespace of the Argo CD Applications"
    )
    argocd_source_repo_url: Word = Field(description="Git repository with the manifests of Gitea")
    argocd_source_target_revision: Word = Field(
        default="HEAD", description="revision of the manifests"
    )
    argocd_source_path: Word = Field(
        default="", validate_default=False, description="path of the manifests in the repository"
    )
    argocd_project: ObjectName = Field(
        default="default", description="Argo CD project of the Applications"
    )
    argocd_automated: bool = Field(
        default=False, description="Argo CD syncs automatically, with prune and selfHeal"
    )
    source_control_enabled_label: LabelKey = Field(
        default="sourcecontrol.statcan.gc.ca/enabled",
        description="key of the label with which a Profile opts in",
    )
    kubeflow_root_url: RootUrl | None = Field(
        default=None,
        description="URL of the dashboard; if set, redirects require its page as referer",
    )

    @model_validator(mode="before")
    @classmethod
    def _add_defaults(cls, data: Any) -> Any:
        """Add the defaults that depend on the classification."""
        if not isinstance(data, dict) or not isinstance(data.get("classification"), str):
            return data
        defaults = {
            field: text.format(data["classification"]) for field, text in _BY_CLASSIFICATION.items()
        }
        return {**defaults, **data}

    @field_validator("psql_sslrootcert")
    @classmethod
    def _check_sslrootcert(cls, value: str | None, info: ValidationInfo) -> str | None:
        mode = info.data.get("psql_sslmode")
        if mode is None:  # psql_sslmode is invalid, which pydantic reports
            return value
        if value and not mode.startswith("verify"):
            raise ValueError(
                f"valid only with psql_sslmode verify-ca or verify-full, not {mode!r}; unset it"
            )
        if mode.startswith("verify") and not value:
            raise ValueError(
                f"required with psql_sslmode {mode}: set it to the file of certificate authorities"
            )
        if value == "system" and mode != "verify-full":
            raise ValueError("system is valid only with psql_sslmode verify-full; set it to a file")
        return value

    @property
    def server_address(self) -> str:
        """``host:port`` of the Postgres server."""
        return f"{self.psql_hostname}:{self.psql_port}"
