"""How wrong settings are told."""

from pathlib import Path

import pytest

from profiles_controller.cli import options
from profiles_controller.config.load import ALL
from profiles_controller.config.selections import Selection
from profiles_controller.config.settings import PREFIX
from tests.support.cli.settings import faults, written

WRONG = [
    ("listen", "8080", "expected HOST:PORT"),
    ("listen", ":0", "expected HOST:PORT"),
    ("listen", ":65536", "expected HOST:PORT"),
    ("listen", "::1:8080", "expected HOST:PORT"),
    ("listen", "[::]", "expected HOST:PORT"),
    ("workers", "0", "expected a whole number from 1 to 1024"),
    ("workers", "many", "expected a whole number from 1 to 1024"),
    ("workers", "1.5", "expected a whole number from 1 to 1024"),
    ("max_writes", "-1", "expected a whole number from 1 to 1024"),
    ("qps", "-1", "expected a number of 0 or more"),
    ("qps", "nan", "expected a number of 0 or more"),
    ("resync", "five", "expected minutes, a number above 0"),
    ("resync", "0", "expected minutes, a number above 0"),
    ("resync", "-5", "expected minutes, a number above 0"),
    ("resync", "inf", "expected minutes, a number above 0"),
    ("log_format", "xml", "expected json or console"),
    ("log_level", "loud", "expected debug, info, warning or error"),
    ("output", "wide", "expected table, json or yaml"),
    ("dry_run", "maybe", "expected true or false"),
    ("leader_elect_namespace", "No_Name", "expected a namespace's name"),
    ("lease_duration", "soon", "expected seconds"),
    ("lease_duration", "0.5", "expected seconds"),
    ("lease_duration", "500ms", "expected seconds"),
    ("lease_duration", "10", "(default): expected less than 10, as --lease-duration is 10"),
    ("renew_deadline", "15", "expected less than 15, as --lease-duration is 15"),
    ("retry_period", "9", "expected less than 8.333, as --renew-deadline is 10"),
    ("shard", "3/3", "expected i/n with 0 <= i < n"),
    ("shard", "1", "expected i/n with 0 <= i < n"),
    ("shard", "-1/3", "expected i/n with 0 <= i < n"),
    ("leader_elect", "true", "--leader-elect-namespace (not given): required outside of a pod"),
]


@pytest.mark.parametrize(("name", "value", "told"), WRONG)
def test_a_wrong_variable_is_told_with_what_is_accepted(name: str, value: str, told: str) -> None:
    variable = PREFIX + name.upper()

    [fault] = faults(environment={variable: value})

    assert told in fault
    if "(default)" not in told and "not given" not in told:
        assert f"{options.spelling(name)} = {value!r} (environment variable {variable})" in fault


