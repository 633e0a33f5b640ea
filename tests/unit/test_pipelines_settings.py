"""The settings of pipelines: KFP's variables, and invalid values."""

import re
from typing import Any

import pytest
from pydantic import SecretStr

from controllers import registry
from controllers.pipelines.config import PipelinesSettings
from profiles_controller.config.errors import InvalidSettingsError
from profiles_controller.config.flags import aliases
from profiles_controller.config.load import Loader
from profiles_controller.config.sources import Inputs
from tests.support.docs import markdown

KFP_VARIABLES = {
    "KFP_VERSION": ("kfp_version", "2.17.0"),
    "FRONTEND_IMAGE": ("frontend_image", "registry.example.ca/frontend"),
    "FRONTEND_TAG": ("frontend_tag", "tag"),
    "DISABLE_ISTIO_SIDECAR": ("disable_istio_sidecar", True),
    "ARTIFACTS_PROXY_ENABLED": ("artifacts_proxy_enabled", True),
    "ARTIFACT_RETENTION_DAYS": ("artifact_retention_days", 7),
    "CLUSTER_DOMAIN": ("cluster_domain", ".svc.example.ca"),
    "OBJECT_STORE_HOST": ("object_store_host", "minio-service"),
    "S3_ENDPOINT_URL": ("s3_endpoint_url", "http://seaweedfs.kubeflow:8333"),
    "AWS_ENDPOINT_URL": ("aws_endpoint_url", "http://seaweedfs.kubeflow:8111"),
    "AWS_REGION": ("aws_region", "ca-central-1"),
    "AWS_ACCESS_KEY_ID": ("aws_access_key_id", "key"),
    "AWS_SECRET_ACCESS_KEY": ("aws_secret_access_key", "hidden"),
    "CONTROLLER_PORT": ("controller_port", 8081),
    "MINIO_ACCESS_KEY": ("minio_access_key", "minio"),
    "MINIO_SECRET_KEY": ("minio_secret_key", "minio123"),
    "VISUALIZATION_SERVER_IMAGE": ("visualization_server_image", "registry.example.ca/server"),
    "VISUALIZATION_SERVER_TAG": ("visualization_server_tag", "tag"),
    "KFP_DEFAULT_PIPELINE_ROOT": ("kfp_default_pipeline_root", "minio://bucket/root"),
}


def load(**variables: str) -> PipelinesSettings:
    """Return the settings of an environment."""
    inputs = Inputs(environment=variables)
    loader = Loader(registry=[registry.load("pipelines")])
    ((_, settings),) = loader.load(["pipelines"], inputs).controllers
    assert isinstance(settings, PipelinesSettings)
    return settings


def error_of(**variables: str) -> str:
    with pytest.raises(InvalidSettingsError) as error:
        load(**variables)
    return str(error.value)


def test_every_variable_of_kfps_controller_is_a_setting() -> None:
    variables = {name: str(value).lower() for name, (_, value) in KFP_VARIABLES.items()}
    variables["KFP_DEFAULT_PIPELINE_ROOT"] = "minio://bucket/root"

    found = load(**variables)

    for setting, value in KFP_VARIABLES.values():
        given: Any = getattr(found, setting)
        assert (given.get_secret_value() if isinstance(given, SecretStr) else given) == value


def test_every_variable_of_kfps_controller_is_in_the_migration_guide() -> None:
    guide = markdown.read("docs/migrating-from-metacontroller.md")
    known = {name for each in PipelinesSettings.model_fields.values() for name in aliases(each)}

    assert set(KFP_VARIABLES) == known == {cells[0] for cells in guide.rows()}


def test_empty_variables_are_ignored() -> None:
    assert load(**dict.fromkeys(KFP_VARIABLES, "")) == load()


def test_seaweedfs_is_the_default_and_aws_uses_amazons_endpoints() -> None:
    default, amazon = load(), load(PIPELINES_PROVIDER="aws")

    assert default.s3_url == "http://seaweedfs.kubeflow:8333"
    assert default.iam_url == "http://seaweedfs.kubeflow:8111"
    assert default.endpoint == "seaweedfs.kubeflow.svc.cluster.local:9000"
    assert (amazon.s3_url, amazon.iam_url) == (None, None)


