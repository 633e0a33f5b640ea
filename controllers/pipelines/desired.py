"""The objects of KFP in a namespace, for the reconciler and for the webhook. Pure."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from controllers.desired import Desired
from controllers.findings import Finding
from controllers.manifests import Key, Manifest
from controllers.pipelines import drivers, names, proxies
from controllers.pipelines.config import PipelinesSettings
from controllers.pipelines.objectstore.spec import Credentials
from controllers.profiles import Profile

_DATE = "/".join(f"{{{{workflow.creationTimestamp.{part}}}}}" for part in "Ymd")


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What ``observe`` found out about one namespace."""

    enabled: bool = True
    """Whether the namespace has the label that enables pipelines."""
    key: Credentials | None = field(default=None, repr=False)
    """The key for the Secret; None: there is to be no Secret."""
    findings: Sequence[Finding] = ()
    error: Exception | None = None
    """Why ``key`` is not known to be right; it is then the present content of the Secret."""


def desired(profile: Profile, facts: Facts, settings: PipelinesSettings) -> Desired:
    """Return the objects of an enabled namespace; a namespace that is not enabled has none.

    The Secret is retained while its right content is unknown.
    """
    secret_key = Key("Secret", profile.namespace, names.SECRET)
    return Desired(
        objects=_objects(profile, facts, settings),
        findings=facts.findings,
        retain=frozenset() if facts.error is None else frozenset({secret_key}),
        error=facts.error,
    )


def _objects(profile: Profile, facts: Facts, settings: PipelinesSettings) -> list[Manifest]:
    if not facts.enabled:
        return []
    namespace = profile.namespace
    manifests = [
        *common(namespace, settings),
        _pod_default(namespace),
        *drivers.objects(namespace, settings),
    ]
    return [
        *((adoptable_secret(namespace, facts.key),) if facts.key else ()),
        *map(_adoptable, manifests),
    ]


def _adoptable(manifest: Manifest) -> Manifest:
    """Adopt objects of the Namespace: Metacontroller's owner references are to the Namespace."""
    return replace(manifest, adopt_from_namespace=names.METACONTROLLER_ANNOTATIONS)


def common(namespace: str, settings: PipelinesSettings) -> list[Manifest]:
    """Return ConfigMaps and artifact proxy, in the order of KFP's own controller."""
    return [
        config_map(
            namespace,
            names.LAUNCHER,
            {
                "defaultPipelineRoot": (
                    f"minio://{settings.bucket}/private-artifacts/{namespace}/v2/artifacts"
                ),
                "clusterDomain": settings.cluster_domain,
            },
        ),
        metadata(namespace, settings),
        _repositories(namespace, settings),
        *proxies.objects(namespace, settings),
    ]


def metadata(namespace: str, settings: PipelinesSettings) -> Manifest:
    """Return the ConfigMap with the address of ML Metadata."""
    host = f"metadata-grpc-service.{settings.kfp_namespace}"
    data = {"METADATA_GRPC_SERVICE_HOST": host, "METADATA_GRPC_SERVICE_PORT": "8080"}
    return config_map(namespace, names.METADATA, data)


def secret(namespace: str, key: Credentials) -> Manifest:
    """Return the Secret with the namespace's key."""
    data = {names.ACCESS_KEY: _encoded(key.access_key), names.SECRET_KEY: _encoded(key.secret_key)}
    content = {"type": "Opaque", "data": data}
    return Manifest(kind="Secret", namespace=namespace, name=names.SECRET, content=content)


def adoptable_secret(namespace: str, key: Credentials) -> Manifest:
    """Return the Secret as the reconciler writes it; it adopts Metacontroller's."""
    return _adoptable(secret(namespace, key))


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def config_map(namespace: str, name: str, data: Mapping[str, str]) -> Manifest:
    """Return a ConfigMap that users may edit."""
    content = {"data": dict(data)}
    return Manifest(
        kind="ConfigMap", namespace=namespace, name=name, content=content, create_only=True
    )


def _repositories(namespace: str, settings: PipelinesSettings) -> Manifest:
    s3: dict[str, Any] = {
        "endpoint": settings.endpoint,
        "bucket": settings.bucket,
        "keyFormat": (
            f"private-artifacts/{namespace}/{{{{workflow.name}}}}/{_DATE}/{{{{pod.name}}}}"
        ),
        "insecure": settings.object_store_insecure,
    }
    if settings.provider == "none":
        s3["useSDKCreds"] = True
    else:
        s3["accessKeySecret"] = {"name": names.SECRET, "key": names.ACCESS_KEY}
        s3["secretKeySecret"] = {"name": names.SECRET, "key": names.SECRET_KEY}
    repository = json.dumps({"archiveLogs": True, "s3": s3})
    manifest = config_map(namespace, names.REPOSITORIES, {names.REPOSITORY: repository})
    return replace(manifest, annotations={names.REPOSITORY_ANNOTATION: names.REPOSITORY})


def _pod_default(namespace: str) -> Manifest:
    """Return the PodDefault that gives notebooks a token for KFP."""
    token = {
        "path": "token",
        "expirationSeconds": 7200,
        "audience": "pipelines.kubeflow.org",
    }
    directory = "/var/run/secrets/kubeflow/pipelines"
    volume = "volume-kf-pipeline-token"
    spec = {
        "desc": "Allow access to Kubeflow Pipelines",
        "selector": {"matchLabels": {"access-ml-pipeline": "true"}},
        "env": [{"name": "KF_PIPELINES_SA_TOKEN_PATH", "value": f"{directory}/token"}],
        "volumes": [{"name": volume, "projected": {"sources": [{"serviceAccountToken": token}]}}],
        "volumeMounts": [{"mountPath": directory, "name": volume, "readOnly": True}],
    }
    return Manifest(
        kind="PodDefault", namespace=namespace, name=names.POD_DEFAULT, content={"spec": spec}
    )
