"""A ServiceAccount with exactly the permissions of the controllers' ClusterRole.

A missing permission fails a request.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from controllers import registry
from controllers.runtime import rbac
from controllers.runtime.controller import Rule
from controllers.runtime.status import events
from tests.support.builders import registered
from tests.support.cluster import waiting
from tests.support.controlplane import ControlPlane, Json

NAMESPACE = "suites"
"""Where the ServiceAccounts and the Leases are."""

_RBAC = "rbac.authorization.k8s.io"


def user(name: str) -> str:
    """The user name of the ServiceAccount, for example in the audit log."""
    return f"system:serviceaccount:{NAMESPACE}:{name}"


def name_of(controller: str, settings: Mapping[str, Any]) -> str:
    """A name for the identity of a controller with these settings."""
    text = json.dumps(settings, sort_keys=True).encode()
    return f"{controller}-{hashlib.blake2b(text, digest_size=4).hexdigest()}"


def cluster_role(*controllers: str, name: str, **settings: Any) -> Json:
    """The ClusterRole of these controllers, by default of those that `all` runs.

    `settings` has the settings that differ from the defaults, by controller.
    """
    by_name = registry.by_name()
    chosen = [by_name[each] for each in controllers] or registered.RUN_BY_ALL
    return rbac.cluster_role(chosen, name, settings)


def bind(plane: ControlPlane, name: str, cluster_role: Json) -> Path:
    """Creates a ServiceAccount with these permissions; returns its kubeconfig.

    Waits until the API server grants them.
    """
    kubeconfig = plane.service_account_kubeconfig(NAMESPACE, name)
    roles = [
        cluster_role,
        _role(name, NAMESPACE, rbac.LEASES),
        _role(name, events.NAMESPACE, rbac.EVENTS),
    ]
    plane.apply(*roles, *(_binding(name, role) for role in roles))
    namespaces = {"verb": "watch", "resource": "namespaces"}
    leases = {
        "verb": "update",
        "group": "coordination.k8s.io",
        "resource": "leases",
        "namespace": NAMESPACE,
    }
    waiting.until(
        lambda: _may(plane, name, namespaces) and _may(plane, name, leases),
        f"{name} has its permissions",
    )
    return kubeconfig


def _role(name: str, namespace: str, rule: Rule) -> Json:
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "Role",
        "metadata": {"name": f"suite-{name}", "namespace": namespace},
        "rules": [rbac.to_rbac(rule)],
    }


def _binding(name: str, role: Json) -> Json:
    namespaced = role["kind"] == "Role"
    where = {"namespace": role["metadata"]["namespace"]} if namespaced else {}
    metadata = {"name": f"suite-{name}", **where}
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": f"{role['kind']}Binding",
        "metadata": metadata,
        "roleRef": {"apiGroup": _RBAC, "kind": role["kind"], "name": role["metadata"]["name"]},
        "subjects": [{"kind": "ServiceAccount", "namespace": NAMESPACE, "name": name}],
    }


def _may(plane: ControlPlane, name: str, attributes: Mapping[str, str]) -> bool:
    review: dict[str, Any] = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": user(name), "resourceAttributes": dict(attributes)},
    }
    created = plane.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
    return bool(created["status"]["allowed"])