@pytest.mark.parametrize("domain", [".svc.example.ca", "svc.example.ca"])
def test_a_domain_gets_a_leading_dot_in_hosts_only(domain: str) -> None:
    settings = load(CLUSTER_DOMAIN=domain)

    assert settings.domain == ".svc.example.ca"
    assert settings.endpoint == "seaweedfs.kubeflow.svc.example.ca:9000"
    assert settings.cluster_domain == domain


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"ARTIFACTS_PROXY_ENABLED": "true"}, "frontend_tag or kfp_version"),
        ({"PIPELINES_PROVIDER": "static"}, "minio_access_key and minio_secret_key"),
        ({"MINIO_ACCESS_KEY": "minio"}, "minio_access_key and minio_secret_key go together"),
        ({"AWS_ACCESS_KEY_ID": "key"}, "aws_access_key_id and aws_secret_access_key go together"),
        ({"PIPELINES_DRIVER_MODE": "central"}, "driver_without_isolation"),
        (
            {"PIPELINES_DRIVER_MODE": "central", "PIPELINES_DRIVER_WITHOUT_ISOLATION": "true"},
            "driver_tokens",
        ),
    ],
)
def test_conflicting_settings_are_invalid(variables: dict[str, str], message: str) -> None:
    assert message in error_of(**variables)


@pytest.mark.parametrize(
    "variables",
    [
        {"DISABLE_ISTIO_SIDECAR": "perhaps"},
        {"ARTIFACT_RETENTION_DAYS": "-2"},
        {"ARTIFACT_RETENTION_DAYS": "a week"},
        {"CONTROLLER_PORT": "65536"},
        {"S3_ENDPOINT_URL": "seaweedfs:8333"},
        {"FRONTEND_IMAGE": "kfp-frontend:2.17.0"},
        {"FRONTEND_TAG": "two expected"},
        {"CLUSTER_DOMAIN": "no domain"},
        {"PIPELINES_PROVIDER": "minio"},
        {"PIPELINES_BUCKET": "Not_A_Bucket"},
        {"PIPELINES_OLD_OBJECTS": "delete"},
        {"PIPELINES_DRIVER_SERVICE_ACCOUNT": "ml-pipeline"},
    ],
)
def test_an_invalid_value_is_reported_with_its_variable(variables: dict[str, str]) -> None:
    ((variable, value),) = variables.items()

    message = error_of(**variables)

    assert variable in message
    assert value in message


def test_all_invalid_values_are_reported_at_once() -> None:
    message = error_of(CONTROLLER_PORT="x", ARTIFACT_RETENTION_DAYS="y", PIPELINES_PROVIDER="z")

    assert len(message.splitlines()) == 3


def test_no_secret_is_shown() -> None:
    message = error_of(AWS_SECRET_ACCESS_KEY="hidden-1", MINIO_SECRET_KEY="hidden-2")

    assert not re.search("hidden-[12]", message)
    assert "hidden" not in repr(load(**keys("hidden")))


def keys(secret: str) -> dict[str, str]:
    return {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": secret}


WRONG = {
    "PIPELINES_BUCKET": ("Artifacts", "a bucket's name"),
    "PIPELINES_KFP_NAMESPACE": ("kube_flow", "a namespace's name"),
    "CLUSTER_DOMAIN": ("..svc", "a domain such as .svc.cluster.local"),
    "OBJECT_STORE_HOST": ("minio:9000", "a host's name without port"),
    "S3_ENDPOINT_URL": ("http://user:secret@store", "a URL without path"),
    "AWS_ENDPOINT_URL": ("http://store/iam", "a URL without path"),
    "FRONTEND_IMAGE": ("frontend:2.17.0", "an image without tag"),
    "KFP_VERSION": ("2.17 0", "an image's tag"),
    "PIPELINES_DRIVER_SERVICE_ACCOUNT": ("ml-pipeline-driver", "as namespace/name"),
    "ARTIFACT_RETENTION_DAYS": ("soon", "whole number"),
    "CONTROLLER_PORT": ("99999", "65535"),
}


@pytest.mark.parametrize("variable", WRONG)
def test_an_invalid_value_is_reported_with_what_is_expected(variable: str) -> None:
    value, expected = WRONG[variable]
    message = error_of(**{variable: value})

    assert variable in message
    assert value in message
    assert expected in message
