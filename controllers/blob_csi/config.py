"""The settings of the blob-csi controller, checked as a whole when they are parsed.

Each is the environment variable of its own name after ``BLOB_CSI_``, which are those that existing
deployments use: ``BLOB_CSI_FDI_UNCLASS_OPA_ENDPOINT`` is ``fdi_unclass_opa_endpoint``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from controllers import config_tables
from controllers.blob_csi import config_fields, names
from controllers.blob_csi import instances as blob_csi_instances
from controllers.blob_csi.config_accounts import AccountSettings
from controllers.blob_csi.grants import sources
from controllers.blob_csi.grants.sources import Origin

CLIENT_ID = "_AZURE_STORAGE_SPN_CLIENTID"
INSTANCES_FILE = Path("instances.json")
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
"""After the blob-csi driver's own example of a blobfuse storage class."""

_ACCOUNTS = {
    Origin.INTERNAL: "internal_storage_account",
    Origin.EXTERNAL: "external_storage_account",
    Origin.GATEWAY: "storage_account",
}


class BlobCsiSettings(AccountSettings):
    """The containers that each profile has, and where it is said who may use shared ones.

    A source of shared buckets is asked when its storage account is given, and of a gateway its
    endpoint as well.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    instances: Annotated[
        tuple[blob_csi_instances.Instance, ...], BeforeValidator(blob_csi_instances.read_instances)
    ] = Field(default=(), description="the containers of each profile, instead of the file's")
    instances_file: Path = Field(
        default=INSTANCES_FILE,
        description="file that lists the containers of each profile; may be missing by default",
    )
    mount_options: tuple[config_fields.MountOption, ...] = Field(
        default=MOUNT_OPTIONS, description="of every volume, before those that it needs itself"
    )
    config_map: config_fields.Name = Field(
        default="fdi-aaw-configuration", min_length=1, description="ConfigMap of shared buckets"
    )
    config_map_namespace: config_fields.Namespace = Field(
        default="daaas-system", description="where that is"
    )
    fdi_opa_daemon_ticker_millis: int = Field(
        default=60_000, ge=100, description="milliseconds between two questions to a gateway"
    )
    fdi_global_sp_tenantid: str = Field(default="", description="tenant of service principals")
    spn_client_ids: Annotated[Mapping[str, str], config_tables.Suffixed(CLIENT_ID)] = Field(
        default={}, description="service principal -> its client id"
    )

    fdi_unclass_opa_endpoint: config_fields.Url = Field(
        default="", description="gateway of shared buckets"
    )
    fdi_unclass_storage_account: str = Field(default="", description="of the gateway's buckets")
    fdi_unclass_resource_group: str = Field(default="", description="of that account")
    fdi_unclass_azure_storage_spn_clientid: str = Field(
        default="", description="client id for the gateway's buckets; else by principal"
    )
    fdi_unclass_azure_storage_spn_tenantid: str = Field(
        default="", description="tenant for the gateway's buckets; else the global one"
    )
    fdi_unclass_spn_secret_name: config_fields.Name = Field(
        default="", description="Secret for the gateway's buckets; else by principal"
    )
    fdi_unclass_internal_storage_account: str = Field(default="", description="of the ConfigMap's")
    fdi_unclass_external_storage_account: str = Field(default="", description="of the ConfigMap's")
    fdi_unclass_cs_resource_group: str = Field(default="", description="of those two accounts")
    fdi_unclass_spn_secret_namespace: config_fields.Namespace = Field(
        default=names.AZURE_NAMESPACE, description="where principals' Secrets are"
    )
    fdi_unclass_pv_storage_cap: config_fields.Capacity = Field(
        default="10T", description="terabytes, or a quantity"
    )
    fdi_unclass_azure_storage_auth_type: config_fields.Spn = Field(
        default="spn", description="spn alone"
    )
    fdi_unclass_azure_storage_aad_endpoint: str = Field(default="", description="else Azure's own")

    fdi_protected_b_opa_endpoint: config_fields.Url = Field(
        default="", description="gateway of shared buckets"
    )
    fdi_protected_b_storage_account: str = Field(default="", description="of the gateway's buckets")
    fdi_protected_b_resource_group: str = Field(default="", description="of that account")
    fdi_protected_b_azure_storage_spn_clientid: str = Field(
        default="", description="client id for the gateway's buckets; else by principal"
    )
    fdi_protected_b_azure_storage_spn_tenantid: str = Field(
        default="", description="tenant for the gateway's buckets; else the global one"
    )
    fdi_protected_b_spn_secret_name: config_fields.Name = Field(
        default="", description="Secret for the gateway's buckets; else by principal"
    )
    fdi_protected_b_internal_storage_account: str = Field(
        default="", description="of the ConfigMap's"
    )
    fdi_protected_b_external_storage_account: str = Field(
        default="", description="of the ConfigMap's"
    )
    fdi_protected_b_cs_resource_group: str = Field(default="", description="of those two accounts")
    fdi_protected_b_spn_secret_namespace: config_fields.Namespace = Field(
        default=names.AZURE_NAMESPACE, description="where principals' Secrets are"
    )
    fdi_protected_b_pv_storage_cap: config_fields.Capacity = Field(
        default="10T", description="terabytes, or a quantity"
    )
    fdi_protected_b_azure_storage_auth_type: config_fields.Spn = Field(
        default="spn", description="spn alone"
    )
    fdi_protected_b_azure_storage_aad_endpoint: str = Field(
        default="", description="else Azure's own"
    )

    @model_validator(mode="before")
    @classmethod
    def _checked(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        given = data.get("spn_client_ids", {})
        listed, problems = _listed(data)
        if isinstance(given, Mapping):
            problems += _contradictions(given)
        config_tables.raise_problems(cls.__name__, problems)
        return {**data, "instances": listed}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        twice = blob_csi_instances.duplicates(self.instances)
        if twice:
            raise ValueError(f"instances {', '.join(twice)} are listed twice: expected once each")
        for prefix in sources.PREFIXES.values():
            endpoint, account = f"{prefix}_opa_endpoint", f"{prefix}_storage_account"
            if getattr(self, endpoint) and not getattr(self, account):
                raise ValueError(f"{endpoint} is given without {account}, where its buckets are")
        return self

    @cached_property
    def storages(self) -> Mapping[sources.Source, sources.Storage]:
        """The sources that are asked, in order, and what the buckets of each have in common."""
        found = ((source, self._storage(source)) for source in sources.SOURCES)
        return {source: storage for source, storage in found if storage is not None}

    @cached_property
    def client_ids(self) -> Mapping[str, str]:
        """The client id of each service principal, by ``names.principal_key``."""
        return {names.principal_key(one): value for one, value in self.spn_client_ids.items()}

    def endpoint(self, classification: str) -> str:
        """The URL of the gateway of a classification; empty when there is none."""
        return str(getattr(self, f"{sources.PREFIXES[classification]}_opa_endpoint"))

    def _storage(self, source: sources.Source) -> sources.Storage | None:
        prefix = sources.PREFIXES[source.classification]
        values = {
            name.removeprefix(f"{prefix}_"): str(getattr(self, name))
            for name in type(self).model_fields
            if name.startswith(f"{prefix}_")
        }
        common = sources.Storage(
            account=values[_ACCOUNTS[source.origin]],
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


def _listed(data: Mapping[Any, Any]) -> tuple[object, list[config_tables.Problem]]:
    """The instances as set, else as the file says, else the built-in ones."""
    if "instances" in data:
        return data["instances"], []
    path = Path(str(data.get("instances_file", INSTANCES_FILE)))
    if "instances_file" not in data and not path.exists():
        return blob_csi_instances.DEFAULT, []
    try:
        return blob_csi_instances.load(path), []
    except ValueError as error:
        why = [str(line) for line in error.args]
        return (), [config_tables.problem(one, str(path), "instances_file") for one in why]


def _contradictions(given: Mapping[Any, Any]) -> list[config_tables.Problem]:
    """Two spellings of one service principal, with two client ids."""
    seen: dict[str, object] = {}
    problems = []
    for principal, client_id in given.items():
        key = names.principal_key(str(principal))
        if seen.setdefault(key, client_id) != client_id:
            why = f"{key} has two client ids, {seen[key]!r} and {client_id!r}: expected one"
            problems.append(config_tables.problem(why, client_id, "spn_client_ids", str(principal)))
    return problems
