"""The settings of gitea: existing variables, derived defaults and errors."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from controllers.gitea.config import GiteaSettings
from controllers.gitea.postgres import servers
from controllers.runtime.options import Options
from profiles_controller.config.errors import InvalidSettingsError
from profiles_controller.config.sources import Inputs, resolve
from tests.support import builders

# As StatCan's installation sets them.
EXISTING = {
    "GITEA_CLASSIFICATION": "protected-b",
    "GITEA_PSQL_HOSTNAME": "postgres.example.ca",
    "GITEA_PSQL_PORT": "5432",
    "GITEA_PSQL_ADMIN_UNAME": "admin@postgres",
    "GITEA_PSQL_ADMIN_PASSWD": "an-admins-secret",
    "GITEA_PSQL_MAINTENANCE_DB": "postgres",
    "GITEA_SERVICE_URL": "gitea-protected-b-http",
    "GITEA_URL_PREFIX": "gitea-protected-b",
    "GITEA_SERVICE_PORT": "80",
    "GITEA_BANNER_CONFIGMAP_NAME": "gitea-banner-protected-b",
    "GITEA_ARGOCD_NAMESPACE": "profiles-argocd-system",
    "GITEA_ARGOCD_SOURCE_REPO_URL": "https://github.com/StatCan/aaw-argocd-manifests.git",
    "GITEA_ARGOCD_SOURCE_TARGET_REVISION": "aaw-prod-cc-00",
    "GITEA_ARGOCD_SOURCE_PATH": "profiles-argocd-system/template/gitea/protected-b",
    "GITEA_ARGOCD_PROJECT": "default",
    "GITEA_SOURCE_CONTROL_ENABLED_LABEL": "sourcecontrol.statcan.gc.ca/enabled",
    "GITEA_KUBEFLOW_ROOT_URL": "https://kubeflow.aaw.cloud.statcan.ca",
}
REQUIRED = (
    "classification",
    "psql_hostname",
    "psql_admin_uname",
    "psql_admin_passwd",
    "argocd_source_repo_url",
)


def load(**environment: str) -> GiteaSettings:
    return resolve(GiteaSettings, Inputs(environment=environment), section="gitea", prefix="GITEA_")


def test_every_existing_variable_is_read() -> None:
    settings = load(**EXISTING)

    for variable, text in EXISTING.items():
        field = variable.removeprefix("GITEA_").lower()
        assert field in GiteaSettings.model_fields
        value = getattr(settings, field)
        actual = value.get_secret_value() if field == "psql_admin_passwd" else str(value)
        assert text == actual
    assert "postgres.example.ca:5432" == settings.server_address
    assert "an-admins-secret" not in repr(settings)


def test_defaults_depend_on_the_classification() -> None:
    required = {f"GITEA_{name.upper()}": EXISTING[f"GITEA_{name.upper()}"] for name in REQUIRED}
    settings, given = load(**required), load(**EXISTING)

    for name in ("service_url", "url_prefix", "banner_configmap_name", "argocd_source_path"):
        assert getattr(given, name) == getattr(settings, name)


def test_all_missing_settings_are_reported_together() -> None:
    with pytest.raises(InvalidSettingsError) as refusal:
        load()
    assert [f"gitea.{name}" for name in REQUIRED] == [one.setting for one in refusal.value.errors]
    assert "GITEA_CLASSIFICATION" in str(refusal.value)


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("CLASSIFICATION", "secret", "'unclassified' or 'protected-b'"),
        ("CLASSIFICATION", "Unclassified", "'unclassified' or 'protected-b'"),
        ("PSQL_PORT", "0", "greater than or equal to 1"),
        ("PSQL_PORT", "postgres", "whole number"),
        ("PSQL_HOSTNAME", "postgres:5432", "without a port"),
        ("PSQL_SSLMODE", "prefer", "'require'"),
        ("PSQL_SSLROOTCERT", "/ca.crt", "verify-full"),
        ("URL_PREFIX", "/gitea/", "no slash at the ends"),
        ("SERVICE_URL", "http://gitea", "such as gitea-http"),
        ("KUBEFLOW_ROOT_URL", "kubeflow.example.ca", "https://"),
        ("SOURCE_CONTROL_ENABLED_LABEL", "a b", "example.ca/enabled"),
        ("OPT_OUT", "delete", "'keep', 'stop' or 'detach'"),
        ("BANNER_CONFIGMAP_NAME", "Banner", "lower-case"),
        ("PSQL_ADMIN_UNAME", "a b", "without spaces"),
        ("ARGOCD_PROJECT", "a_b", "hyphens"),
    ],
)
def test_the_error_of_a_wrong_value_names_the_value_and_what_is_expected(
    variable: str, value: str, expected: str
) -> None:
    with pytest.raises(InvalidSettingsError) as refusal:
        load(**{**EXISTING, f"GITEA_{variable}": value})
    (invalid,) = refusal.value.errors
    assert f"gitea.{variable.lower()}" == invalid.setting
    assert repr(value) in str(invalid)
    assert expected in str(invalid)
    assert f"GITEA_{variable}" in str(invalid)


@pytest.mark.parametrize(
    ("mode", "file", "expected"),
    [
        ("verify-full", "", "required with psql_sslmode"),
        ("verify-ca", "", "required with psql_sslmode"),
        ("verify-ca", "system", "only with psql_sslmode verify-full"),
        ("verify-full", "system", None),
        ("verify-ca", "/ca.crt", None),
        ("disable", "", None),
    ],
)
def test_modes_that_verify_require_certificate_authorities(
    mode: str, file: str, expected: str | None
) -> None:
    given = {**EXISTING, "GITEA_PSQL_SSLMODE": mode, "GITEA_PSQL_SSLROOTCERT": file}
    if expected is None:
        assert load(**given).psql_sslmode == mode
        return
    with pytest.raises(InvalidSettingsError, match=expected) as refusal:
        load(**given)
    assert ["gitea.psql_sslrootcert"] == [one.setting for one in refusal.value.errors]


def test_all_wrong_settings_are_reported_together_and_without_the_password() -> None:
    wrong = {
        "CLASSIFICATION": "secret",
        "PSQL_PORT": "x",
        "PSQL_SSLMODE": "prefer",
        "PSQL_CONNECTIONS": "0",
        "OPT_OUT": "delete",
        "SERVICE_PORT": "70000",
        "PSQL_CONNECT_TIMEOUT": "-1",
        "ARGOCD_AUTOMATED": "perhaps",
    }
    with pytest.raises(InvalidSettingsError) as refusal:
        load(**{**EXISTING, **{f"GITEA_{name}": text for name, text in wrong.items()}})
    reported = {one.setting for one in refusal.value.errors}
    assert {f"gitea.{name.lower()}" for name in wrong} == reported
    assert EXISTING["GITEA_PSQL_ADMIN_PASSWD"] not in str(refusal.value)


def test_a_request_to_postgres_ends_before_the_worker_is_reported_as_hung() -> None:
    longest = load(**EXISTING, GITEA_PSQL_CONNECT_TIMEOUT="30", GITEA_PSQL_STATEMENT_TIMEOUT="60")
    server = servers.connect(longest)

    assert 0.9 * Options().hang_timeout >= server.request_timeout


def test_unknown_settings_are_refused() -> None:
    data: dict[str, Any] = {name: EXISTING[f"GITEA_{name.upper()}"] for name in REQUIRED}
    assert {"unknown"} == set(builders.validation_errors(GiteaSettings, {**data, "unknown": 1}))


def test_loading_the_controller_does_not_import_the_driver() -> None:
    imports = "import sys; from controllers import registry; registry.load('gitea')"
    code = f"{imports}; print('psycopg' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path.cwd()
    )
    assert "False" == done.stdout.strip()
