"""The objects of protocol v1 (KFP up to 2.4), in its order. Pure.

The Istio objects are bodies and not manifests: Metacontroller owns them, the reconciler does not.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from controllers.manifests import Body, Manifest
from controllers.pipelines import desired, names, proxies
from controllers.pipelines.config import PipelinesSettings
from controllers.pipelines.objectstore.spec import Credentials

_PORT = 8888
_RESOURCES = {
    "requests": {"cpu": "50m", "memory": "200Mi"},
    "limits": {"cpu": "500m", "memory": "1Gi"},
}


def launcher(namespace: str, settings: PipelinesSettings) -> list[Manifest]:
    """Return kfp-launcher with the default pipeline root, if one is configured."""
    root = settings.kfp_default_pipeline_root
    if not root:
        return []
    return [desired.config_map(namespace, names.LAUNCHER, {"defaultPipelineRoot": root})]


def visualization(namespace: str, settings: PipelinesSettings, image: str) -> Manifest:
    """Return the Deployment of the visualization server."""
    return proxies.deployment(
        namespace,
        names.VISUALIZATION,
        image=image,
        port=_PORT,
        resources=_RESOURCES,
        annotations=proxies.istio(settings),
    )


def service(namespace: str) -> Manifest:
    """Return the Service of the visualization server."""
    port = {"name": "http", "port": _PORT, "protocol": "TCP", "targetPort": _PORT}
    content = {"spec": {"ports": [port], "selector": {"app": names.VISUALIZATION}}}
    return Manifest(kind="Service", namespace=namespace, name=names.VISUALIZATION, content=content)


def proxy(namespace: str, settings: PipelinesSettings, image: str) -> Manifest:
    """Return the Deployment of the artifact proxy, whose only variables are the key."""
    return proxies.deployment(
        namespace,
        names.PROXY,
        image=image,
        port=proxies.PORT,
        resources=proxies.RESOURCES,
        env=proxies.key_variables(settings),
        annotations=proxies.istio(settings),
    )


def secret(namespace: str, key: Credentials) -> Manifest:
    """Return the Secret, which has no type in v1."""
    manifest = desired.secret(namespace, key)
    return replace(manifest, content={"data": manifest.content["data"]})


def istio_objects(namespace: str) -> list[Body]:
    """Return who may connect to the visualization server, and that the mesh encrypts it."""
    metadata = {"name": names.VISUALIZATION, "namespace": namespace}
    principals = ["cluster.local/ns/kubeflow/sa/ml-pipeline"]
    rule: dict[str, Any] = {"from": [{"source": {"principals": principals}}]}
    return [
        {
            "apiVersion": "networking.istio.io/v1alpha3",
            "kind": "DestinationRule",
            "metadata": dict(metadata),
            "spec": {
                "host": names.VISUALIZATION,
                "trafficPolicy": {"tls": {"mode": "ISTIO_MUTUAL"}},
            },
        },
        {
            "apiVersion": "security.istio.io/v1beta1",
            "kind": "AuthorizationPolicy",
            "metadata": dict(metadata),
            "spec": {
                "selector": {"matchLabels": {"app": names.VISUALIZATION}},
                "rules": [rule],
            },
        },
    ]
