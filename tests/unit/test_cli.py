"""The command line, in a world of its own: help, exit codes, and what is printed."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import structlog
import yaml
from typer.testing import CliRunner, Result

from controllers.findings import Finding
from controllers.runtime.changes import Action, ChangeSet
from profiles_controller import cli, flags, worlds
from profiles_controller.selections import Location, Selection
from profiles_controller.settings import PREFIX, Common
from tests import samples

PROFILE = """
apiVersion: kubeflow.org/v1
kind: Profile
metadata: {name: alice, uid: 1-2-3}
"""
MANIFEST = """\
apiVersion: v1
kind: ResourceQuota
metadata:
  name: quotas
  namespace: alice
  labels:
    app.kubernetes.io/managed-by: profiles-controller
    app.kubernetes.io/component: quotas
  ownerReferences:
  - apiVersion: kubeflow.org/v1
    kind: Profile
    name: alice
    uid: 1-2-3
    controller: true
    blockOwnerDeletion: true
spec:
  hard:
    pods: '100'
"""


def call(
    *arguments: str,
    runtime: samples.Runtime | None = None,
    environment: Mapping[str, str] | None = None,
    given: str = "",
) -> Result:
    app = cli.build(samples.world(runtime, environment=environment))
    return CliRunner().invoke(app, list(arguments), input=given, env={"COLUMNS": "80"})


def profiles_file(folder: Path, content: str = PROFILE) -> str:
    file = folder / "profile.yaml"
    file.write_text(content)
    return str(file)


def words(text: str) -> str:
    return " ".join(text.split())


# -- help -----------------------------------------------------------------------------------------


def test_help_names_every_command_and_hides_aliases() -> None:
    told = call("--help").stdout

    for command in ("quotas", "limit-ranges", "all", "list", "render", "diff"):
        assert re.search(rf"^  {command} ", told, re.MULTILINE)
    assert "  limits " not in told


@pytest.mark.parametrize("command", ["quotas", "limit-ranges", "limits", "all"])
def test_help_shows_every_option_with_its_variables_and_default(command: str) -> None:
    told = words(call(command, "--help").stdout)
    location = Selection if command == "all" else Location

    for name, field in (location.model_fields | Common.model_fields).items():
        flag = flags.flag_of(field)
        assert flag is not None
        shown = re.search(
            rf"{flags.spelling(name)}\b.*?{re.escape(words(flag.help))} \[env: (.*?) \| default: "
            rf"(.+?)\]",
            told,
        )
        assert shown, name
        assert ", ".join(flags.variables(name, field, PREFIX)) == shown[1]


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
    runtime = samples.Runtime(error=worlds.RefusedError("context 'x' is not in the kubeconfig"))

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


# -- once and diff --------------------------------------------------------------------------------

CHANGED = samples.Row(result="changed", changes=ChangeSet((samples.change(),)))
REFUSED = samples.Row(
    profile="kube-system", result="refused", message="the namespace is not its own"
)
FAILED = samples.Row(profile="bob", result="failed", message="403 [red]Forbidden[/red]")
READY = samples.Row(profile="carol", changes=ChangeSet((samples.change(Action.UNCHANGED),)))


@pytest.mark.parametrize(("rows", "code"), [((), 0), ((READY, CHANGED), 0), ((READY, FAILED), 3)])
def test_once_exits_3_when_a_profile_failed(rows: tuple[samples.Row, ...], code: int) -> None:
    runtime = samples.Runtime(summary=samples.Summary(rows=rows))

    assert call("quotas", "--once", runtime=runtime).exit_code == code


def test_once_prints_a_line_for_each_profile() -> None:
    runtime = samples.Runtime(summary=samples.Summary(rows=(CHANGED, FAILED, READY)))

    assert call("quotas", "--once", runtime=runtime).stdout.splitlines() == [
        "alice  quotas  changed  create=1",
        "bob  quotas  failed  403 [red]Forbidden[/red]",
        "carol  quotas  ready",
        "1 changed, 1 failed, 1 ready",
    ]


@pytest.mark.parametrize(
    ("rows", "code"), [((), 0), ((READY,), 0), ((CHANGED,), 1), ((CHANGED, FAILED), 2)]
)
def test_diff_exits_1_for_changes_and_2_for_an_error(
    rows: tuple[samples.Row, ...], code: int
) -> None:
    runtime = samples.Runtime(summary=samples.Summary(rows=rows))

    assert call("diff", "quotas", runtime=runtime).exit_code == code


def test_diff_prints_a_line_for_each_object() -> None:
    update = samples.change(Action.UPDATE, "spec.hard.pods")
    row = samples.Row(changes=ChangeSet((update, samples.change(Action.DELETE))))
    runtime = samples.Runtime(summary=samples.Summary(rows=(row, REFUSED, READY)))

    assert call("diff", "all", runtime=runtime).stdout.splitlines() == [
        "~ alice  quotas  ResourceQuota alice/quotas update (spec.hard.pods)",
        "- alice  quotas  ResourceQuota alice/quotas delete",
        "! kube-system  quotas  refused: the namespace is not its own",
        "1 to update, 1 to delete",
    ]


def test_diff_says_so_when_nothing_would_change() -> None:
    assert call("diff", "quotas").stdout == "nothing would change\n"


def test_diff_is_of_the_profiles_named() -> None:
    runtime = samples.Runtime()

    call("diff", "quotas", "alice", "bob", runtime=runtime)

    assert list(runtime.profiles or ()) == ["alice", "bob"]


@pytest.mark.parametrize("command", [["diff", "quotas"], ["quotas", "--once"]])
@pytest.mark.parametrize("form", ["json", "yaml"])
def test_programs_get_the_summary_as_data(command: list[str], form: str) -> None:
    runtime = samples.Runtime(summary=samples.Summary(rows=(CHANGED,)))

    told = call(*command, "-o", form, runtime=runtime).stdout

    assert (json.loads(told) if form == "json" else yaml.safe_load(told)) == {
        "failed": False,
        "changed": True,
        "rows": [
            {
                "profile": "alice",
                "controller": "quotas",
                "result": "changed",
                "message": "",
                "seconds": 0.25,
                "changes": [
                    {
                        "action": "create",
                        "kind": "ResourceQuota",
                        "namespace": "alice",
                        "name": "quotas",
                        "detail": "",
                    }
                ],
            }
        ],
    }


# -- list and render ------------------------------------------------------------------------------


def test_list_shows_the_controllers_and_a_line_each() -> None:
    assert call("list").stdout.splitlines() == [
        "quotas        Keeps quotas in shape.",
        "limit-ranges  Keeps limit-ranges in shape.",
    ]


def test_list_is_data_for_programs() -> None:
    told = json.loads(call("list", "-o", "json").stdout)

    assert told[0] == {"name": "quotas", "summary": "Keeps quotas in shape."}


def test_list_works_with_wrong_settings() -> None:
    assert call("list", environment={"REQUEUE_TIME": "five"}).exit_code == 0


def test_render_prints_the_manifests(tmp_path: Path) -> None:
    result = call("render", "quotas", "-f", profiles_file(tmp_path))

    assert result.stdout == MANIFEST
    assert result.exit_code == 0


def test_render_reads_standard_input() -> None:
    assert call("render", "quotas", "-f", "-", given=PROFILE).stdout == MANIFEST


def test_render_uses_the_settings() -> None:
    told = call(
        "render", "quotas", "-f", "-", given=PROFILE, environment={"QUOTAS_HARD": '{"pods": "7"}'}
    ).stdout

    assert told == MANIFEST.replace("'100'", "'7'")


def test_render_takes_several_documents_and_lists() -> None:
    bob, carol = PROFILE.replace("alice", "bob"), PROFILE.replace("alice", "carol")
    items = "".join(f"- {json.dumps(yaml.safe_load(each))}\n" for each in (bob, carol))
    given = f"{PROFILE}---\n---\nkind: ProfileList\nitems:\n{items}"

    told = call("render", "all", "-f", "-", given=given).stdout

    namespaces = [body["metadata"]["namespace"] for body in yaml.safe_load_all(told)]
    assert namespaces == ["alice", "alice", "bob", "bob", "carol", "carol"]


def test_render_of_an_empty_list_is_empty() -> None:
    result = call("render", "all", "-f", "-", given="kind: List\nitems: []\n")

    assert (result.exit_code, result.stdout) == (0, "")


def test_render_tells_findings_beside_the_manifests() -> None:
    given = PROFILE.replace("uid: 1-2-3", "uid: 1-2-3, labels: {bad: '7'}")

    result = call("render", "quotas", "-f", "-", given=given)

    finding = Finding(reason="BadLabel", message="label bad is 7")
    assert result.stdout == MANIFEST
    assert result.stderr == f"alice  quotas  {finding.reason}: {finding.message}\n"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("kind: Pod\nmetadata: {name: x}", "kind is 'Pod', expected 'Profile'"),
        ("kind: Profile", "metadata.name is missing"),
        ("text", "a document is str, expected a Profile"),
        ("kind: List\nitems: [7]", "a document is int, expected a Profile"),
        ("kind: List\nitems: 7", "items is int, expected a list"),
        ("a: [", "cannot be read: line 1, column 5"),
    ],
)
def test_render_refuses_what_is_no_profile(tmp_path: Path, content: str, told: str) -> None:
    result = call("render", "quotas", "-f", profiles_file(tmp_path, content))

    assert result.exit_code == 2
    assert told in result.stderr
    assert result.stdout == ""


def test_render_of_a_missing_file_exits_2() -> None:
    result = call("render", "quotas", "-f", "/no/such")

    assert result.exit_code == 2
    assert result.stderr == "Error: /no/such cannot be read: No such file or directory\n"


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
