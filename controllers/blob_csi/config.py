"""The settings of the blob-csi controller.

The environment variable of a setting is its name with the prefix ``BLOB_CSI_``, as in existing
deployments: ``BLOB_CSI_FDI_UNCLASS_OPA_ENDPOINT`` sets ``fdi_unclass_opa_endpoint``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from controllers import config_tables
from controllers.blob_csi import instances as blob_csi_instances
from controllers.blob_csi import names
from controllers.blob_csi.grants.sources import (
    SETTING_PREFIXES,
    SOURCES,
    Origin,
    Source,
    StorageParameters,
)
from controllers.blob_csi.instances import Capacity, Instance

CLIENT_ID_SUFFIX = "_AZURE_STORAGE_SPN_CLIENTID"
INSTANCES_FILE = Path("instances.json")
ACCOUNT_PLACEHOLDER = "{account}"
MOUNT_OPTIONS = (
    "-o allow_other",
    "--file-cache-timeout-in-seconds=120",
    "--use-attr-cache=true",
    "--cancel-list-on-mount-seconds=10",
    "-o attr_timeout=120",
    "-o entry_timeout=120",
    "-o negative_timeout=120",
    "--log-level=LOG_WARNING",
    "--cache-size-mb=1000",
)
"""The options of the blob-csi driver's example StorageClass for blobfuse."""

_ACCOUNT_SETTINGS = {
    Origin.INTERNAL: "internal_storage_account",
    Origin.EXTERNAL: "external_storage_account",
    Origin.GATEWAY: "storage_account",
}


def _check_url(text: str) -> str:
    parts = urlsplit(text)
    if text and (parts.scheme not in ("http", "https") or not parts.hostname):
        raise ValueError(
            f"{text!r} is not an HTTP URL; expected http://HOST/PATH or https://HOST/PATH"
        )
    return text


def _check_account_url(text: str) -> str:
    if ACCOUNT_PLACEHOLDER not in text:
        raise ValueError(
            f"{text!r} does not contain {ACCOUNT_PLACEHOLDER}; expected a URL such as"
            f" https://{ACCOUNT_PLACEHOLDER}.blob.core.windows.net/"
        )
    _check_url(text.replace(ACCOUNT_PLACEHOLDER, "account"))
    return text


