"""The two protocols of Metacontroller: requests and responses. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from controllers.manifests import Body, Manifest
from controllers.pipelines import desired, names, proxies
from controllers.pipelines.config import PipelinesSettings
from controllers.pipelines.objectstore.spec import Credentials
from controllers.pipelines.webhook import v1

_API_VERSIONS = {"ConfigMap": "v1", "Secret": "v1", "Service": "v1", "Deployment": "apps/v1"}
_ISTIO_KINDS = (
    "DestinationRule.networking.istio.io/v1alpha3",
    "AuthorizationPolicy.security.istio.io/v1beta1",
)


class Protocol(Enum):
    """The version of a request."""

    V1 = "parent and children: a CompositeController, KFP up to 2.4"
    V2 = "object and attachments: a DecoratorController"


_FIELDS = {Protocol.V1: ("parent", "children"), Protocol.V2: ("object", "attachments")}


class InvalidRequestError(ValueError):
    """The request is not Metacontroller's; the message says what is expected."""


class MissingSettingError(Exception):
    """A setting that the request needs is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A namespace and its objects, which are grouped by ``Kind.apiVersion``."""

    protocol: Protocol
    enabled: bool
    """Whether the namespace has the label."""
    namespace: str
    objects: Mapping[str, Any]

    @property
    def secret(self) -> Body | None:
        """The namespace's Secret, if it exists."""
        secrets = self.objects.get("Secret.v1")
        if isinstance(secrets, Mapping):
            found = secrets.get(f"{self.namespace}/{names.SECRET}", secrets.get(names.SECRET))
            return dict(found) if isinstance(found, Mapping) else None
        items = secrets if isinstance(secrets, Sequence) and not isinstance(secrets, str) else ()
        for item in items:
            metadata = item.get("metadata") if isinstance(item, Mapping) else None
            if isinstance(metadata, Mapping) and metadata.get("name") == names.SECRET:
                return dict(item)
        return None

    def count(self, kind: str) -> int:
        """Return the number of objects of a kind."""
        objects = self.objects.get(kind)
        return len(objects) if isinstance(objects, Mapping | list) else 0


def parse(body: object) -> Request:
    """Return the request of either protocol. Raises InvalidRequestError."""
    if not isinstance(body, Mapping):
        raise InvalidRequestError(f"the body is {type(body).__name__}, expected an object")
    protocol = Protocol.V2 if "object" in body or "parent" not in body else Protocol.V1
    parent_field, objects_field = _FIELDS[protocol]
    parent = _mapping(body.get(parent_field), parent_field)
    metadata = _mapping(parent.get("metadata", {}), f"{parent_field}.metadata")
    labels = metadata.get("labels")
    labels = _mapping({} if labels is None else labels, f"{parent_field}.metadata.labels")
    if labels.get(names.ENABLED_LABEL) != "true":
        return Request(protocol=protocol, enabled=False, namespace="", objects={})
    name = metadata.get("name")
    if not isinstance(name, str) or not name or "/" in name:
        raise InvalidRequestError(
            f"{parent_field}.metadata.name is {name!r:.80}, expected a namespace's name"
        )
    # Required: without the existing objects the Secret would seem missing and get a new key.
    objects = _mapping(body.get(objects_field), objects_field)
    return Request(protocol=protocol, enabled=True, namespace=name, objects=objects)


def _mapping(value: object, field: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidRequestError(f"{field} is {type(value).__name__}, expected an object")
    return value


def disabled_response(request: Request) -> Body:
    """Return the response for a namespace without the label."""
    _, objects_field = _FIELDS[request.protocol]
    return {"status": {}, objects_field: []}


def v2_response(request: Request, key: Credentials | None, settings: PipelinesSettings) -> Body:
    """Return the response of protocol v2; ``key`` is one that no Secret holds yet."""
    namespace = request.namespace
    proxy = int(settings.artifacts_proxy_enabled)
    counts = {
        **_secret_count(settings),
        "ConfigMap.v1": 3,
        "Deployment.apps/v1": proxy,
        "Service.v1": proxy,
    }
    manifests = desired.common(namespace, settings)
    if key is not None:
        manifests = [desired.secret(namespace, key), *manifests]
    attachments = [_body(manifest) for manifest in manifests]
    if request.secret is not None:
        attachments.append(request.secret)
    return {"status": _status(request, counts), "attachments": attachments}


def v1_response(request: Request, key: Credentials | None, settings: PipelinesSettings) -> Body:
    """Return the response of protocol v1. Raises MissingSettingError."""
    namespace = request.namespace
    launcher = v1.launcher(namespace, settings)
    counts = {**_secret_count(settings), "ConfigMap.v1": 1 + len(launcher)}
    counts |= {"Deployment.apps/v1": 2, "Service.v1": 2, **dict.fromkeys(_ISTIO_KINDS, 1)}
    tag = settings.visualization_server_tag or settings.kfp_version
    frontend = settings.frontend_image_tagged
    if not tag or not frontend:
        raise MissingSettingError("set KFP_VERSION, or VISUALIZATION_SERVER_TAG and FRONTEND_TAG")
    image = f"{settings.visualization_server_image}:{tag}"
    children = [
        *map(_body, launcher),
        _body(desired.metadata(namespace, settings)),
        _body(v1.visualization(namespace, settings, image)),
        *v1.istio_objects(namespace),
        _body(v1.service(namespace)),
        _body(v1.proxy(namespace, settings, frontend)),
        _body(proxies.service(namespace)),
        *_v1_secret(request, key, settings),
    ]
    return {"status": _status(request, counts), "children": children}


def _secret_count(settings: PipelinesSettings) -> dict[str, int]:
    """Return the required number of Secrets. Without a provider their number does not matter."""
    return {} if settings.provider == "none" else {"Secret.v1": 1}


def _v1_secret(
    request: Request, key: Credentials | None, settings: PipelinesSettings
) -> list[Body]:
    has_keys = settings.provider != "none"
    if has_keys and key is not None:
        return [_body(v1.secret(request.namespace, key))]
    if has_keys and request.secret is None:
        raise MissingSettingError(
            "set MINIO_ACCESS_KEY and MINIO_SECRET_KEY: protocol v1 needs them"
        )
    return [request.secret] if request.secret is not None else []


def _status(request: Request, counts: Mapping[str, int]) -> Body:
    ready = all(request.count(kind) == count for kind, count in counts.items())
    return {"kubeflow-pipelines-ready": "True" if ready else "False"}


def _body(manifest: Manifest) -> Body:
    """Return the object for Metacontroller, which adds its own owner: without our labels."""
    metadata: Body = {"name": manifest.name, "namespace": manifest.namespace}
    if manifest.labels:
        metadata["labels"] = dict(manifest.labels)
    if manifest.annotations:
        metadata["annotations"] = dict(manifest.annotations)
    return {
        "apiVersion": _API_VERSIONS[manifest.kind],
        "kind": manifest.kind,
        "metadata": metadata,
        **manifest.content,
    }
