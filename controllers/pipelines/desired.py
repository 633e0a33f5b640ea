"""The objects that KFP needs in a namespace, for the reconciler and the webhook alike. Pure."""

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
from controllers.profiles import Profile

_DATE = "/".join(f"{{{{workflow.creationTimestamp.{part}}}}}" for part in "Ymd")


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """What the Secret holds; never shown."""

    access: str = field(repr=False)
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What ``gather`` learned of one namespace."""

    enabled: bool = True
    """Whether the namespace's label says that it takes part."""
    keys: Keys | None = None
    """What the Secret is to hold; None: there is to be none."""
    findings: Sequence[Finding] = ()
    trouble: Exception | None = None
    """Why the store could not be asked; ``keys`` are then what the Secret held."""


def desired(profile: Profile, facts: Facts, settings: PipelinesSettings) -> Desired:
    """Return the objects of a namespace that takes part, and nothing for the others.

    The Secret is retained while the object store cannot say what it should hold.
    """
    unknown = frozenset({Key("Secret", profile.namespace, names.SECRET)})
    return Desired(
        objects=_objects(profile, facts, settings),
        findings=facts.findings,
        retain=frozenset() if facts.trouble is None else unknown,
        error=facts.trouble,
    )


def _objects(profile: Profile, facts: Facts, settings: PipelinesSettings) -> list[Manifest]:
    if not facts.enabled:
        return []
    namespace = profile.namespace
    return [
        replace(manifest, adopt_from_namespace=names.INHERITED)
        for manifest in (
            *secret(namespace, facts.keys),
            *common(namespace, settings),
            _pod_default(namespace),
            *drivers.objects(namespace, settings),
        )
    ]


def common(namespace: str, settings: PipelinesSettings) -> list[Manifest]:
    """ConfigMaps and artifact proxy, in the order in which KFP's own controller lists them."""
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
    """Where ML Metadata is served."""
    host = f"metadata-grpc-service.{settings.kfp_namespace}"
    data = {"METADATA_GRPC_SERVICE_HOST": host, "METADATA_GRPC_SERVICE_PORT": "8080"}
    return config_map(namespace, names.METADATA, data)


def secret(namespace: str, keys: Keys | None) -> list[Manifest]:
    """The Secret with the namespace's keys, if it has any."""
    if keys is None:
        return []
    data = {names.ACCESS_KEY: _encoded(keys.access), names.SECRET_KEY: _encoded(keys.secret)}
    content = {"type": "Opaque", "data": data}
    return [Manifest(kind="Secret", namespace=namespace, name=names.SECRET, content=content)]


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def config_map(namespace: str, name: str, data: Mapping[str, str]) -> Manifest:
    """A ConfigMap that users may edit."""
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
    """What lets a notebook's SDK talk to KFP: a token for its audience."""
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
