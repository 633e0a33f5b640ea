"""The settings of the blob-csi controller: variables of existing deployments, and errors."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from controllers.blob_csi import instances as blob_csi_instances
from controllers.blob_csi import names
from controllers.blob_csi.config import BlobCsiSettings
from controllers.blob_csi.grants.sources import Origin, Source
from profiles_controller.config.errors import InvalidSettingsError
from profiles_controller.config.sources import Inputs, resolve
from tests.support import builders

ENTRY = {
    "name": "standard",
    "classification": "unclassified",
    "secretRef": "azure-secret/azure-blob-csi-system",
    "capacity": 10,
    "readOnly": False,
    "owner": "AAW",
}
UNCLASS = {
    "BLOB_CSI_FDI_UNCLASS_OPA_ENDPOINT": "http://opa.fdi:8181/v1/data/",
    "BLOB_CSI_FDI_UNCLASS_SPN_SECRET_NAME": "fdi-secret",
    "BLOB_CSI_FDI_UNCLASS_SPN_SECRET_NAMESPACE": "fdi-system",
    "BLOB_CSI_FDI_UNCLASS_PV_STORAGE_CAP": "10",
    "BLOB_CSI_FDI_UNCLASS_STORAGE_ACCOUNT": "accountgateway",
    "BLOB_CSI_FDI_UNCLASS_RESOURCE_GROUP": "group",
    "BLOB_CSI_FDI_UNCLASS_AZURE_STORAGE_AUTH_TYPE": "spn",
    "BLOB_CSI_FDI_UNCLASS_AZURE_STORAGE_SPN_CLIENTID": "client",
    "BLOB_CSI_FDI_UNCLASS_AZURE_STORAGE_SPN_TENANTID": "tenant",
    "BLOB_CSI_FDI_UNCLASS_AZURE_STORAGE_AAD_ENDPOINT": "https://login.example.ca",
    "BLOB_CSI_FDI_UNCLASS_INTERNAL_STORAGE_ACCOUNT": "accountinternal",
    "BLOB_CSI_FDI_UNCLASS_EXTERNAL_STORAGE_ACCOUNT": "accountexternal",
    "BLOB_CSI_FDI_UNCLASS_CS_RESOURCE_GROUP": "csgroup",
}
ENVIRONMENT = {
    **UNCLASS,
    **{name.replace("UNCLASS", "PROTECTED_B"): value for name, value in UNCLASS.items()},
    "BLOB_CSI_FDI_GLOBAL_SP_TENANTID": "global",
    "BLOB_CSI_FDI_OPA_DAEMON_TICKER_MILLIS": "5000",
    "PV_INTERNAL_DEV_SP_AZURE_STORAGE_SPN_CLIENTID": "client-of-sp",
}


def read(environment: Mapping[str, str] | None = None, section: Any = None) -> BlobCsiSettings:
    inputs = Inputs(
        environment=environment or {}, sections={"blob-csi": section}, file=Path("config.yaml")
    )
    return resolve(BlobCsiSettings, inputs, section="blob-csi", prefix="BLOB_CSI_")


def reported_errors(environment: Mapping[str, str] | None = None, section: Any = None) -> list[str]:
    with pytest.raises(InvalidSettingsError) as caught:
        read(environment, section)
    return [str(error) for error in caught.value.errors]


def file_of(folder: Path, text: str) -> dict[str, str]:
    path = folder / "instances.json"
    path.write_text(text)
    return {"BLOB_CSI_INSTANCES_FILE": str(path)}


def test_the_default_is_three_instances() -> None:
    assert [
        ("standard", "unclassified", "azure-secret", False),
        ("aaw-unclassified-ro", "protected-b", "azure-secret", True),
        ("aaw-protected-b", "protected-b", "aawdevcc00samgprotb", False),
    ] == [
        (one.name, one.classification, one.secret_ref.name, one.read_only)
        for one in BlobCsiSettings().instances
    ]
    assert {("10T", "azure-blob-csi-system")} == {
        (one.capacity, one.secret_ref.namespace) for one in BlobCsiSettings().instances
    }
    assert {} == BlobCsiSettings().sources


@pytest.mark.parametrize("classification", names.CLASSIFICATIONS)
def test_the_variables_of_existing_deployments_are_read(classification: str) -> None:
    settings = read(ENVIRONMENT)
    storages = {
        source.origin: storage
        for source, storage in settings.sources.items()
        if source.classification == classification
    }
    assert {
        "account": "accountgateway",
        "resource_group": "group",
        "capacity": "10T",
        "secret_namespace": "fdi-system",
        "auth_type": "spn",
        "aad_endpoint": "https://login.example.ca",
        "secret": "fdi-secret",
        "client_id": "client",
        "tenant_id": "tenant",
    } == dataclasses.asdict(storages[Origin.GATEWAY])
    for origin, account in (
        (Origin.INTERNAL, "accountinternal"),
        (Origin.EXTERNAL, "accountexternal"),
    ):
        assert (account, "csgroup", "global", "", "") == (
            storages[origin].account,
            storages[origin].resource_group,
            storages[origin].tenant_id,
            storages[origin].client_id,
            storages[origin].secret,
        )
    assert "http://opa.fdi:8181/v1/data/" == settings.endpoint(classification)
    assert 5000 == settings.fdi_opa_daemon_ticker_millis


def test_a_client_id_is_a_variable_or_an_entry_of_the_table() -> None:
    assert {"PV_INTERNAL_DEV_SP": "client-of-sp"} == read(ENVIRONMENT).client_ids
    section = {"spnClientIds": {"other-sp": "two"}}
    assert {"PV_INTERNAL_DEV_SP": "client-of-sp", "OTHER_SP": "two"} == read(
        ENVIRONMENT, section
    ).client_ids


def test_a_gateway_without_a_client_id_uses_the_service_principal_and_the_global_tenant() -> None:
    own = ("SPN_SECRET_NAME", "SPN_CLIENTID", "SPN_TENANTID")
    settings = read(
        {k: v for k, v in ENVIRONMENT.items() if not (k in UNCLASS and k.endswith(own))}
    )
    storage = settings.sources[Source("unclassified", Origin.GATEWAY)]
    assert ("", "", "global") == (storage.secret, storage.client_id, storage.tenant_id)


@pytest.mark.parametrize(
    ("given", "quantity"),
    [
        (10, "10T"),
        ("10", "10T"),
        (2.5, "2500G"),
        ("10Ti", "10Ti"),
        ("100Gi", "100Gi"),
        ("1024Gi", "1Ti"),
        (" 5T ", "5T"),
    ],
)
def test_a_capacity_is_terabytes_or_a_quantity(given: Any, quantity: str) -> None:
    assert (
        quantity
        == read(section={"instances": [{**ENTRY, "capacity": given}]}).instances[0].capacity
    )
    assert (
        quantity
        == read({"BLOB_CSI_FDI_UNCLASS_PV_STORAGE_CAP": str(given)}).fdi_unclass_pv_storage_cap
    )


FORMATS = {
    "objects one after the other": "{0}\n{1}",
    "objects without a space": "{0}{1}",
    "a list of JSON": "[{0}, {1}]",
    "a list of YAML": "- {0}\n- {1}\n",
}


@pytest.mark.parametrize("format_", FORMATS)
def test_instances_are_read_in_every_format(format_: str, tmp_path: Path) -> None:
    other = {**ENTRY, "name": "premium", "secretRef": "premium", "capacity": "10Ti"}
    text = FORMATS[format_].replace("{0}", json.dumps(ENTRY)).replace("{1}", json.dumps(other))
    for settings in (read(file_of(tmp_path, text)), read({"BLOB_CSI_INSTANCES": text})):
        assert [("standard", "10T"), ("premium", "10Ti")] == [
            (one.name, one.capacity) for one in settings.instances
        ]
        assert "premium/azure-blob-csi-system" == str(settings.instances[1].secret_ref)


def test_the_default_file_is_read_if_it_exists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert blob_csi_instances.DEFAULT == read().instances
    file_of(tmp_path, json.dumps(ENTRY))
    assert ["standard"] == [one.name for one in read().instances]


def test_keys_are_read_in_any_case(tmp_path: Path) -> None:
    text = json.dumps({key.lower(): value for key, value in ENTRY.items()} | {"readonly": True})
    assert read(file_of(tmp_path, text)).instances[0].read_only


@pytest.mark.parametrize(
    ("change", "text_"),
    [
        ({"name": "A_b"}, "'A_b' is not a valid PersistentVolumeClaim name"),
        ({"name": "fdi-x"}, "reserved for shared buckets"),
        ({"classification": "secret"}, "'unclassified' or 'protected-b'"),
        ({"capacity": 0}, "capacity '0' is not greater than 0; expected terabytes"),
        ({"capacity": True}, "True is not a capacity"),
        ({"capacity": "10 T"}, "'10 T' is not a quantity"),
        (
            {"secretRef": "A/b"},
            "'A/b' is not a valid Secret reference; expected SECRET or SECRET/NAMESPACE",
        ),
        ({"secretRef": "a/"}, "'a/' is not a valid Secret reference"),
        ({"owner": "FDI"}, "'AAW'"),
        ({"readonli": True}, "readonli"),
    ],
)
def test_the_error_of_an_instance_has_its_place(
    change: dict[str, Any], text_: str, tmp_path: Path
) -> None:
    text = json.dumps(ENTRY) + json.dumps({**ENTRY, "name": "other", **change})
    (error,) = reported_errors(file_of(tmp_path, text))
    assert "instances.json, instance 2" in error
    assert text_ in error
    assert "environment variable BLOB_CSI_INSTANCES_FILE" in error


@pytest.mark.parametrize(
    ("text", "text_"),
    [
        ('{"name": ', "invalid JSON after 0 characters"),
        (json.dumps(ENTRY) + ",", f"invalid JSON after {len(json.dumps(ENTRY))} characters"),
        ("name: standard", "expected a list of instances, not dict"),
        ("- [", "neither JSON nor YAML"),
    ],
)
def test_an_invalid_file_is_reported(text: str, text_: str, tmp_path: Path) -> None:
    (error,) = reported_errors(file_of(tmp_path, text))
    assert text_ in error


def test_a_configured_file_must_exist(tmp_path: Path) -> None:
    (error,) = reported_errors({"BLOB_CSI_INSTANCES_FILE": str(tmp_path / "none.json")})
    assert "none.json cannot be read: No such file or directory" in error


def test_all_errors_are_reported_at_once() -> None:
    text_ = reported_errors(
        {
            "BLOB_CSI_FDI_UNCLASS_PV_STORAGE_CAP": "much",
            "BLOB_CSI_FDI_UNCLASS_AZURE_STORAGE_AUTH_TYPE": "key",
            "BLOB_CSI_FDI_PROTECTED_B_OPA_ENDPOINT": "opa:8181",
            "BLOB_CSI_FDI_OPA_DAEMON_TICKER_MILLIS": "soon",
            "BLOB_CSI_FDI_UNCLASS_SPN_SECRET_NAMESPACE": "No_Namespace",
        },
        {"mountOptions": ["-o ro\n-o rw"]},
    )
    assert 6 == len(text_)
    for setting in ("PV_STORAGE_CAP", "AUTH_TYPE", "OPA_ENDPOINT", "TICKER_MILLIS", "NAMESPACE"):
        assert any(setting in error for error in text_)


def test_inconsistent_settings_are_rejected() -> None:
    endpoint = {"BLOB_CSI_FDI_UNCLASS_OPA_ENDPOINT": "http://opa:8181"}
    assert "without fdi_unclass_storage_account" in reported_errors(endpoint)[0]
    twice = {"instances": [ENTRY, ENTRY]}
    assert "instances standard are listed more than once" in reported_errors(section=twice)[0]
    ids = {"spn_client_ids": {"a-sp": "1"}}
    (error,) = reported_errors({"A_SP_AZURE_STORAGE_SPN_CLIENTID": "2"}, ids)
    assert "A_SP has two client ids" in error
    assert builders.validation_errors(BlobCsiSettings, {"config_map": ""})


def test_the_url_of_an_account_follows_from_its_name_unless_it_is_set() -> None:
    settings = BlobCsiSettings.model_validate(
        {
            "storage_endpoint": "https://{account}.blob.core.chinacloudapi.cn/",
            "storage_endpoints": {"odd": "http://127.0.0.1:10000/odd"},
        }
    )
    assert "https://acc.blob.core.chinacloudapi.cn/" == settings.endpoint_of("acc")
    assert "http://127.0.0.1:10000/odd" == settings.endpoint_of("odd")
    assert "https://acc.blob.core.windows.net/" == BlobCsiSettings().endpoint_of("acc")


@pytest.mark.parametrize(
    ("field", "value", "text_"),
    [
        ("storage_endpoint", "https://blob.core.windows.net/", "does not contain"),
        ("storage_endpoint", "ftp://{account}/", "is not an HTTP URL"),
        ("storage_endpoints", {"acc": "acc.blob.core.windows.net"}, "is not an HTTP URL"),
        ("storage_verify_minutes", 0, "greater than 0"),
        ("storage_timeout_seconds", 121, "less than or equal to 120"),
        ("storage_requests", 0, "greater than or equal to 1"),
        ("former_data", "maybe", "'refuse' or 'accept'"),
        ("delete_data_after_days", 0, "greater than 0"),
    ],
)
def test_an_invalid_account_setting_is_rejected(field: str, value: object, text_: str) -> None:
    with pytest.raises(ValidationError, match=text_):
        BlobCsiSettings.model_validate({field: value})


def test_by_default_data_is_retained_and_former_data_refused() -> None:
    settings = BlobCsiSettings()
    assert (False, "refuse") == (settings.delete_data, settings.former_data)
