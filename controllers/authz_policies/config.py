"""The settings of the authz-policies controller."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from controllers import config_tables, resource_names
from controllers.authz_policies import rules


def _method_refusal(text: str) -> str | None:
    if re.fullmatch(r"[A-Z]+", text):
        return None
    return f"{text!r} is no method: expected one in upper case, such as GET"


def _role_refusal(text: str) -> str | None:
    if re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", text):
        return None
    return (
        f"{text!r} is no role: expected the value of annotation role, such as admin, edit or view"
    )


def _waypoint_refusal(text: str) -> str | None:
    if not text or resource_names.is_subdomain(text):
        return None
    return f"{text!r} is no name of a Gateway: expected one such as waypoint, or nothing"


def _prefix_refusal(text: str) -> str | None:
    if not text.startswith("*"):
        return None
    return f"{text!r} begins with *, which would admit everybody: expected a text without"


Path = Annotated[str, config_tables.validator(rules.path_refusal)]
Principal = Annotated[str, config_tables.validator(rules.principal_refusal)]
Header = Annotated[str, config_tables.validator(rules.header_refusal)]
Method = Annotated[str, config_tables.validator(_method_refusal)]


class Operation(BaseModel):
    """Requests: any of these methods on any of these paths."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    methods: tuple[Method, ...]
    paths: tuple[Path, ...]

    @field_validator("methods", "paths")
    @classmethod
    def _some(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        if values:
            return values
        raise ValueError("nothing is listed, which Istio refuses: expected one or more")


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
    """Who may reach a namespace's workloads, and what is blocked on protected-b notebooks.

    A list that is given replaces its default.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    owner_access: bool = Field(
        default=True, description="make the policy that says who may reach the workloads"
    )
    user_header: Header = Field(
        default="kubeflow-userid", description="header in which the gateway names the user"
    )
    user_prefix: Annotated[str, config_tables.validator(_prefix_refusal)] = Field(
        default="", description="what the gateway puts before the user's name in that header"
    )
    groups_header: Header = Field(
        default="kubeflow-groups", description="header in which the gateway names the user's groups"
    )
    contributor_roles: tuple[Annotated[str, config_tables.validator(_role_refusal)], ...] = Field(
        default=("admin", "edit"),
        description="annotations role of the RoleBindings whose subjects are admitted",
    )
    insecure_any_principal: bool = Field(
        default=False,
        description=(
            "believe the headers whoever sends them, when trusted_principals is empty:"
            " every pod of the mesh can then forge them"
        ),
    )
    trusted_principals: tuple[Principal, ...] = Field(
        default=TRUSTED, description="the callers whose headers are believed"
    )
    notebook_controller_principals: tuple[Principal, ...] = Field(
        default=NOTEBOOK_CONTROLLER,
        description="who may ask notebooks whether they are idle; none: nobody",
    )
    culling_paths: tuple[Path, ...] = Field(
        default=CULLING_PATHS, description="what the notebook controller may GET"
    )
    open_paths: tuple[Path, ...] = Field(
        default=OPEN_PATHS, description="paths that anybody may ask for"
    )
    block_transfer: bool = Field(
        default=True, description="make the policy that blocks transfers on protected-b notebooks"
    )
    blocked_operations: tuple[Operation, ...] = Field(
        default=BLOCKED, description="the requests that it denies; <ns> is the namespace"
    )
    block_rewritten: bool = Field(
        default=True, description="deny blocked_rewritten_operations as well"
    )
    blocked_rewritten_operations: tuple[Operation, ...] = Field(
        default=BLOCKED_REWRITTEN,
        description="the same, on notebooks that see paths without /notebook/<ns>/<name>",
    )
    block_unmatchable: bool = Field(
        default=True,
        description="deny paths that no template of the same method could match, as * and = in one",
    )
    waypoint: Annotated[str, config_tables.validator(_waypoint_refusal)] = Field(
        default="",
        description="ambient mesh: the Gateway in each namespace that enforces the policies",
    )

    @field_validator("trusted_principals")
    @classmethod
    def _somebody_is_trusted(
        cls, principals: tuple[str, ...], info: ValidationInfo
    ) -> tuple[str, ...]:
        if principals or info.data.get("insecure_any_principal"):
            return principals
        raise ValueError(
            "nobody is trusted, so that every pod of the mesh could name any user in a header:"
            " expected the gateway's principal, or insecure_any_principal: true beside it"
        )
