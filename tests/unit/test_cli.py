"""The command line: help, exit codes, processes."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import structlog
import yaml

from profiles_controller import deps
from profiles_controller.config import flags
from profiles_controller.config.settings import (
    PREFIX,
    CommonSettings,
    LaunchAllSettings,
    LaunchSettings,
)
from tests.support.cli.fake_runtime import FakeRuntime
from tests.support.cli.run import call


def words(text: str) -> str:
    return " ".join(text.split())


# Help


def test_help_lists_every_command_and_no_alias() -> None:
    output = call("--help").stdout

    for command in (
        "quotas",
        "limit-ranges",
        "all",
        "list",
        "render",
        "diff",
        "status",
        "permissions",
    ):
        assert re.search(rf"^  {command} ", output, re.MULTILINE)
    assert "  limits " not in output


@pytest.mark.parametrize("command", ["quotas", "limit-ranges", "limits", "all"])
def test_help_shows_the_variables_and_the_default_of_each_option(command: str) -> None:
    output = words(call(command, "--help").stdout)
    launch = LaunchAllSettings if command == "all" else LaunchSettings

    for name, field in (launch.model_fields | CommonSettings.model_fields).items():
        flag = flags.flag_of(field)
        assert flag is not None
        shown = re.search(
            rf"{flags.flag_name(name)}\b.*?{re.escape(words(flag.help))} "
            r"\[env: (.*?) \| default: (.+?)\]",
            output,
        )
        assert shown, name
        assert ", ".join(flags.environment_variables(name, field, PREFIX)) == shown[1]


@pytest.mark.parametrize(
    ("variable", "default"),
    [
        ("PROFILES_CONTROLLER_LISTEN", ":8080"),
        ("PROFILES_CONTROLLER_WORKERS", "16"),
        ("REQUEUE_TIME", "10"),
        ("PROFILES_CONTROLLER_QPS", "0"),
        ("PROFILES_CONTROLLER_LOG_FORMAT", "json"),
        ("PROFILES_CONTROLLER_LOG_LEVEL", "info"),
        ("PROFILES_CONTROLLER_DRY_RUN", "false"),
        ("PROFILES_CONTROLLER_SHARD", "0/1"),
        ("PROFILES_CONTROLLER_LEASE_DURATION", "15"),
        ("PROFILES_CONTROLLER_RENEW_DEADLINE", "10"),
        ("PROFILES_CONTROLLER_RETRY_PERIOD", "2"),
    ],
)
def test_help_shows_the_actual_default(variable: str, default: str) -> None:
    output = words(call("quotas", "--help").stdout)

    assert f"{variable} | default: {default}]" in output


@pytest.mark.parametrize("command", ["quotas", "all", "diff", "render"])
def test_help_documents_exit_codes(command: str) -> None:
    assert "Exit codes: 0 " in call(command, "--help").stdout


def test_version_prints_the_installed_version() -> None:
    result = call("--version")

    assert result.exit_code == 0
    assert re.fullmatch(r"profiles-controller \d+\.\d+\.\d+\S*\n", result.stdout)


def test_permissions_prints_the_cluster_role_and_exits_0() -> None:
    result = call("permissions", "all")

    assert result.exit_code == 0
    role = yaml.safe_load(result.stdout)
    assert (role["kind"], role["metadata"]["name"]) == ("ClusterRole", "profiles-controller")
    assert all(rule["verbs"] for rule in role["rules"])
    named = yaml.safe_load(call("permissions", "limits").stdout)
    assert named["metadata"]["name"] == "profiles-controller-limit-ranges"


# Run


@pytest.mark.parametrize("code", [0, 1])
def test_run_exits_with_the_code_of_the_runtime(code: int) -> None:
    assert call("quotas", runtime=FakeRuntime(code=code)).exit_code == code


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["quotas"], ["quotas"]),
        (["limits"], ["limit-ranges"]),
        (["all"], ["quotas", "limit-ranges"]),
        (["all", "--only", "limit-ranges"], ["limit-ranges"]),
    ],
)
def test_run_runs_the_named_controllers(arguments: list[str], expected: list[str]) -> None:
    runtime = FakeRuntime()

    call(*arguments, runtime=runtime)

    assert [controller.name for controller, _ in runtime.controllers] == expected


def test_flags_reach_the_runtime_and_the_logs() -> None:
    runtime = FakeRuntime()
    environment = {"PROFILES_CONTROLLER_DRY_RUN": "true", "PROFILES_CONTROLLER_WORKERS": "9"}

    call(
        "quotas", "--workers", "4", "--no-dry-run", "--kubeconfig", "k", "--context", "c",
        "--log-format", "console", "--log-level", "DEBUG",
        runtime=runtime, environment=environment,
    )  # fmt: skip

    assert runtime.options is not None
    assert (runtime.options.workers, runtime.options.dry_run) == (4, False)
    assert runtime.connection is not None
    assert (Path("k"), "c") == (runtime.connection.kubeconfig, runtime.connection.context)
    assert runtime.logs == {"log_format": "console", "level": "debug"}


def test_an_empty_flag_counts_as_unset() -> None:
    runtime = FakeRuntime()

    call("quotas", "--context", "", runtime=runtime)

    assert runtime.connection is not None
    assert runtime.connection.context is None


def test_invalid_settings_are_all_reported_and_exit_2_before_the_run() -> None:
    runtime = FakeRuntime()

    result = call(
        "all", "--workers", "x", "--listen", "y", runtime=runtime,
        environment={"REQUEUE_TIME": "z"},
    )  # fmt: skip

    assert result.exit_code == 2
    assert result.stderr.splitlines()[0] == "3 invalid settings:"
    assert len(result.stderr.splitlines()) == 4
    assert result.stdout == ""
    assert runtime.options is None


@pytest.mark.parametrize("arguments", [["qotas"], ["quotas", "--worker"], ["quotas", "extra"]])
def test_invalid_usage_exits_2(arguments: list[str]) -> None:
    result = call(*arguments)

    assert result.exit_code == 2
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("command", [["quotas"], ["quotas", "--once"], ["diff", "quotas"]])
def test_a_command_error_exits_2_with_its_message(command: list[str]) -> None:
    runtime = FakeRuntime(error=deps.CommandError("context 'x' is not in the kubeconfig"))

    result = call(*command, runtime=runtime)

    assert result.exit_code == 2
    assert result.stderr == "Error: context 'x' is not in the kubeconfig\n"


@pytest.mark.parametrize(
    ("command", "code"), [(["quotas"], 1), (["quotas", "--once"], 1), (["diff", "all"], 2)]
)
def test_an_unexpected_error_is_one_log_line(command: list[str], code: int) -> None:
    with structlog.testing.capture_logs() as lines:
        result = call(*command, runtime=FakeRuntime(error=LookupError("gone")))

    assert result.exit_code == code
    assert [(line["log_level"], line["error"]) for line in lines] == [
        ("critical", "LookupError: gone")
    ]


def test_an_interrupt_exits_130() -> None:
    assert call("diff", "all", runtime=FakeRuntime(error=KeyboardInterrupt())).exit_code == 130


# Separate processes


def run_process(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "profiles_controller", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_process_without_a_kubeconfig_exits_2_without_a_traceback() -> None:
    result = run_process("quotas", "--kubeconfig", "/no/such")

    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert "/no/such" in result.stderr


def test_a_process_with_an_invalid_file_exits_2_without_a_traceback(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_bytes(b"\xff\x00: [")

    result = run_process("all", "--config", str(file), REQUEUE_TIME="five")

    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert len(result.stderr.splitlines()) == 3


@pytest.mark.parametrize("command", [["--version"], ["--help"], ["list"], ["quotas", "--help"]])
def test_commands_without_a_cluster_do_not_import_kopf_or_an_api_client(command: list[str]) -> None:
    result = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "profiles_controller", *command],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert not re.findall(r"\| +(kopf|kubernetes|aiohttp)$", result.stderr, re.MULTILINE)
