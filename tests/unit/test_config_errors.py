"""Error messages of invalid settings."""

from pathlib import Path

import pytest

from profiles_controller.config.flags import flag_name
from profiles_controller.config.load import ALL
from profiles_controller.config.settings import PREFIX, LaunchAllSettings
from tests.support.cli.config import errors, write_config

INVALID = [
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
    ("resync", "five", "expected a number of minutes above 0"),
    ("resync", "0", "expected a number of minutes above 0"),
    ("resync", "-5", "expected a number of minutes above 0"),
    ("resync", "inf", "expected a number of minutes above 0"),
    ("log_format", "xml", "expected json or console"),
    ("log_level", "loud", "expected debug, info, warning or error"),
    ("output", "xml", "expected table, wide, json or yaml"),
    ("dry_run", "maybe", "expected true or false"),
    ("leader_elect_namespace", "No_Name", "expected the name of a namespace"),
    ("lease_duration", "soon", "expected a number of seconds of at least 1"),
    ("lease_duration", "0.5", "expected a number of seconds of at least 1"),
    ("lease_duration", "500ms", "expected a number of seconds of at least 1"),
    ("lease_duration", "10", "(default): expected less than 10, because --lease-duration is 10"),
    ("renew_deadline", "15", "expected less than 15, because --lease-duration is 15"),
    ("retry_period", "9", "expected less than 8.333, because --renew-deadline is 10"),
    ("shard", "3/3", "expected i/n with 0 <= i < n"),
    ("shard", "1", "expected i/n with 0 <= i < n"),
    ("shard", "-1/3", "expected i/n with 0 <= i < n"),
    ("leader_elect", "true", "--leader-elect-namespace (not set): required outside a pod"),
]


@pytest.mark.parametrize(("name", "value", "expected"), INVALID)
def test_the_error_of_a_variable_states_what_is_accepted(
    name: str, value: str, expected: str
) -> None:
    variable = PREFIX + name.upper()

    [error] = errors(environment={variable: value})

    assert expected in error
    if "(default)" not in expected and "not set" not in expected:
        assert f"{flag_name(name)} = {value!r} (environment variable {variable})" in error


@pytest.mark.parametrize(("name", "value", "expected"), INVALID)
def test_the_error_of_a_flag_states_what_is_accepted(name: str, value: str, expected: str) -> None:
    [error] = errors(flags={name: value})

    assert expected in error
    if "(default)" not in expected and "not set" not in expected:
        assert f" = {value!r} (flag {flag_name(name)})" in error


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("common: {workers: yes}", "--workers = True ({file}, key common.workers): expected"),
        ("common: {log-level: x}", "key common.log-level): unknown key; did you mean 'log_level'"),
        ("common: {maxWrites: 0}", "--max-writes = 0 ({file}, key common.maxWrites): expected"),
        ("common: {1: 2}", "key common.1): unknown key; expected one of kubeconfig, context"),
        ("common: {resync: 1, REQUEUE_TIME: 2}", "duplicate of key 'resync'"),
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
        ("quotas: {hard: {a: '1', a: '2'}}", "line 1, column 25: duplicate key 'a'"),
        ("!!set text", "line 1, column 1: expected a mapping node"),
        ("!!pairs [a]", "expected a mapping of length 1"),
        ("a: !object {}", "could not determine a constructor"),
        (b"\xff\xfe\x00", "is not UTF-8 or UTF-16 text"),
        (b"a: \x00", "is not UTF-8 or UTF-16 text"),
        ("[" * 5000, "cannot be read: nested too deeply"),
    ],
)  # fmt: skip
def test_the_error_of_a_file_states_the_place(
    tmp_path: Path, content: str | bytes, expected: str
) -> None:
    file = write_config(tmp_path, content)

    [error] = errors(flags={"config": file})

    assert expected.replace("{file}", file) in error


def test_a_missing_file_is_an_error() -> None:
    [error] = errors(environment={"PROFILES_CONTROLLER_CONFIG": "/no/such"})

    assert error == "--config (/no/such): cannot be read: No such file or directory"


def test_a_folder_instead_of_a_file_is_an_error(tmp_path: Path) -> None:
    [error] = errors(flags={"config": str(tmp_path)})

    assert error == f"--config ({tmp_path}): cannot be read: Is a directory"


def test_all_errors_are_reported_together(tmp_path: Path) -> None:
    file = write_config(tmp_path, "common: {qps: -1, wrkers: 3}\nlimit-ranges: {cpu: [1]}\nx: 1\n")

    found = errors(
        ALL,
        flags={"config": file, "listen": "nowhere", "only": "limits,quotes,forge"},
        environment={"REQUEUE_TIME": "five", "FORGE_PORT": "0"},
        launch=LaunchAllSettings,
    )

    assert [line.split(": ")[0] for line in found] == [
        f"--config ({file}, key 'x')",
        f"common.wrkers ({file}, key common.wrkers)",
        "--listen = 'nowhere' (flag --listen)",
        f"--qps = -1 ({file}, key common.qps)",
        "--resync = 'five' (environment variable REQUEUE_TIME)",
        "--only = 'quotes' (flag --only)",
        f"limit-ranges.cpu = [1] ({file}, key limit-ranges.cpu)",
        "forge.url (not set)",
        "forge.port = '0' (environment variable FORGE_PORT)",
    ]


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("QUOTAS_HARD", "pods=1", "quotas.hard = 'pods=1' (environment variable QUOTAS_HARD)"),
        ("QUOTAS_HARD", '{"pods": 1}', "quotas.hard.pods = 1 (environment variable QUOTAS_HARD,"),
        ("QUOTAS_NAMES", "a,b", "expected a list, written as JSON"),
        ("QUOTAS_HARD", "[" * 100_000, "written as JSON"),
    ],
)  # fmt: skip
def test_the_error_of_a_controllers_variable_names_the_variable(
    variable: str, value: str, expected: str
) -> None:
    [error] = errors(environment={variable: value})

    assert expected in error


def test_a_missing_required_setting_is_an_error_that_states_how_to_set_it() -> None:
    [error] = errors("forge")

    assert error == (
        "forge.url (not set): required; set the environment variable FORGE_URL or FORGE_ROOT_URL, "
        "or the key forge.url in the --config file"
    )


def test_the_error_of_an_unknown_controller_suggests_a_name() -> None:
    assert errors("qotas") == [
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
def test_no_error_contains_a_secret(tmp_path: Path, file: str, environment: dict[str, str]) -> None:
    given = {"config": write_config(tmp_path, file)}

    assert not [
        line for line in errors("forge", flags=given, environment=environment) if "hunter2" in line
    ]


def test_an_error_is_one_short_line() -> None:
    [error] = errors(environment={"PROFILES_CONTROLLER_SHARD": "1\n" * 1000})

    assert "\n" not in error
    assert len(error) < 250
