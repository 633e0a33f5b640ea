"""The options that settings result in, and the precedence of their sources."""

from pathlib import Path

import pytest

from controllers.runtime.options import Connection, LeaderElectionConfig, Shard
from profiles_controller.config.load import ALL, Loader
from profiles_controller.config.settings import LaunchAllSettings
from tests.support.cli import sample_controllers
from tests.support.cli.config import DEFAULTS, LOADER, load, write_config

# Options


def test_without_inputs_every_setting_has_its_default() -> None:
    loaded = load()

    assert loaded.options == DEFAULTS
    assert loaded.connection == Connection()
    assert [settings for _, settings in loaded.controllers] == [sample_controllers.QuotaSettings()]


def test_the_settings_of_a_controller_are_its_own_model() -> None:
    loaded = load("forge", environment={"FORGE_ROOT_URL": "https://forge.example"})

    [(_, settings)] = loaded.controllers
    assert type(settings) is sample_controllers.ForgeSettings
    assert settings.url == "https://forge.example"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"listen": "127.0.0.1:8080"}, {"listen": ("127.0.0.1", 8080)}),
        ({"listen": "[::]:8080"}, {"listen": ("::", 8080)}),
        ({"listen": ":9090"}, {"listen": ("", 9090)}),
        ({"listen": "localhost:1"}, {"listen": ("localhost", 1)}),
        ({"listen": "0"}, {"listen": None}),
        ({"workers": "3"}, {"workers": 3}),
        ({"max_writes": "32"}, {"max_writes": 32}),
        ({"qps": "0"}, {"qps": None}),
        ({"qps": "12.5"}, {"qps": 12.5}),
        ({"resync": "0.5"}, {"resync": 30.0}),
        ({"dry_run": True}, {"dry_run": True}),
        ({"shard": "1/3"}, {"shard": Shard(index=1, count=3)}),
        ({"allow_adopted_namespaces": True}, {"adopted_namespaces": True}),
    ],
)
def test_a_flag_sets_an_option(given: dict[str, object], expected: dict[str, object]) -> None:
    options = load(flags=given).options

    assert expected == {name: getattr(options, name) for name in expected}


def test_kubeconfig_and_context_set_the_connection() -> None:
    given = {"kubeconfig": "some/config", "context": "test"}

    assert load(flags=given).connection == Connection(
        kubeconfig=Path("some/config"), context="test"
    )


def test_flags_set_leader_election() -> None:
    given = {
        "leader_elect": True,
        "leader_elect_namespace": "system",
        "leader_elect_identity": "me",
        "lease_duration": "1m30s",
        "renew_deadline": "20",
        "retry_period": "2.5s",
    }

    assert load(flags=given).options.leader_election == LeaderElectionConfig(
        namespace="system", identity="me", lease_duration=90, renew_deadline=20, retry_period=2.5
    )


def test_leader_election_in_a_pod_uses_its_namespace_and_a_unique_identity(tmp_path: Path) -> None:
    file = tmp_path / "namespace"
    file.write_text("tenants\n")
    loader = Loader(registry=LOADER.registry, pod_namespace=file)

    first, second = (
        load(flags={"leader_elect": True}, loader=loader).options.leader_election for _ in range(2)
    )

    assert first is not None
    assert second is not None
    assert first.namespace == "tenants"
    assert first.identity != second.identity


# Precedence


@pytest.mark.parametrize(
    ("flag", "variable", "file", "expected"),
    [
        (None, None, None, 16),
        (None, None, 2, 2),
        (None, "3", None, 3),
        (None, "3", 2, 3),
        (None, "", 2, 2),
        ("4", None, 2, 4),
        ("4", "3", 2, 4),
    ],
)
def test_precedence_is_flag_environment_file_default(
    tmp_path: Path, flag: str | None, variable: str | None, file: int | None, expected: int
) -> None:
    content = "" if file is None else f"common: {{workers: {file}}}"
    given: dict[str, object] = {"config": write_config(tmp_path, content)}
    if flag is not None:
        given["workers"] = flag
    environment = {} if variable is None else {"PROFILES_CONTROLLER_WORKERS": variable}

    assert load(flags=given, environment=environment).options.workers == expected


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"REQUEUE_TIME": "5"}, 300.0),
        ({"REQUEUE_TIME": ""}, 600.0),
        ({"REQUEUE_TIME": "5", "PROFILES_CONTROLLER_RESYNC": "7"}, 420.0),
    ],
)
def test_variables_of_existing_deployments_are_accepted(
    environment: dict[str, str], expected: float
) -> None:
    assert load(environment=environment).options.resync == expected


def test_a_variable_sets_the_path_of_the_file(tmp_path: Path) -> None:
    file = write_config(tmp_path, "common: {listen: 0}")

    assert load(environment={"PROFILES_CONTROLLER_CONFIG": file}).options.listen is None


def test_a_mapping_is_merged_key_by_key(tmp_path: Path) -> None:
    file = write_config(tmp_path, "quotas: {hard: {pods: '1', services: '2'}}")

    loaded = load(flags={"config": file}, environment={"QUOTAS_HARD": '{"pods": "200"}'})

    assert loaded.controllers[0][1].hard == {"pods": "200", "services": "2"}


def test_sections_of_other_controllers_are_ignored(tmp_path: Path) -> None:
    file = write_config(tmp_path, "limit-ranges: {no: such}\nforge: 7\n")

    assert load(flags={"config": file}).controllers[0][1] == sample_controllers.QuotaSettings()


@pytest.mark.parametrize("content", ["", "# nothing", "quotas:", "{}", "common:\n  workers:\n"])
def test_an_empty_file_or_section_sets_nothing(tmp_path: Path, content: str) -> None:
    assert load(flags={"config": write_config(tmp_path, content)}).options == DEFAULTS


@pytest.mark.parametrize("key", ["max_writes", "maxWrites"])
def test_a_key_may_be_in_camel_case(tmp_path: Path, key: str) -> None:
    file = write_config(tmp_path, f"common: {{{key}: 3}}")

    assert load(flags={"config": file}).options.max_writes == 3
    assert load(flags={"config": file, "max_writes": "4"}).options.max_writes == 4


@pytest.mark.parametrize(
    ("only", "expected"),
    [
        ("quotas", ["quotas"]),
        ("limits,quotas", ["quotas", "limit-ranges"]),
        (" quotas , quotas", ["quotas"]),
        ("", ["quotas", "limit-ranges", "forge"]),
    ],
)
def test_only_selects_controllers_of_all(only: str, expected: list[str]) -> None:
    loaded = load(
        ALL,
        environment={"PROFILES_CONTROLLER_ONLY": only, "FORGE_ROOT_URL": "x"},
        launch=LaunchAllSettings,
    )

    assert [controller.name for controller, _ in loaded.controllers] == expected


def test_only_does_not_affect_a_single_controller() -> None:
    loaded = load("quotas", environment={"PROFILES_CONTROLLER_ONLY": "limit-ranges"})

    assert [controller.name for controller, _ in loaded.controllers] == ["quotas"]
