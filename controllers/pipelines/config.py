"""The settings of the pipelines controller; the variables of KFP's own controller keep working."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Literal

from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    model_validator,
)

from controllers.pipelines.spellings import (
    Account,
    Bucket,
    Days,
    Domain,
    Host,
    Image,
    Label,
    Port,
    Tag,
    Url,
)


class PipelinesSettings(BaseModel):
    """What KFP is like here, who keeps the artifacts, and how drivers run."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True
    )

    provider: Literal["seaweedfs", "aws", "static", "none"] = Field(
        default="seaweedfs", description="who gives out the keys of the object store"
    )
    bucket: Bucket = Field(default="mlpipeline", description="bucket of all artifacts")
    kfp_namespace: Label = Field(default="kubeflow", description="namespace that KFP runs in")
    cluster_domain: Domain = Field(
        default=".svc.cluster.local",
        validation_alias=AliasChoices("CLUSTER_DOMAIN"),
        description="what follows service and namespace in a host's name",
    )
    object_store_host: Host = Field(
        default="seaweedfs",
        validation_alias=AliasChoices("OBJECT_STORE_HOST"),
        description="host of the artifacts for Argo: a Service of KFP's namespace, or with a dot "
        "a whole name",
    )
    object_store_port: Port = Field(default=9000, description="port of that host")
    object_store_insecure: bool = Field(default=True, description="HTTP there, not HTTPS")
    s3_endpoint_url: Url | None = Field(
        default=None,
        validation_alias=AliasChoices("S3_ENDPOINT_URL"),
        description="S3 API for bucket policy and retention; default SeaweedFS's",
    )
    aws_endpoint_url: Url | None = Field(
        default=None,
        validation_alias=AliasChoices("AWS_ENDPOINT_URL"),
        description="IAM API for users and keys; default SeaweedFS's",
    )
    aws_region: str = Field(
        default="us-east-1",
        min_length=1,
        validation_alias=AliasChoices("AWS_REGION"),
        description="region of both",
    )
    aws_access_key_id: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("AWS_ACCESS_KEY_ID"),
        description="key of an administrator of the object store",
    )
    aws_secret_access_key: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("AWS_SECRET_ACCESS_KEY"),
        description="its secret",
    )
    minio_access_key: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("MINIO_ACCESS_KEY"),
        description="the one key of all namespaces, for provider static and the older webhook",
    )
    minio_secret_key: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("MINIO_SECRET_KEY"),
        description="its secret",
    )
    artifact_retention_days: Days = Field(
        default=-1,
        validation_alias=AliasChoices("ARTIFACT_RETENTION_DAYS"),
        description="days after which private artifacts expire; 0 or -1 is never",
    )
    old_objects: Literal["refuse", "accept", "archive", "purge"] = Field(
        default="refuse",
        description="what becomes of a former tenant's objects when a namespace is made anew",
    )
    keep_departed: bool = Field(
        default=False, description="keep user, keys and policy when a Profile is gone"
    )
    artifacts_proxy_enabled: bool = Field(
        default=False,
        validation_alias=AliasChoices("ARTIFACTS_PROXY_ENABLED"),
        description="a Deployment and Service that serve artifacts in every namespace",
    )
    frontend_image: Image = Field(
        default="ghcr.io/kubeflow/kfp-frontend",
        validation_alias=AliasChoices("FRONTEND_IMAGE"),
        description="image of that Deployment, without its tag",
    )
    frontend_tag: Tag | None = Field(
        default=None,
        validation_alias=AliasChoices("FRONTEND_TAG"),
        description="its tag; default kfp_version",
    )
    kfp_version: Tag | None = Field(
        default=None,
        validation_alias=AliasChoices("KFP_VERSION"),
        description="version of KFP: the tag of its images where they have none",
    )
    disable_istio_sidecar: bool = Field(
        default=False,
        validation_alias=AliasChoices("DISABLE_ISTIO_SIDECAR"),
        description="no sidecar for pods of these Deployments",
    )
    driver_mode: Literal["pod", "sidecar", "central"] = Field(
        default="pod", description="how KFP's drivers run"
    )
    driver_tokens: bool = Field(
        default=False,
        description="token Secrets for Argo's agents; who reads Secrets can become default-editor",
    )
    driver_without_isolation: bool = Field(
        default=False, description="yes, the central driver does not isolate tenants"
    )
    driver_service_account: Account = Field(
        default="kubeflow/ml-pipeline-driver",
        description="the central driver's ServiceAccount, as namespace/name",
    )
    controller_port: Annotated[int, Field(ge=0, le=65535)] = Field(
        default=8080,
        validation_alias=AliasChoices("CONTROLLER_PORT"),
        description="port of the webhook; 0 takes a free one",
    )
    visualization_server_image: Image = Field(
        default="ghcr.io/kubeflow/kfp-visualization-server",
        validation_alias=AliasChoices("VISUALIZATION_SERVER_IMAGE"),
        description="older webhook: its image, without a tag",
    )
    visualization_server_tag: Tag | None = Field(
        default=None,
        validation_alias=AliasChoices("VISUALIZATION_SERVER_TAG"),
        description="older webhook: its tag; default kfp_version",
    )
    kfp_default_pipeline_root: str | None = Field(
        default=None,
        validation_alias=AliasChoices("KFP_DEFAULT_PIPELINE_ROOT"),
        description="older webhook: defaultPipelineRoot of kfp-launcher",
    )

    @model_validator(mode="after")
    def _fits_together(self) -> PipelinesSettings:
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
                "aws_access_key_id and aws_secret_access_key go together: give both or neither",
            ),
            (
                (static[0] is None) != (static[1] is None),
                "minio_access_key and minio_secret_key go together: give both or neither",
            ),
            (
                central and not self.driver_without_isolation,
                "driver_mode central isolates no tenants: set driver_without_isolation: true",
            ),
            (
                central and not self.driver_tokens,
                "driver_mode central does not run without driver_tokens: true",
            ),
        ]

    @cached_property
    def frontend_image_tagged(self) -> str | None:
        """Image and tag of the artifact proxy; None where no tag is known."""
        tag = self.frontend_tag or self.kfp_version
        return f"{self.frontend_image}:{tag}" if tag else None

    @cached_property
    def domain(self) -> str:
        """``cluster_domain`` with its leading dot."""
        return "." + self.cluster_domain.lstrip(".")

    @cached_property
    def endpoint(self) -> str:
        """Host and port of the object store, as Argo reaches it."""
        host = self.object_store_host
        whole = host if "." in host else f"{host}.{self.kfp_namespace}{self.domain}"
        return f"{whole}:{self.object_store_port}"

    @cached_property
    def s3_url(self) -> str | None:
        """The S3 API; None is Amazon's own."""
        return self.s3_endpoint_url or self._seaweedfs(8333)

    @cached_property
    def iam_url(self) -> str | None:
        """The IAM API; None is Amazon's own."""
        return self.aws_endpoint_url or self._seaweedfs(8111)

    def _seaweedfs(self, port: int) -> str | None:
        return f"http://seaweedfs.{self.kfp_namespace}:{port}" if self.provider != "aws" else None
