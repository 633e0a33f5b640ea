"""The settings of the blob-csi controller: every name that deployments use, and what is refused."""

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
from tests.support.builders import inputs as builders_inputs

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


def faults(environment: Mapping[str, str] | None = None, section: Any = None) -> list[str]:
    with pytest.raises(InvalidSettingsError) as caught:
        read(environment, section)
    return [str(fault) for fault in caught.value.errors]


def file_of(folder: Path, text: str) -> dict[str, str]:
    path = folder / "instances.json"
    path.write_text(text)
    return {"BLOB_CSI_INSTANCES_FILE": str(path)}


def test_without_settings_each_profile_has_the_three_built_in_containers() -> None:
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
    assert {} == BlobCsiSettings().storages


@pytest.mark.parametrize("classification", names.CLASSIFICATIONS)
def test_every_variable_of_existing_deployments_is_read(classification: str) -> None:
    settings = read(ENVIRONMENT)
    storages = {
        source.origin: storage
        for source, storage in settings.storages.items()
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


def test_a_principals_client_id_is_a_variable_of_its_own_or_an_entry() -> None:
    assert {"PV_INTERNAL_DEV_SP": "client-of-sp"} == read(ENVIRONMENT).client_ids
    section = {"spnClientIds": {"other-sp": "two"}}
    assert {"PV_INTERNAL_DEV_SP": "client-of-sp", "OTHER_SP": "two"} == read(
        ENVIRONMENT, section
    ).client_ids


def test_a_gateway_without_a_client_of_its_own_takes_the_principals_and_the_global_tenant() -> None:
    own = ("SPN_SECRET_NAME", "SPN_CLIENTID", "SPN_TENANTID")
    settings = read(
        {k: v for k, v in ENVIRONMENT.items() if not (k in UNCLASS and k.endswith(own))}
    )
    storage = settings.storages[Source("unclassified", Origin.GATEWAY)]
    assert ("", "", "global") == (storage.secret, storage.client_id, storage.tenant_id)


@pytest.mark.parametrize(
    ("given", "spelled"),
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
def test_a_capacity_is_terabytes_or_a_quantity(given: Any, spelled: str) -> None:
    assert (
        spelled == read(section={"instances": [{**ENTRY, "capacity": given}]}).instances[0].capacity
    )
    assert (
        spelled
        == read({"BLOB_CSI_FDI_UNCLASS_PV_STORAGE_CAP": str(given)}).fdi_unclass_pv_storage_cap
    )


SPELLINGS = {
    "objects one after the other": "{0}\n{1}",
    "objects without a space": "{0}{1}",
    "a list of JSON": "[{0}, {1}]",
    "a list of YAML": "- {0}\n- {1}\n",
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_instances_are_read_in_every_spelling(spelling: str, tmp_path: Path) -> None:
    other = {**ENTRY, "name": "premium", "secretRef": "premium", "capacity": "10Ti"}
    text = SPELLINGS[spelling].replace("{0}", json.dumps(ENTRY)).replace("{1}", json.dumps(other))
    for settings in (read(file_of(tmp_path, text)), read({"BLOB_CSI_INSTANCES": text})):
        assert [("standard", "10T"), ("premium", "10Ti")] == [
            (one.name, one.capacity) for one in settings.instances
        ]
        assert "premium/azure-blob-csi-system" == str(settings.instances[1].secret_ref)


def test_a_file_beside_the_process_is_read_without_being_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert blob_csi_instances.DEFAULT == read().instances
    file_of(tmp_path, json.dumps(ENTRY))
    assert ["standard"] == [one.name for one in read().instances]


def test_keys_are_read_in_any_case_as_the_older_suite_did(tmp_path: Path) -> None:
    text = json.dumps({key.lower(): value for key, value in ENTRY.items()} | {"readonly": True})
    assert read(file_of(tmp_path, text)).instances[0].read_only


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "A_b"}, "name 'A_b' makes no claim's name"),
        ({"name": "fdi-x"}, "could be a shared bucket's"),
        ({"classification": "secret"}, "'unclassified' or 'protected-b'"),
        ({"capacity": 0}, "'0' holds nothing: expected terabytes"),
        ({"capacity": True}, "True is no capacity"),
        ({"capacity": "10 T"}, "'10 T' is not a quantity"),
        ({"secretRef": "A/b"}, "'A/b' is no Secret: expected SECRET or SECRET/NAMESPACE"),
        ({"secretRef": "a/"}, "'a/' is no Secret"),
        ({"owner": "FDI"}, "'AAW'"),
        ({"readonli": True}, "readonli"),
    ],
)
def test_a_wrong_instance_is_told_with_its_place(
    change: dict[str, Any], said: str, tmp_path: Path
) -> None:
    text = json.dumps(ENTRY) + json.dumps({**ENTRY, "name": "other", **change})
    (fault,) = faults(file_of(tmp_path, text))
    assert "instances.json, instance 2" in fault
    assert said in fault
    assert "environment variable BLOB_CSI_INSTANCES_FILE" in fault


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"name": ', "not JSON after 0 characters"),
        (json.dumps(ENTRY) + ",", f"not JSON after {len(json.dumps(ENTRY))} characters"),
        ("name: standard", "a list of instances was expected, not dict"),
        ("- [", "neither JSON nor YAML"),
    ],
)
def test_a_file_that_cannot_be_read_is_told(text: str, said: str, tmp_path: Path) -> None:
    (fault,) = faults(file_of(tmp_path, text))
    assert said in fault


