"""What the older protocol has beside the current one, in its order: KFP up to 2.4. Pure.

The kinds of Istio are no manifests of ours: Metacontroller keeps them, the reconciler does not.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from controllers.manifests import Body, Manifest
from controllers.pipelines import desired, names, proxies
from controllers.pipelines.config import PipelinesSettings

_PORT = 8888
_RESOURCES = {
    "requests": {"cpu": "50m", "memory": "200Mi"},
    "limits": {"cpu": "500m", "memory": "1Gi"},
}


def launcher(namespace: str, settings: PipelinesSettings) -> list[Manifest]:
    """kfp-launcher with the default pipeline root, where one is set."""
    root = settings.kfp_default_pipeline_root
    if not root:
        return []
    return [desired.config_map(namespace, names.LAUNCHER, {"defaultPipelineRoot": root})]


def visualization(namespace: str, settings: PipelinesSettings, image: str) -> Manifest:
    """The visualization server's Deployment."""
    return proxies.deployment(
        namespace,
        names.VISUALIZATION,
        image=image,
        port=_PORT,
        resources=_RESOURCES,
        annotations=proxies.istio(settings),
    )


def service(namespace: str) -> Manifest:
    """The visualization server's Service."""
    port = {"name": "http", "port": _PORT, "protocol": "TCP", "targetPort": _PORT}
    content = {"spec": {"ports": [port], "selector": {"app": names.VISUALIZATION}}}
    return Manifest(kind="Service", namespace=namespace, name=names.VISUALIZATION, content=content)


def proxy(namespace: str, settings: PipelinesSettings, image: str) -> Manifest:
    """The artifact proxy as it was: the keys, and nothing of the surroundings."""
    return proxies.deployment(
        namespace,
        names.PROXY,
        image=image,
        port=proxies.PORT,
        resources=proxies.RESOURCES,
        env=proxies.keys(settings),
        annotations=proxies.istio(settings),
    )


def secret(namespace: str, keys: desired.Keys) -> Manifest:
    """The Secret, as it was: without a type."""
    (manifest,) = desired.secret(namespace, keys)
    return replace(manifest, content={"data": manifest.content["data"]})


def mesh(namespace: str) -> list[Body]:
    """Who may talk to the visualization server, and that the mesh encrypts it."""
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
