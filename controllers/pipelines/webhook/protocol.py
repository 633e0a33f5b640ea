"""The two protocols of Metacontroller: what a request says, and what the reply is. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from controllers.manifests import Body, Manifest
from controllers.pipelines import desired, names, proxies
from controllers.pipelines.config import PipelinesSettings
from controllers.pipelines.webhook import v1

_VERSIONS = {"ConfigMap": "v1", "Secret": "v1", "Service": "v1", "Deployment": "apps/v1"}
_CURRENT = ("object", "attachments")
_OLDER = ("parent", "children")
_ISTIO = (
    "DestinationRule.networking.istio.io/v1alpha3",
    "AuthorizationPolicy.security.istio.io/v1beta1",
)


class NonsenseError(ValueError):
    """The request is none of Metacontroller's; the message says what was expected."""


class UnsetError(Exception):
    """A setting is missing without which this request cannot be answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One namespace, and what Metacontroller sees of its objects, by ``Kind.version``."""

    older: bool
    enabled: bool
    namespace: str
    seen: Mapping[str, Any]

    @property
    def secret(self) -> Body | None:
        """The namespace's Secret, if it exists."""
        found = self.seen.get("Secret.v1")
        if isinstance(found, Mapping):
            known = found.get(f"{self.namespace}/{names.SECRET}", found.get(names.SECRET))
            return dict(known) if isinstance(known, Mapping) else None
        for item in found if isinstance(found, Sequence) and not isinstance(found, str) else ():
            metadata = item.get("metadata") if isinstance(item, Mapping) else None
            if isinstance(metadata, Mapping) and metadata.get("name") == names.SECRET:
                return dict(item)
        return None

    def count(self, key: str) -> int:
        """How many there are of a kind, whatever they are."""
        found = self.seen.get(key)
        return len(found) if isinstance(found, Mapping | list) else 0


def read(body: object) -> Request:
    """A request of either protocol. Raises NonsenseError."""
    if not isinstance(body, Mapping):
        raise NonsenseError(f"the body is {type(body).__name__}, expected an object")
    older = _CURRENT[0] not in body and _OLDER[0] in body
    whom, what = _OLDER if older else _CURRENT
    subject = _mapping(body.get(whom), whom)
    metadata = _mapping(subject.get("metadata", {}), f"{whom}.metadata")
    labels = metadata.get("labels")
    labels = _mapping({} if labels is None else labels, f"{whom}.metadata.labels")
    if labels.get(names.ENABLED_LABEL) != "true":
        return Request(older=older, enabled=False, namespace="", seen={})
    name = metadata.get("name")
    if not isinstance(name, str) or not name or "/" in name:
        raise NonsenseError(f"{whom}.metadata.name is {name!r:.80}, expected a namespace's name")
    # Without what exists every Secret would seem to be missing, and a key be made for it.
    seen = _mapping(body.get(what), what)
    return Request(older=older, enabled=True, namespace=name, seen=seen)


def _mapping(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise NonsenseError(f"{where} is {type(value).__name__}, expected an object")
    return value


def nothing(request: Request) -> Body:
    """The reply for a namespace that does not take part."""
    return {"status": {}, _OLDER[1] if request.older else _CURRENT[1]: []}


def current(request: Request, minted: desired.Keys | None, settings: PipelinesSettings) -> Body:
    """The reply to the current protocol; ``minted`` are keys that no Secret holds yet."""
    namespace = request.namespace
    proxy = int(settings.artifacts_proxy_enabled)
    counts = {
        **_secrets(settings),
        "ConfigMap.v1": 3,
        "Deployment.apps/v1": proxy,
        "Service.v1": proxy,
    }
    manifests = [*desired.secret(namespace, minted), *desired.common(namespace, settings)]
    attachments = [_plain(manifest) for manifest in manifests]
    if request.secret is not None:
        attachments.append(request.secret)
    ready = all(request.count(key) == wanted for key, wanted in counts.items())
    return {"status": _status(ready=ready), "attachments": attachments}


def older(request: Request, keys: desired.Keys | None, settings: PipelinesSettings) -> Body:
    """The reply to the older protocol. Raises UnsetError."""
    namespace = request.namespace
    launcher = v1.launcher(namespace, settings)
    counts = {**_secrets(settings), "ConfigMap.v1": 1 + len(launcher)}
    counts |= {"Deployment.apps/v1": 2, "Service.v1": 2, **dict.fromkeys(_ISTIO, 1)}
    tag = settings.visualization_server_tag or settings.kfp_version
    frontend = settings.frontend_image_tagged
    if not tag or not frontend:
        raise UnsetError("set KFP_VERSION, or VISUALIZATION_SERVER_TAG and FRONTEND_TAG")
    server = f"{settings.visualization_server_image}:{tag}"
    children = [
        *map(_plain, launcher),
        _plain(desired.metadata(namespace, settings)),
        _plain(v1.visualization(namespace, settings, server)),
        *v1.mesh(namespace),
        _plain(v1.service(namespace)),
        _plain(v1.proxy(namespace, settings, frontend)),
        _plain(proxies.service(namespace)),
        *_older_secret(request, keys, settings),
    ]
    ready = all(request.count(key) == wanted for key, wanted in counts.items())
    return {"status": _status(ready=ready), "children": children}


def _secrets(settings: PipelinesSettings) -> dict[str, int]:
    """How many Secrets there must be. Where none is made, one that is there still hurts nobody."""
    return {} if settings.provider == "none" else {"Secret.v1": 1}


def _older_secret(
    request: Request, keys: desired.Keys | None, settings: PipelinesSettings
) -> list[Body]:
    made = settings.provider != "none"
    if made and keys is not None:
        return [_plain(v1.secret(request.namespace, keys))]
    if made and request.secret is None:
        raise UnsetError("set MINIO_ACCESS_KEY and MINIO_SECRET_KEY: the older protocol needs them")
    return [request.secret] if request.secret is not None else []


def _status(*, ready: bool) -> Body:
    return {"kubeflow-pipelines-ready": "True" if ready else "False"}


def _plain(manifest: Manifest) -> Body:
    """The object as Metacontroller is to keep it: its owner, and none of our labels."""
    metadata: Body = {"name": manifest.name, "namespace": manifest.namespace}
    if manifest.labels:
        metadata["labels"] = dict(manifest.labels)
    if manifest.annotations:
        metadata["annotations"] = dict(manifest.annotations)
    version = _VERSIONS[manifest.kind]
    return {
        "apiVersion": version,
        "kind": manifest.kind,
        "metadata": metadata,
        **manifest.content,
    }
