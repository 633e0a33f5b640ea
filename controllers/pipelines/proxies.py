"""Deployment and Service of the artifact proxy, which runs an image of KFP. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from controllers.manifests import Manifest
from controllers.pipelines import names
from controllers.pipelines.config import PipelinesSettings

PORT = 3000


def objects(namespace: str, settings: PipelinesSettings) -> list[Manifest]:
    """Return Deployment and Service, if the artifact proxy is enabled."""
    image = settings.frontend_image_tagged
    if not settings.artifacts_proxy_enabled or image is None:
        return []
    digest = hashlib.sha256(image.encode()).hexdigest()[:16]
    proxy = deployment(
        namespace,
        names.PROXY,
        image=image,
        port=PORT,
        resources=RESOURCES,
        env=[*key_variables(settings), *_service_variables(namespace, settings)],
        annotations={**istio(settings), "kubeflow-pipelines/image-spec-hash": digest},
    )
    return [proxy, service(namespace)]


RESOURCES = {
    "requests": {"cpu": "10m", "memory": "70Mi"},
    "limits": {"cpu": "100m", "memory": "500Mi"},
}
"""Requests and limits of the artifact proxy."""


def istio(settings: PipelinesSettings) -> dict[str, str]:
    """Return the pod annotation that disables the Istio sidecar, if so configured."""
    return {"sidecar.istio.io/inject": "false"} if settings.disable_istio_sidecar else {}


def key_variables(settings: PipelinesSettings) -> list[dict[str, Any]]:
    """Return the variables with the namespace's key. A pod does not start without the Secret."""
    if settings.provider == "none":
        return []
    return [
        _from_secret("MINIO_ACCESS_KEY", names.ACCESS_KEY),
        _from_secret("MINIO_SECRET_KEY", names.SECRET_KEY),
    ]


def service(namespace: str) -> Manifest:
    """Return the Service of the artifact proxy, on port 80."""
    app = {"app": names.PROXY}
    port = {"name": "http", "port": 80, "protocol": "TCP", "targetPort": PORT}
    content = {"spec": {"ports": [port], "selector": app}}
    return Manifest(
        kind="Service", namespace=namespace, name=names.PROXY, labels=app, content=content
    )


def deployment(
    namespace: str,
    name: str,
    *,
    image: str,
    port: int,
    resources: Mapping[str, Mapping[str, str]],
    env: Sequence[Mapping[str, Any]] = (),
    annotations: Mapping[str, str],
) -> Manifest:
    """Return a Deployment of one container that runs as ServiceAccount ``default-editor``."""
    app = {"app": name}
    container: dict[str, Any] = {
        "name": name,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "ports": [{"containerPort": port, "protocol": "TCP"}],
        "resources": {kind: dict(amounts) for kind, amounts in resources.items()},
    }
    if env:
        container["env"] = list(env)
    template = {
        "metadata": {"labels": app, "annotations": dict(annotations)},
        "spec": {"containers": [container], "serviceAccountName": names.EDITOR},
    }
    content = {"spec": {"selector": {"matchLabels": app}, "template": template}}
    return Manifest(kind="Deployment", namespace=namespace, name=name, labels=app, content=content)


def _from_secret(variable: str, key: str) -> dict[str, Any]:
    return {"name": variable, "valueFrom": {"secretKeyRef": {"key": key, "name": names.SECRET}}}


def _service_variables(namespace: str, settings: PipelinesSettings) -> list[dict[str, Any]]:
    host = f"ml-pipeline.{settings.kfp_namespace}{settings.domain}"
    values = {
        "ML_PIPELINE_SERVICE_HOST": host,
        "ML_PIPELINE_SERVICE_PORT": "8888",
        "FRONTEND_SERVER_NAMESPACE": namespace,
        "CLUSTER_DOMAIN": settings.cluster_domain,
    }
    return [{"name": name, "value": value} for name, value in values.items()]
