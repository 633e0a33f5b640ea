"""Names of Kubeflow Pipelines and of the pipelines controller on the cluster. Pure."""

from __future__ import annotations

ENABLED_LABEL = "pipelines.kubeflow.org/enabled"
"""Label of the namespace, not of the Profile. Only the value ``"true"`` enables pipelines."""

OLD_OBJECTS_ANNOTATION = "pipelines.statcan.gc.ca/old-objects"
"""On the Profile: what happens to the objects of an earlier tenant of its name."""
KEY_GENERATION_ANNOTATION = "pipelines.statcan.gc.ca/key-generation"
"""On the Profile: any text; a change replaces the key."""

LAUNCHER = "kfp-launcher"
METADATA = "metadata-grpc-configmap"
REPOSITORIES = "artifact-repositories"
REPOSITORY = "default-namespaced"
REPOSITORY_ANNOTATION = "workflows.argoproj.io/default-artifact-repository"
SECRET = "mlpipeline-minio-artifact"  # noqa: S105 - a Secret's name
ACCESS_KEY = "accesskey"
SECRET_KEY = "secretkey"  # noqa: S105 - the name of a key in the Secret
PROXY = "ml-pipeline-ui-artifact"
VISUALIZATION = "ml-pipeline-visualizationserver"
POD_DEFAULT = "access-ml-pipeline"
EDITOR = "default-editor"
"""ServiceAccount of every profile namespace, created by Kubeflow."""

AGENT = "ml-pipeline-driver-agent-executor-plugin"
AGENT_BINDING = f"{AGENT}-binding"
AGENT_ROLE = f"{AGENT}-cluster-role"
AGENT_LABELS = {"application-crd-id": "kubeflow-pipelines"}
ACCOUNT_ANNOTATION = "kubernetes.io/service-account.name"

METACONTROLLER_ANNOTATIONS = (
    "metacontroller.k8s.io/decorator-controller",
    "metacontroller.k8s.io/last-applied-configuration",
)
"""Removed when an object of Metacontroller is adopted."""

DRIVER_ROLES = (
    "configmap-reader",
    "ml-pipeline-driver-pods-reader",
    "ml-pipeline-driver-pvc-editor",
    "artifact-secret-reader",
)
"""Roles of the central driver in a namespace."""


def token_of(account: str) -> str:
    """Return the name under which Argo looks up the token Secret of a ServiceAccount."""
    return f"{account}.service-account-token"


def binding_of(role: str) -> str:
    """Return the name of the RoleBinding of one of DRIVER_ROLES."""
    return f"{role}-binding"


CONFIG_MAPS = (LAUNCHER, METADATA, REPOSITORIES)
SECRETS = (SECRET, token_of(AGENT), token_of(EDITOR))
BINDINGS = (AGENT_BINDING, *map(binding_of, DRIVER_ROLES))
"""All names of a kind, in all driver modes."""
