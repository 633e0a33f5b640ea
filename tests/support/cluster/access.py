"""What the API server answers when it is asked whether somebody may do something."""

from collections.abc import Iterable
from dataclasses import dataclass

from tests.support.controlplane import ControlPlane

GROUPS = {
    "runs": "pipelines.kubeflow.org",
    "workflows": "argoproj.io",
    "roles": "rbac.authorization.k8s.io",
    "clusterroles": "rbac.authorization.k8s.io",
}
"""The API group of each resource that is asked for; all others are in the core group."""
CHECKS = (
    ("list", "pods"),
    ("list", "secrets"),
    ("list", "configmaps"),
    ("create", "workflows"),
    ("create", "runs"),
    ("readArtifact", "runs"),
    ("create", "rolebindings"),
)
"""What `granted` asks: each is given by some role of a tenant's namespace, the last by none."""


@dataclass(frozen=True)
class User:
    """A user as the API server knows one."""

    name: str
    groups: tuple[str, ...] = ()


def service_account(namespace: str, name: str) -> User:
    """A ServiceAccount."""
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}")
    return User(f"system:serviceaccount:{namespace}:{name}", groups=groups)


def default_editor(namespace: str) -> User:
    """What notebooks and pipelines of a profile's namespace run as."""
    return service_account(namespace, "default-editor")


@dataclass(frozen=True, kw_only=True)
class _Where:
    namespace: str
    name: str = ""


@dataclass(frozen=True)
class Permission(_Where):
    """One question to the API server; calling it asks."""

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
        answer = self.plane.request(
            "POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review
        )
        return bool(answer["status"]["allowed"])

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
