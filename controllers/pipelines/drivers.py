"""The objects of KFP's drivers in a namespace, for each driver mode. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from controllers.manifests import Manifest
from controllers.pipelines import names
from controllers.pipelines.config import PipelinesSettings

_READ = ["get", "list", "watch"]
_RULES: Mapping[str, Mapping[str, Sequence[str]]] = {
    "configmap-reader": {
        "resources": ["configmaps"], "resourceNames": [names.LAUNCHER], "verbs": _READ
    },
    "ml-pipeline-driver-pods-reader": {"resources": ["pods"], "verbs": _READ},
    "ml-pipeline-driver-pvc-editor": {
        "resources": ["persistentvolumeclaims"], "verbs": ["create", "get", "list"]
    },
    "artifact-secret-reader": {
        "resources": ["secrets"], "resourceNames": [names.SECRET], "verbs": _READ
    },
}  # fmt: skip


def objects(namespace: str, settings: PipelinesSettings) -> list[Manifest]:
    """Return the objects of the driver mode. Those of other modes are pruned."""
    match settings.driver_mode:
        case "sidecar":
            return _sidecar(namespace, tokens=settings.driver_tokens)
        case "central":
            return _central(namespace, settings.driver_service_account)
        case _:
            return []


def _sidecar(namespace: str, *, tokens: bool) -> list[Manifest]:
    """Return the objects of mode sidecar: Argo's agent pods run the driver as a plugin."""
    secrets = {"secrets": [{"name": names.token_of(names.AGENT)}]} if tokens else {}
    account = Manifest(
        kind="ServiceAccount",
        namespace=namespace,
        name=names.AGENT,
        labels=names.AGENT_LABELS,
        content=secrets,
    )
    binding = _binding(
        namespace, names.AGENT_BINDING, ("ClusterRole", names.AGENT_ROLE), (namespace, names.AGENT)
    )
    accounts = (names.AGENT, names.EDITOR) if tokens else ()
    return [account, binding, *(_token(namespace, each) for each in accounts)]


def _central(namespace: str, driver: str) -> list[Manifest]:
    """Return the objects of mode central: one driver has four Roles in each namespace."""
    driver_namespace, _, name = driver.partition("/")
    manifests = []
    for role in names.DRIVER_ROLES:
        rule = {"apiGroups": [""], **{key: list(value) for key, value in _RULES[role].items()}}
        content = {"rules": [rule]}
        manifests += [
            Manifest(kind="Role", namespace=namespace, name=role, content=content),
            _binding(namespace, names.binding_of(role), ("Role", role), (driver_namespace, name)),
        ]
    return [*manifests, _token(namespace, names.EDITOR)]


def _binding(
    namespace: str, name: str, role: tuple[str, str], account: tuple[str, str]
) -> Manifest:
    role_kind, role_name = role
    account_namespace, account_name = account
    content: dict[str, Any] = {
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role_kind, "name": role_name},
        "subjects": [
            {"kind": "ServiceAccount", "name": account_name, "namespace": account_namespace}
        ],
    }
    return Manifest(kind="RoleBinding", namespace=namespace, name=name, content=content)


def _token(namespace: str, account: str) -> Manifest:
    """Return a token Secret. It is create-only, because Kubernetes adds the token."""
    return Manifest(
        kind="Secret",
        namespace=namespace,
        name=names.token_of(account),
        annotations={names.ACCOUNT_ANNOTATION: account},
        content={"type": "kubernetes.io/service-account-token"},
        create_only=True,
    )
