"""The names that Kubeflow Pipelines and the pipelines controller use on the cluster. Pure."""

from __future__ import annotations

ENABLED_LABEL = "pipelines.kubeflow.org/enabled"
"""Label of the namespace, not of the Profile: ``"true"`` and nothing else takes part."""

OLD_OBJECTS_ANNOTATION = "pipelines.statcan.gc.ca/old-objects"
"""On the Profile: what becomes of the objects that a former tenant of its name left behind."""
OLD_OBJECTS = ("refuse", "accept", "archive", "purge")
KEY_GENERATION_ANNOTATION = "pipelines.statcan.gc.ca/key-generation"
"""On the Profile: any text; a change of it asks for another key."""

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
"""ServiceAccount of every profile namespace, made by Kubeflow."""

AGENT = "ml-pipeline-driver-agent-executor-plugin"
AGENT_BINDING = f"{AGENT}-binding"
AGENT_ROLE = f"{AGENT}-cluster-role"
AGENT_LABELS = {"application-crd-id": "kubeflow-pipelines"}
ACCOUNT_ANNOTATION = "kubernetes.io/service-account.name"

INHERITED = (
    "metacontroller.k8s.io/decorator-controller",
    "metacontroller.k8s.io/last-applied-configuration",
)
"""Annotations of Metacontroller, dropped when an object of it is taken over."""

DRIVER_ROLES = (
    "configmap-reader",
    "ml-pipeline-driver-pods-reader",
    "ml-pipeline-driver-pvc-editor",
    "artifact-secret-reader",
)
"""Roles that let the central driver act in a namespace."""


def token_of(account: str) -> str:
    """The token Secret of a ServiceAccount, by the name that Argo looks for."""
    return f"{account}.service-account-token"


def binding_of(role: str) -> str:
    """The RoleBinding of one of DRIVER_ROLES."""
    return f"{role}-binding"


CONFIG_MAPS = (LAUNCHER, METADATA, REPOSITORIES)
SECRETS = (SECRET, token_of(AGENT), token_of(EDITOR))
BINDINGS = (AGENT_BINDING, *map(binding_of, DRIVER_ROLES))
"""All that there ever is of a kind, in whichever mode."""