def _check_mount_option(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise ValueError(f"{text!r} is not a mount option; expected one such as -o allow_other")
    return text


def _check_namespace(text: str) -> str:
    if not names.is_namespace(text):
        raise ValueError(
            f"{text!r} is not a valid namespace; expected lower-case letters, digits and '-'"
        )
    return text


def _check_name(text: str) -> str:
    if text and not names.is_subdomain(text):
        raise ValueError(
            f"{text!r} is not a valid object name; expected lower-case letters, digits, '-' and '.'"
        )
    return text


Url = Annotated[str, AfterValidator(_check_url)]
AccountUrl = Annotated[str, AfterValidator(_check_account_url)]
Name = Annotated[str, AfterValidator(_check_name)]
Namespace = Annotated[str, AfterValidator(_check_namespace)]
MountOption = Annotated[str, AfterValidator(_check_mount_option)]
AuthType = Literal["spn"]


class AccountSettings(BaseModel):
    """How the controller accesses storage accounts, and when it deletes containers."""

    storage_endpoint: AccountUrl = Field(
        default=f"https://{ACCOUNT_PLACEHOLDER}.blob.core.windows.net/",
        description="URL of an account's blob service; {account} stands for the account name."
        " Sovereign clouds have another domain",
    )
    storage_endpoints: Mapping[str, Url] = Field(
        default={}, description="account -> URL of its blob service, if not storage_endpoint"
    )
    storage_verify_minutes: float = Field(
        default=60.0,
        gt=0,
        allow_inf_nan=False,
        description="minutes between two lists of an account's containers",
    )
    storage_timeout_seconds: float = Field(
        default=10.0, gt=0, le=120, description="timeout of one request to an account"
    )
    storage_requests: int = Field(
        default=8, ge=1, le=256, description="maximum concurrent requests to one account"
    )
    former_data: Literal["refuse", "accept"] = Field(
        default="refuse",
        description="whether a new Profile gets the container of an earlier Profile with the same"
        " name and another owner",
    )
    adopt_by_name: bool = Field(
        default=True,
        description="whether a profile adopts a container without ownership metadata that has"
        " exactly its name; disable it after the migration from an older suite",
    )
    delete_data: bool = Field(
        default=False,
        description="whether the containers of a deleted Profile are deleted with their data",
    )
    delete_data_after_days: float = Field(
        default=30.0, gt=0, le=3650, description="days that such containers are retained"
    )

    def endpoint_of(self, account: str) -> str:
        """Return the URL of an account's blob service."""
        default = self.storage_endpoint.replace(ACCOUNT_PLACEHOLDER, account)
        return self.storage_endpoints.get(account, default)


class BlobCsiSettings(AccountSettings):
    """All settings: the platform containers of each profile, and the sources of shared buckets.

    A source is enabled if its storage account is set, and a gateway if its endpoint is set too.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    instances: Annotated[
        tuple[Instance, ...], BeforeValidator(blob_csi_instances.parse_setting)
    ] = Field(
        default=(),
        description="platform containers of each profile; overrides instances_file",
    )
    instances_file: Path = Field(
        default=INSTANCES_FILE,
        description="file with the platform containers of each profile; the default file is"
        " optional",
    )
    mount_options: tuple[MountOption, ...] = Field(
        default=MOUNT_OPTIONS,
        description="mount options of every volume; options that a volume requires are appended",
    )
    config_map: Name = Field(
        default="fdi-aaw-configuration",
        min_length=1,
        description="ConfigMap that lists shared buckets",
    )
    config_map_namespace: Namespace = Field(
        default="daaas-system", description="namespace of that ConfigMap"
    )
    fdi_opa_daemon_ticker_millis: int = Field(
        default=60_000, ge=100, description="milliseconds between two requests to an OPA gateway"
    )
    fdi_global_sp_tenantid: str = Field(
        default="", description="tenant id of the service principals"
    )
    spn_client_ids: Annotated[Mapping[str, str], config_tables.Suffixed(CLIENT_ID_SUFFIX)] = Field(
        default={}, description="service principal -> its client id"
    )

    fdi_unclass_opa_endpoint: Url = Field(
        default="", description="URL of the OPA gateway that lists shared buckets"
    )
    fdi_unclass_storage_account: str = Field(
        default="", description="storage account of the gateway's buckets"
    )
    fdi_unclass_resource_group: str = Field(
        default="", description="resource group of the gateway's storage account"
    )
    fdi_unclass_azure_storage_spn_clientid: str = Field(
        default="",
        description="client id for the gateway's buckets; default: that of the bucket's service"
        " principal",
    )
    fdi_unclass_azure_storage_spn_tenantid: str = Field(
        default="",
        description="tenant id for the gateway's buckets; default: fdi_global_sp_tenantid",
    )
    fdi_unclass_spn_secret_name: Name = Field(
        default="",
        description="Secret for the gateway's buckets; default: that of the bucket's service"
        " principal",
    )
    fdi_unclass_internal_storage_account: str = Field(
        default="", description="storage account of the ConfigMap's internal buckets"
    )
    fdi_unclass_external_storage_account: str = Field(
        default="", description="storage account of the ConfigMap's external buckets"
    )
    fdi_unclass_cs_resource_group: str = Field(
        default="", description="resource group of the ConfigMap's storage accounts"
    )
    fdi_unclass_spn_secret_namespace: Namespace = Field(
        default=names.AZURE_NAMESPACE,
        description="namespace of the service principals' Secrets",
    )
    fdi_unclass_pv_storage_cap: Capacity = Field(
        default="10T", description="capacity of a volume: terabytes, or a quantity"
    )
    fdi_unclass_azure_storage_auth_type: AuthType = Field(
        default="spn", description="authentication type; only spn is supported"
    )
    fdi_unclass_azure_storage_aad_endpoint: str = Field(
        default="", description="Microsoft Entra ID endpoint; default: that of Azure"
    )

    fdi_protected_b_opa_endpoint: Url = Field(
        default="", description="URL of the OPA gateway that lists shared buckets"
    )
    fdi_protected_b_storage_account: str = Field(
        default="", description="storage account of the gateway's buckets"
    )
    fdi_protected_b_resource_group: str = Field(
        default="", description="resource group of the gateway's storage account"
    )
    fdi_protected_b_azure_storage_spn_clientid: str = Field(
        default="",
        description="client id for the gateway's buckets; default: that of the bucket's service"
        " principal",
    )
    fdi_protected_b_azure_storage_spn_tenantid: str = Field(
        default="",
        description="tenant id for the gateway's buckets; default: fdi_global_sp_tenantid",
    )
    fdi_protected_b_spn_secret_name: Name = Field(
        default="",
        description="Secret for the gateway's buckets; default: that of the bucket's service"
        " principal",
    )
    fdi_protected_b_internal_storage_account: str = Field(
        default="", description="storage account of the ConfigMap's internal buckets"
    )
    fdi_protected_b_external_storage_account: str = Field(
        default="", description="storage account of the ConfigMap's external buckets"
    )
    fdi_protected_b_cs_resource_group: str = Field(
        default="", description="resource group of the ConfigMap's storage accounts"
    )
    fdi_protected_b_spn_secret_namespace: Namespace = Field(
        default=names.AZURE_NAMESPACE,
        description="namespace of the service principals' Secrets",
    )
    fdi_protected_b_pv_storage_cap: Capacity = Field(
        default="10T", description="capacity of a volume: terabytes, or a quantity"
    )
    fdi_protected_b_azure_storage_auth_type: AuthType = Field(
        default="spn", description="authentication type; only spn is supported"
    )
    fdi_protected_b_azure_storage_aad_endpoint: str = Field(
        default="", description="Microsoft Entra ID endpoint; default: that of Azure"
    )

    @model_validator(mode="before")
    @classmethod
    def _load_instances(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        client_ids = data.get("spn_client_ids", {})
        instances, problems = _instances(data)
        if isinstance(client_ids, Mapping):
            problems += _conflicting_client_ids(client_ids)
        config_tables.raise_problems(cls.__name__, problems)
        return {**data, "instances": instances}

    @model_validator(mode="after")
    def _check_consistency(self) -> Self:
        duplicates = blob_csi_instances.duplicates(self.instances)
        if duplicates:
            raise ValueError(
                f"instances {', '.join(duplicates)} are listed more than once; expected once each"
            )
        for prefix in SETTING_PREFIXES.values():
            endpoint, account = f"{prefix}_opa_endpoint", f"{prefix}_storage_account"
            if getattr(self, endpoint) and not getattr(self, account):
                raise ValueError(
                    f"{endpoint} is set without {account}; set both, as the gateway's buckets are"
                    " in that account"
                )
        return self

    @cached_property
    def sources(self) -> Mapping[Source, StorageParameters]:
        """The enabled sources in order of precedence, with the parameters of their buckets."""
        found = ((source, self._parameters(source)) for source in SOURCES)
        return {source: one for source, one in found if one is not None}

    @cached_property
    def client_ids(self) -> Mapping[str, str]:
        """The client id of each service principal, by ``names.client_id_key``."""
        return {names.client_id_key(one): value for one, value in self.spn_client_ids.items()}

    def endpoint(self, classification: str) -> str:
        """Return the URL of the OPA gateway of a classification; empty if there is none."""
        return str(getattr(self, f"{SETTING_PREFIXES[classification]}_opa_endpoint"))

    def _parameters(self, source: Source) -> StorageParameters | None:
        prefix = SETTING_PREFIXES[source.classification]
        values = {
            name.removeprefix(f"{prefix}_"): str(getattr(self, name))
            for name in type(self).model_fields
            if name.startswith(f"{prefix}_")
        }
        common = StorageParameters(
            account=values[_ACCOUNT_SETTINGS[source.origin]],
            resource_group=values["cs_resource_group"],
            capacity=values["pv_storage_cap"],
            secret_namespace=values["spn_secret_namespace"],
            auth_type=values["azure_storage_auth_type"],
            aad_endpoint=values["azure_storage_aad_endpoint"],
            tenant_id=self.fdi_global_sp_tenantid,
        )
        if source.origin is not Origin.GATEWAY:
            return common if common.account else None
        if not values["opa_endpoint"]:
            return None
        return replace(
            common,
            resource_group=values["resource_group"],
            secret=values["spn_secret_name"],
            client_id=values["azure_storage_spn_clientid"],
            tenant_id=values["azure_storage_spn_tenantid"] or common.tenant_id,
        )


def _instances(data: Mapping[Any, Any]) -> tuple[object, list[config_tables.Problem]]:
    """Return the instances of the setting, else of the file, else the default ones."""
    if "instances" in data:
        return data["instances"], []
    path = Path(str(data.get("instances_file", INSTANCES_FILE)))
    if "instances_file" not in data and not path.exists():
        return blob_csi_instances.DEFAULT, []
    try:
        return blob_csi_instances.load(path), []
    except ValueError as error:
        messages = [str(line) for line in error.args]
        return (), [config_tables.problem(one, str(path), "instances_file") for one in messages]


def _conflicting_client_ids(client_ids: Mapping[Any, Any]) -> list[config_tables.Problem]:
    """Return a problem for each service principal with two spellings and two client ids."""
    seen: dict[str, object] = {}
    problems = []
    for principal, client_id in client_ids.items():
        key = names.client_id_key(str(principal))
        first = seen.setdefault(key, client_id)
        if first != client_id:
            message = f"{key} has two client ids, {first!r} and {client_id!r}; expected one"
            place = ("spn_client_ids", str(principal))
            problems.append(config_tables.problem(message, client_id, *place))
    return problems
