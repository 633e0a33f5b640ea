"""The command line, in a world of its own: help, exit codes, processes."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import structlog
import yaml

from profiles_controller import deps
from profiles_controller.cli import options as cli_options
from profiles_controller.config.selections import Location, Selection
from profiles_controller.config.settings import PREFIX, Common
from tests.support.cli import samples
from tests.support.cli.run import call


def words(text: str) -> str:
    return " ".join(text.split())


# -- help -----------------------------------------------------------------------------------------


def test_help_names_every_command_and_hides_aliases() -> None:
    told = call("--help").stdout

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
        assert re.search(rf"^  {command} ", told, re.MULTILINE)
    assert "  limits " not in told


@pytest.mark.parametrize("command", ["quotas", "limit-ranges", "limits", "all"])
def test_help_shows_every_option_with_its_variables_and_default(command: str) -> None:
    told = words(call(command, "--help").stdout)
    location = Selection if command == "all" else Location

    for name, field in (location.model_fields | Common.model_fields).items():
        flag = cli_options.flag_of(field)
        assert flag is not None
        shown = re.search(
            rf"{cli_options.spelling(name)}\b.*?{re.escape(words(flag.help))} "
            r"\[env: (.*?) \| default: (.+?)\]",
            told,
        )
        assert shown, name
        assert ", ".join(cli_options.variables(name, field, PREFIX)) == shown[1]


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
def test_help_shows_the_default_in_force(variable: str, default: str) -> None:
    told = words(call("quotas", "--help").stdout)

    assert f"{variable} | default: {default}]" in told


@pytest.mark.parametrize("command", ["quotas", "all", "diff", "render"])
def test_help_documents_exit_codes(command: str) -> None:
    assert "Exit codes: 0 " in call(command, "--help").stdout


def test_version_is_the_installed_one() -> None:
    result = call("--version")

    assert result.exit_code == 0
    assert re.fullmatch(r"profiles-controller \d+\.\d+\.\d+\S*\n", result.stdout)


def test_permissions_prints_the_cluster_role_and_ends_with_0() -> None:
    result = call("permissions", "all")

    assert result.exit_code == 0
    role = yaml.safe_load(result.stdout)
    assert (role["kind"], role["metadata"]["name"]) == ("ClusterRole", "profiles-controller")
    assert all(rule["verbs"] for rule in role["rules"])
    named = yaml.safe_load(call("permissions", "limits").stdout)
    assert named["metadata"]["name"] == "profiles-controller-limit-ranges"


# -- run ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [0, 1])
def test_run_exits_as_the_runtime_ended(code: int) -> None:
    assert call("quotas", runtime=samples.Runtime(code=code)).exit_code == code


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["quotas"], ["quotas"]),
        (["limits"], ["limit-ranges"]),
        (["all"], ["quotas", "limit-ranges"]),
        (["all", "--only", "limit-ranges"], ["limit-ranges"]),
    ],
)
def test_run_runs_what_was_named(arguments: list[str], expected: list[str]) -> None:
    runtime = samples.Runtime()

    call(*arguments, runtime=runtime)

    assert [controller.name for controller, _ in runtime.assemblies] == expected


def test_flags_reach_the_runtime_and_the_logs() -> None:
    runtime = samples.Runtime()
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
    assert runtime.logs == {"form": "console", "level": "debug"}


def test_a_flag_without_text_counts_as_not_given() -> None:
    runtime = samples.Runtime()

    call("quotas", "--context", "", runtime=runtime)

    assert runtime.connection is not None
    assert runtime.connection.context is None


def test_wrong_settings_are_all_told_and_exit_2_before_anything_runs() -> None:
    runtime = samples.Runtime()

    result = call(
        "all", "--workers", "x", "--listen", "y", runtime=runtime,
        environment={"REQUEUE_TIME": "z"},
    )  # fmt: skip

    assert result.exit_code == 2
    assert result.stderr.splitlines()[0] == "3 wrong settings:"
    assert len(result.stderr.splitlines()) == 4
    assert result.stdout == ""
    assert runtime.options is None


@pytest.mark.parametrize("arguments", [["qotas"], ["quotas", "--worker"], ["quotas", "extra"]])
def test_wrong_usage_exits_2(arguments: list[str]) -> None:
    result = call(*arguments)

    assert result.exit_code == 2
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("command", [["quotas"], ["quotas", "--once"], ["diff", "quotas"]])
def test_an_unusable_configuration_exits_2_with_a_sentence(command: list[str]) -> None:
    runtime = samples.Runtime(error=deps.RefusedError("context 'x' is not in the kubeconfig"))

    result = call(*command, runtime=runtime)

    assert result.exit_code == 2
    assert result.stderr == "Error: context 'x' is not in the kubeconfig\n"


@pytest.mark.parametrize(
    ("command", "code"), [(["quotas"], 1), (["quotas", "--once"], 1), (["diff", "all"], 2)]
)
def test_an_unexpected_error_is_one_log_line(command: list[str], code: int) -> None:
    with structlog.testing.capture_logs() as lines:
        result = call(*command, runtime=samples.Runtime(error=LookupError("gone")))

    assert result.exit_code == code
    assert [(line["log_level"], line["error"]) for line in lines] == [
        ("critical", "LookupError: gone")
    ]


def test_an_interrupt_exits_as_shells_expect() -> None:
    assert call("diff", "all", runtime=samples.Runtime(error=KeyboardInterrupt())).exit_code == 130


# -- a process of its own -------------------------------------------------------------------------


def process(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "profiles_controller", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_process_without_a_cluster_to_talk_to_exits_2_without_a_traceback() -> None:
    result = process("quotas", "--kubeconfig", "/no/such")

    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert "/no/such" in result.stderr


def test_a_process_with_a_broken_file_exits_2_without_a_traceback(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_bytes(b"\xff\x00: [")

    result = process("all", "--config", str(file), REQUEUE_TIME="five")

    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert len(result.stderr.splitlines()) == 3


@pytest.mark.parametrize("command", [["--version"], ["--help"], ["list"], ["quotas", "--help"]])
def test_what_needs_no_cluster_loads_neither_kopf_nor_kubernetes(command: list[str]) -> None:
    result = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "profiles_controller", *command],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert not re.findall(r"\| +(kopf|kubernetes|aiohttp)$", result.stderr, re.MULTILINE)