@pytest.mark.parametrize(("name", "value", "told"), WRONG)
def test_a_wrong_flag_is_told_with_what_is_accepted(name: str, value: str, told: str) -> None:
    [fault] = faults(flags={name: value})

    assert told in fault
    if "(default)" not in told and "not given" not in told:
        assert f" = {value!r} (flag {options.spelling(name)})" in fault


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("common: {workers: yes}", "--workers = True ({file}, key common.workers): expected"),
        ("common: {log-level: x}", "key common.log-level): unknown key; did you mean 'log_level'"),
        ("common: {maxWrites: 0}", "--max-writes = 0 ({file}, key common.maxWrites): expected"),
        ("common: {1: 2}", "key common.1): unknown key; known are kubeconfig, context"),
        ("common: {resync: 1, REQUEUE_TIME: 2}", "the same setting as 'resync', given twice"),
        ("common: [1]", "common ({file}, key common): expected a mapping of settings, not list"),
        ("comon: {}", "--config ({file}, key 'comon'): unknown section; did you mean 'common'?"),
        ("quota: {}", "unknown section; did you mean 'quotas'?"),
        ("quotas: {hart: {}}", "quotas.hart ({file}, key quotas.hart): unknown key; did you mean"),
        ("quotas: {hard: 7}", "quotas.hard = 7 ({file}, key quotas.hard): expected a table"),
        ("quotas: {hard: {pods: 7}}", "7 ({file}, key quotas.hard.pods): expected text"),
        ("[1, 2]", "--config ({file}): expected one mapping of sections, not list"),
        ("text", "--config ({file}): expected one mapping of sections, not str"),
        ("a: 1\n---\nb: 2", "expected one mapping of sections, not 2 documents"),
        ("a: [", "--config ({file}): cannot be read: line 1, column 5: expected the node content"),
        ("a: 1\nb: !!int ''", "cannot be read: line 2, column 4: not a valid int"),
        ("when: 2001-99-99", "cannot be read: line 1, column 7: not a valid timestamp"),
        ("quotas: {hard: {a: '1', a: '2'}}", "line 1, column 25: key 'a' is given twice"),
        ("!!set text", "line 1, column 1: expected a mapping node"),
        ("!!pairs [a]", "expected a mapping of length 1"),
        ("a: !object {}", "could not determine a constructor"),
        (b"\xff\xfe\x00", "cannot be read: not text in UTF-8 or UTF-16"),
        (b"a: \x00", "cannot be read: not text in UTF-8 or UTF-16"),
        ("[" * 5000, "cannot be read: nested too deeply"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_told_with_the_place(
    tmp_path: Path, content: str | bytes, told: str
) -> None:
    file = written(tmp_path, content)

    [fault] = faults(flags={"config": file})

    assert told.format(file=file) in fault if "{file}" in told else told in fault


def test_a_missing_file_is_told() -> None:
    [fault] = faults(environment={"PROFILES_CONTROLLER_CONFIG": "/no/such"})

    assert fault == "--config (/no/such): cannot be read: No such file or directory"


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    [fault] = faults(flags={"config": str(tmp_path)})

    assert fault == f"--config ({tmp_path}): cannot be read: Is a directory"


def test_everything_wrong_is_told_at_once(tmp_path: Path) -> None:
    file = written(tmp_path, "common: {qps: -1, wrkers: 3}\nlimit-ranges: {cpu: [1]}\nx: 1\n")

    told = faults(
        ALL,
        flags={"config": file, "listen": "nowhere", "only": "limits,quotes,forge"},
        environment={"REQUEUE_TIME": "five", "FORGE_PORT": "0"},
        location=Selection,
    )

    assert [line.split(": ")[0] for line in told] == [
        f"--config ({file}, key 'x')",
        f"common.wrkers ({file}, key common.wrkers)",
        "--listen = 'nowhere' (flag --listen)",
        f"--qps = -1 ({file}, key common.qps)",
        "--resync = 'five' (environment variable REQUEUE_TIME)",
        "--only = 'quotes' (flag --only)",
        f"limit-ranges.cpu = [1] ({file}, key limit-ranges.cpu)",
        "forge.url (not given)",
        "forge.port = '0' (environment variable FORGE_PORT)",
    ]


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("QUOTAS_HARD", "pods=1", "quotas.hard = 'pods=1' (environment variable QUOTAS_HARD)"),
        ("QUOTAS_HARD", '{"pods": 1}', "quotas.hard.pods = 1 (environment variable QUOTAS_HARD,"),
        ("QUOTAS_NAMES", "a,b", "expected a list, written as JSON"),
        ("QUOTAS_HARD", "[" * 100_000, "written as JSON"),
    ],
)  # fmt: skip
def test_a_wrong_controllers_variable_is_told(variable: str, value: str, told: str) -> None:
    [fault] = faults(environment={variable: value})

    assert told in fault


def test_what_is_required_is_told_with_the_ways_to_give_it() -> None:
    [fault] = faults("forge")

    assert fault == (
        "forge.url (not given): required: the environment variable FORGE_URL or FORGE_ROOT_URL, "
        "or key forge.url of --config's file"
    )


def test_an_unknown_controller_is_told_with_the_one_that_was_meant() -> None:
    assert faults("qotas") == [
        "controller = 'qotas' (argument): unknown controller; did you mean 'quotas'?"
    ]


@pytest.mark.parametrize(
    ("file", "environment"),
    [
        ("forge: {url: x, token: [hunter2]}", {}),
        ("forge: {url: x, login: {password: {hunter2: 1}}}", {}),
        ("forge: {url: x, login: {pasword: hunter2}}", {}),
        ("forge: {url: x, tken: hunter2}", {}),
        ("forge: hunter2", {"FORGE_URL": "x"}),
        ("hunter2", {"FORGE_URL": "x"}),
        ("", {"FORGE_URL": "x", "FORGE_LOGIN": '{"password": ["hunter2"]}'}),
        ("", {"FORGE_URL": "x", "FORGE_LOGIN": "hunter2"}),
    ],
)
def test_a_secret_is_never_told(tmp_path: Path, file: str, environment: dict[str, str]) -> None:
    given = {"config": written(tmp_path, file)}

    assert not [
        line for line in faults("forge", flags=given, environment=environment) if "hunter2" in line
    ]


def test_a_fault_is_one_short_line() -> None:
    [fault] = faults(environment={"PROFILES_CONTROLLER_SHARD": "1\n" * 1000})

    assert "\n" not in fault
    assert len(fault) < 250