def test_a_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    (fault,) = faults({"BLOB_CSI_INSTANCES_FILE": str(tmp_path / "none.json")})
    assert "none.json cannot be read: No such file or directory" in fault


def test_everything_that_is_wrong_is_told_at_once() -> None:
    said = faults(
        {
            "BLOB_CSI_FDI_UNCLASS_PV_STORAGE_CAP": "much",
            "BLOB_CSI_FDI_UNCLASS_AZURE_STORAGE_AUTH_TYPE": "key",
            "BLOB_CSI_FDI_PROTECTED_B_OPA_ENDPOINT": "opa:8181",
            "BLOB_CSI_FDI_OPA_DAEMON_TICKER_MILLIS": "soon",
            "BLOB_CSI_FDI_UNCLASS_SPN_SECRET_NAMESPACE": "No_Namespace",
        },
        {"mountOptions": ["-o ro\n-o rw"]},
    )
    assert 6 == len(said)
    for setting in ("PV_STORAGE_CAP", "AUTH_TYPE", "OPA_ENDPOINT", "TICKER_MILLIS", "NAMESPACE"):
        assert any(setting in fault for fault in said)


def test_settings_that_do_not_fit_each_other_are_refused() -> None:
    endpoint = {"BLOB_CSI_FDI_UNCLASS_OPA_ENDPOINT": "http://opa:8181"}
    assert "without fdi_unclass_storage_account" in faults(endpoint)[0]
    twice = {"instances": [ENTRY, ENTRY]}
    assert "instances standard are listed twice" in faults(section=twice)[0]
    ids = {"spn_client_ids": {"a-sp": "1"}}
    (fault,) = faults({"A_SP_AZURE_STORAGE_SPN_CLIENTID": "2"}, ids)
    assert "A_SP has two client ids" in fault
    assert builders_inputs.refusals(BlobCsiSettings, {"config_map": ""})


def test_an_accounts_url_follows_from_its_name_unless_it_has_one_of_its_own() -> None:
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
    ("field", "value", "said"),
    [
        ("storage_endpoint", "https://blob.core.windows.net/", "names no account"),
        ("storage_endpoint", "ftp://{account}/", "is no URL"),
        ("storage_endpoints", {"acc": "acc.blob.core.windows.net"}, "is no URL"),
        ("storage_verify_minutes", 0, "greater than 0"),
        ("storage_timeout_seconds", 121, "less than or equal to 120"),
        ("storage_requests", 0, "greater than or equal to 1"),
        ("former_data", "maybe", "'refuse' or 'accept'"),
        ("delete_data_after_days", 0, "greater than 0"),
    ],
)
def test_a_wrong_setting_of_the_accounts_is_refused(field: str, value: object, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        BlobCsiSettings.model_validate({field: value})


def test_data_is_kept_and_nobody_gets_anothers_by_default() -> None:
    settings = BlobCsiSettings()
    assert (False, "refuse") == (settings.delete_data, settings.former_data)
