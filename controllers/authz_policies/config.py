"""Settings of the authz-policies controller."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from controllers import config_tables, resource_names
from controllers.authz_policies import rules


def _method_error(text: str) -> str | None:
    if re.fullmatch(r"[A-Z]+", text):
        return None
    return f"{text!r} is not a valid method: expected upper case, such as GET"


def _role_error(text: str) -> str | None:
    if re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", text):
        return None
    return f"{text!r} is not a valid role: expected a value of the annotation role, such as edit"


def _waypoint_error(text: str) -> str | None:
    if not text or resource_names.is_dns_subdomain(text):
        return None
    return (
        f"{text!r} is not a valid name of a Gateway: expected a name such as waypoint,"
        " or an empty text"
    )


def _prefix_error(text: str) -> str | None:
    if not text.startswith("*"):
        return None
    return f"{text!r} starts with *, which would allow every user: expected a text without *"


Path = Annotated[str, config_tables.validator(rules.path_error)]
Principal = Annotated[str, config_tables.validator(rules.principal_error)]
Header = Annotated[str, config_tables.validator(rules.header_error)]
Method = Annotated[str, config_tables.validator(_method_error)]


class Operation(BaseModel):
    """Requests with any of these methods to any of these paths."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    methods: tuple[Method, ...]
    paths: tuple[Path, ...]

    @field_validator("methods", "paths")
    @classmethod
    def _not_empty(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        if values:
            return values
        raise ValueError("the list is empty, which Istio rejects: expected at least one item")


_NOTEBOOK = f"/notebook/{rules.NAMESPACE}/{rules.ONE}"

BLOCKED = (
    Operation(methods=("POST",), paths=(f"{_NOTEBOOK}/rstudio/upload",)),
    Operation(
        methods=("GET",),
        paths=(
            f"{_NOTEBOOK}/rstudio/export",
            f"{_NOTEBOOK}/rstudio/export/{rules.REST}",
            f"{_NOTEBOOK}/files/{rules.REST}",
            f"{_NOTEBOOK}/nbconvert/{rules.REST}",
        ),
    ),
)
BLOCKED_REWRITTEN = (
    Operation(methods=("POST",), paths=("/upload",)),
    Operation(methods=("GET",), paths=("/export", f"/export/{rules.REST}")),
)
OPEN_PATHS = ("/healthz", "/metrics", "/wait-for-drain")
CULLING_PATHS = ("*/api/kernels", "*/api/status")
TRUSTED = (
    "cluster.local/ns/istio-system/sa/istio-ingressgateway-service-account",
    "cluster.local/ns/kubeflow/sa/ml-pipeline-ui",
)
NOTEBOOK_CONTROLLER = ("cluster.local/ns/kubeflow/sa/notebook-controller-service-account",)


class AuthzPoliciesSettings(BaseModel):
    """Access to the workloads of a namespace, and blocked requests to protected-b notebooks.

    A list replaces its default.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    owner_access: bool = Field(
        default=True, description="create the policy that controls access to the workloads"
    )
    user_header: Header = Field(
        default="kubeflow-userid",
        description="header with the user name, set by the gateway",
    )
    user_prefix: Annotated[str, config_tables.validator(_prefix_error)] = Field(
        default="", description="prefix of the user name in that header"
    )
    groups_header: Header = Field(
        default="kubeflow-groups",
        description="header with the groups of the user, set by the gateway",
    )
    contributor_roles: tuple[Annotated[str, config_tables.validator(_role_error)], ...] = Field(
        default=("admin", "edit"),
        description="values of the annotation role of RoleBindings whose subjects get access",
    )
    insecure_any_principal: bool = Field(
        default=False,
        description=(
            "trust the headers of every caller if trusted_principals is empty:"
            " every pod of the mesh can then forge them"
        ),
    )
    trusted_principals: tuple[Principal, ...] = Field(
        default=TRUSTED, description="callers whose headers are trusted"
    )
    notebook_controller_principals: tuple[Principal, ...] = Field(
        default=NOTEBOOK_CONTROLLER,
        description="callers that may query whether a notebook is idle; may be empty",
    )
    culling_paths: tuple[Path, ...] = Field(
        default=CULLING_PATHS, description="paths that the notebook controller may GET"
    )
    open_paths: tuple[Path, ...] = Field(
        default=OPEN_PATHS, description="paths that every caller may request"
    )
    block_transfer: bool = Field(
        default=True, description="create the policy that blocks transfers on protected-b notebooks"
    )
    blocked_operations: tuple[Operation, ...] = Field(
        default=BLOCKED, description="requests that the policy denies; <ns> is the namespace"
    )
    block_rewritten: bool = Field(
        default=True, description="also deny blocked_rewritten_operations"
    )
    blocked_rewritten_operations: tuple[Operation, ...] = Field(
        default=BLOCKED_REWRITTEN,
        description="requests to deny on pods that receive paths without /notebook/<ns>/<name>",
    )
    block_unmatchable: bool = Field(
        default=True,
        description="deny paths that no template can match, such as those with * or =",
    )
    waypoint: Annotated[str, config_tables.validator(_waypoint_error)] = Field(
        default="",
        description="Gateway that enforces the policies in each namespace of an ambient mesh",
    )

    @field_validator("trusted_principals")
    @classmethod
    def _require_trusted_principal(
        cls, principals: tuple[str, ...], info: ValidationInfo
    ) -> tuple[str, ...]:
        if principals or info.data.get("insecure_any_principal"):
            return principals
        raise ValueError(
            "the list is empty, so every pod of the mesh could set the header of any user:"
            " expected the gateway's principal, or insecure_any_principal: true"
        )
