"""Permissions as the API server evaluates them, by SubjectAccessReviews."""

from collections.abc import Iterable
from dataclasses import dataclass

from tests.support.controlplane import ControlPlane

GROUPS = {
    "runs": "pipelines.kubeflow.org",
    "workflows": "argoproj.io",
    "roles": "rbac.authorization.k8s.io",
    "clusterroles": "rbac.authorization.k8s.io",
}
"""The API groups of the checked resources. The others are in the core group."""
CHECKS = (
    ("list", "pods"),
    ("list", "secrets"),
    ("list", "configmaps"),
    ("create", "workflows"),
    ("create", "runs"),
    ("readArtifact", "runs"),
    ("create", "rolebindings"),
)
"""What `allowed_checks` checks. A role in a tenant's namespace grants each but the last."""


@dataclass(frozen=True)
class User:
    """A user of the API server."""

    name: str
    groups: tuple[str, ...] = ()


def service_account(namespace: str, name: str) -> User:
    """The user of a ServiceAccount."""
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}")
    return User(f"system:serviceaccount:{namespace}:{name}", groups=groups)


def default_editor(namespace: str) -> User:
    """The user of notebooks and pipelines in a profile's namespace."""
    return service_account(namespace, "default-editor")


@dataclass(frozen=True, kw_only=True)
class _Where:
    namespace: str
    name: str = ""


@dataclass(frozen=True)
class Permission(_Where):
    """A permission of a user. A call returns whether the API server grants it."""

    plane: ControlPlane
    who: User
    verb: str
    resource: str

    def __call__(self) -> bool:
        attributes = {
            "verb": self.verb,
            "group": GROUPS.get(self.resource, ""),
            "resource": self.resource,
            "namespace": self.namespace,
            "name": self.name,
        }
        spec = {
            "user": self.who.name,
            "groups": [*self.who.groups, "system:authenticated"],
            "resourceAttributes": attributes,
        }
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": spec,
        }
        created = self.plane.request(
            "POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review
        )
        return bool(created["status"]["allowed"])

    def __str__(self) -> str:
        return f"{self.who.name}: {self.verb} {self.resource} in {self.namespace}"


def allowed_checks(
    plane: ControlPlane, people: Iterable[User], namespace: str
) -> dict[User, set[str]]:
    """Which of CHECKS each of them may do in the namespace."""
    return {
        who: {
            f"{verb} {resource}"
            for verb, resource in CHECKS
            if Permission(plane, who, verb, resource, namespace=namespace)()
        }
        for who in people
    }
