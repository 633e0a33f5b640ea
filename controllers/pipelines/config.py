"""The settings of the pipelines controller. The variables of KFP's own controller work, too."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    model_validator,
)

from controllers import config_tables


def _matching(pattern: str, expected: str) -> AfterValidator:
    """Return a validator for text that matches the whole pattern."""
    compiled = re.compile(pattern)
    return config_tables.validator(
        lambda text: None if compiled.fullmatch(text) else f"expected {expected}"
    )


_NAME = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_HOST = r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?"

Label = Annotated[str, _matching(_NAME, "a namespace's name: lower case, digits, '-'")]
Host = Annotated[str, _matching(_HOST, "a host's name without port, such as seaweedfs")]
Domain = Annotated[str, _matching(rf"\.?{_HOST}", "a domain such as .svc.cluster.local")]
BucketName = Annotated[
    str,
    _matching(
        r"[a-z0-9][-a-z0-9.]{1,61}[a-z0-9]", "a bucket's name: 3 to 63 of a-z, 0-9, '-', '.'"
    ),
]
Url = Annotated[
    str, _matching(r"https?://[^/\s@?#]+/?", "a URL without path, such as http://host:8333")
]
Image = Annotated[str, _matching(r"[^\s:@]+(:[0-9]+/[^\s:@]+)?", "an image without tag and digest")]
Tag = Annotated[
    str, _matching(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", "an image's tag, such as 2.17.0")
]
ServiceAccountName = Annotated[
    str,
    _matching(
        r"[a-z0-9][-a-z0-9]{0,62}/[a-z0-9][-a-z0-9.]{0,252}", "a ServiceAccount as namespace/name"
    ),
]
Port = Annotated[int, Field(ge=1, le=65535)]
Days = Annotated[int, Field(ge=-1, le=36500)]


class PipelinesSettings(BaseModel):
    """How KFP is installed, where artifacts are stored, and how drivers run."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True
    )

    provider: Literal["seaweedfs", "aws", "static", "none"] = Field(
        default="seaweedfs",
        description="source of the object store's keys: seaweedfs or aws creates one for each "
        "namespace, static is one for all, none is workload identity",
    )
    bucket: BucketName = Field(
        default="mlpipeline", description="bucket for the artifacts of all namespaces"
    )
    kfp_namespace: Label = Field(default="kubeflow", description="namespace of KFP")
    cluster_domain: Domain = Field(
        default=".svc.cluster.local",
        validation_alias=AliasChoices("CLUSTER_DOMAIN"),
        description="suffix of a Service's host name, after name and namespace",
    )
    object_store_host: Host = Field(
        default="seaweedfs",
        validation_alias=AliasChoices("OBJECT_STORE_HOST"),
        description="host of the object store for Argo: a Service in KFP's namespace, or with a "
        "dot a complete name",
    )
    object_store_port: Port = Field(default=9000, description="port of object_store_host")
    object_store_insecure: bool = Field(
        default=True, description="use HTTP, not HTTPS, for object_store_host"
    )
    s3_endpoint_url: Url | None = Field(
        default=None,
        validation_alias=AliasChoices("S3_ENDPOINT_URL"),
        description="URL of the S3 API; default: SeaweedFS in KFP's namespace, for aws Amazon's",
    )
    aws_endpoint_url: Url | None = Field(
        default=None,
        validation_alias=AliasChoices("AWS_ENDPOINT_URL"),
        description="URL of the IAM API; default: SeaweedFS in KFP's namespace, for aws Amazon's",
    )
    aws_region: str = Field(
        default="us-east-1",
        min_length=1,
        validation_alias=AliasChoices("AWS_REGION"),
        description="region of the S3 and IAM APIs",
    )
    aws_access_key_id: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("AWS_ACCESS_KEY_ID"),
        description="access key of an administrator of the object store",
    )
    aws_secret_access_key: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("AWS_SECRET_ACCESS_KEY"),
        description="secret key of aws_access_key_id",
    )
    minio_access_key: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("MINIO_ACCESS_KEY"),
        description="access key of all namespaces, for provider static and the v1 webhook",
    )
    minio_secret_key: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("MINIO_SECRET_KEY"),
        description="secret key of minio_access_key",
    )
    artifact_retention_days: Days = Field(
        default=-1,
        validation_alias=AliasChoices("ARTIFACT_RETENTION_DAYS"),
        description="days after which private artifacts expire; 0 or -1: never",
    )
    old_objects: Literal["refuse", "accept", "archive", "purge"] = Field(
        default="refuse",
        description="what happens to the objects of an earlier tenant when a Profile of its name "
        "is created",
    )
    keep_departed: bool = Field(
        default=False, description="do not delete user, keys and policy when a Profile is deleted"
    )
    artifacts_proxy_enabled: bool = Field(
        default=False,
        validation_alias=AliasChoices("ARTIFACTS_PROXY_ENABLED"),
        description="create a Deployment and Service that serve artifacts in every namespace",
    )
    frontend_image: Image = Field(
        default="ghcr.io/kubeflow/kfp-frontend",
        validation_alias=AliasChoices("FRONTEND_IMAGE"),
        description="image of the artifact proxy, without a tag",
    )
    frontend_tag: Tag | None = Field(
        default=None,
        validation_alias=AliasChoices("FRONTEND_TAG"),
        description="tag of frontend_image; default kfp_version",
    )
    kfp_version: Tag | None = Field(
        default=None,
        validation_alias=AliasChoices("KFP_VERSION"),
        description="version of KFP: the default tag of its images",
    )
    disable_istio_sidecar: bool = Field(
        default=False,
        validation_alias=AliasChoices("DISABLE_ISTIO_SIDECAR"),
        description="no Istio sidecar in the pods of the artifact proxy",
    )
    driver_mode: Literal["pod", "sidecar", "central"] = Field(
        default="pod", description="how KFP's drivers run"
    )
    driver_tokens: bool = Field(
        default=False,
        description="create token Secrets for Argo's agents; a subject that can read Secrets can "
        "then act as default-editor",
    )
    driver_without_isolation: bool = Field(
        default=False, description="confirm that the central driver does not isolate tenants"
    )
    driver_service_account: ServiceAccountName = Field(
        default="kubeflow/ml-pipeline-driver",
        description="ServiceAccount of the central driver, as namespace/name",
    )
    controller_port: Annotated[int, Field(ge=0, le=65535)] = Field(
        default=8080,
        validation_alias=AliasChoices("CONTROLLER_PORT"),
        description="port of the webhook; 0: a free one",
    )
    visualization_server_image: Image = Field(
        default="ghcr.io/kubeflow/kfp-visualization-server",
        validation_alias=AliasChoices("VISUALIZATION_SERVER_IMAGE"),
        description="v1 webhook: image of the visualization server, without a tag",
    )
    visualization_server_tag: Tag | None = Field(
        default=None,
        validation_alias=AliasChoices("VISUALIZATION_SERVER_TAG"),
        description="v1 webhook: tag of visualization_server_image; default kfp_version",
    )
    kfp_default_pipeline_root: str | None = Field(
        default=None,
        validation_alias=AliasChoices("KFP_DEFAULT_PIPELINE_ROOT"),
        description="v1 webhook: defaultPipelineRoot of kfp-launcher",
    )

    @model_validator(mode="after")
    def _check_conflicts(self) -> PipelinesSettings:
        problems = [problem for wrong, problem in self._conflicts() if wrong]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _conflicts(self) -> list[tuple[bool, str]]:
        keys = (self.aws_access_key_id, self.aws_secret_access_key)
        static = (self.minio_access_key, self.minio_secret_key)
        central = self.driver_mode == "central"
        return [
            (
                self.artifacts_proxy_enabled and self.frontend_image_tagged is None,
                "artifacts_proxy_enabled needs frontend_tag or kfp_version",
            ),
            (
                self.provider == "static" and None in static,
                "provider static needs minio_access_key and minio_secret_key",
            ),
            (
                (keys[0] is None) != (keys[1] is None),
                "aws_access_key_id and aws_secret_access_key go together: set both or neither",
            ),
            (
                (static[0] is None) != (static[1] is None),
                "minio_access_key and minio_secret_key go together: set both or neither",
            ),
            (
                central and not self.driver_without_isolation,
                "driver_mode central does not isolate tenants: set driver_without_isolation: true",
            ),
            (
                central and not self.driver_tokens,
                "driver_mode central needs driver_tokens: true",
            ),
        ]

    @cached_property
    def frontend_image_tagged(self) -> str | None:
        """Image and tag of the artifact proxy; None without a tag."""
        tag = self.frontend_tag or self.kfp_version
        return f"{self.frontend_image}:{tag}" if tag else None

    @cached_property
    def domain(self) -> str:
        """``cluster_domain`` with its leading dot."""
        return "." + self.cluster_domain.lstrip(".")

    @cached_property
    def endpoint(self) -> str:
        """Host and port of the object store, for Argo."""
        host = self.object_store_host
        name = host if "." in host else f"{host}.{self.kfp_namespace}{self.domain}"
        return f"{name}:{self.object_store_port}"

    @cached_property
    def s3_url(self) -> str | None:
        """URL of the S3 API; None: Amazon's own."""
        return self.s3_endpoint_url or self._seaweedfs(8333)

    @cached_property
    def iam_url(self) -> str | None:
        """URL of the IAM API; None: Amazon's own."""
        return self.aws_endpoint_url or self._seaweedfs(8111)

    def _seaweedfs(self, port: int) -> str | None:
        return f"http://seaweedfs.{self.kfp_namespace}:{port}" if self.provider != "aws" else None
