"""What is accepted, which value counts, and how wrong ones are told."""

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers.runtime.options import Connection, Election, Options, Shard
from profiles_controller import documents, flags
from profiles_controller.assemblies import ALL, Loaded, Loader, prefix_of
from profiles_controller.faults import Fault, WrongSettingsError
from profiles_controller.layers import Inputs
from profiles_controller.selections import Location, Selection
from profiles_controller.settings import PREFIX, Common
from tests import samples

NOWHERE = Path("/nowhere")
DEFAULTS = Options(known=frozenset({"quotas", "limit-ranges", "forge"}))
LOADER = Loader(registry=(*samples.REGISTRY, samples.FORGE), pod_namespace=NOWHERE)

COMMON_VARIABLES = [
    variable
    for name, field in Common.model_fields.items()
    for variable in flags.variables(name, field, PREFIX)
]
CONTROLLER_VARIABLES = [
    variable
    for controller in LOADER.registry
    for name, field in controller.settings.model_fields.items()
    for variable in flags.variables(name, field, prefix_of(controller.name))
]


def load(
    *names: str,
    flags: Mapping[str, object] | None = None,
    environment: Mapping[str, str] | None = None,
    location: type[Location] = Location,
    loader: Loader = LOADER,
) -> Loaded:
    inputs = Inputs(flags=flags or {}, environment=environment or {})
    return loader.load(names or ("quotas",), inputs, location)


def faults(
    *names: str,
    flags: Mapping[str, object] | None = None,
    environment: Mapping[str, str] | None = None,
    location: type[Location] = Location,
) -> list[str]:
    with pytest.raises(WrongSettingsError) as caught:
        load(*names, flags=flags, environment=environment, location=location)
    return [str(fault) for fault in caught.value.faults]


def written(folder: Path, content: str | bytes) -> str:
    file = folder / "config.yaml"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(file)


# -- what the values become -----------------------------------------------------------------------


def test_nothing_given_is_every_default() -> None:
    loaded = load()

    assert loaded.options == DEFAULTS
    assert loaded.connection == Connection()
    assert [settings for _, settings in loaded.assemblies] == [samples.Quotas()]


def test_a_controllers_settings_are_its_own_model() -> None:
    loaded = load("forge", environment={"FORGE_ROOT_URL": "https://forge.example"})

    [(_, settings)] = loaded.assemblies
    assert type(settings) is samples.Forge
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
def test_a_flag_becomes_an_option(given: dict[str, object], expected: dict[str, object]) -> None:
    options = load(flags=given).options

    assert expected == {name: getattr(options, name) for name in expected}


def test_a_kubeconfig_and_a_context_make_the_connection() -> None:
    given = {"kubeconfig": "some/config", "context": "test"}

    assert load(flags=given).connection == Connection(
        kubeconfig=Path("some/config"), context="test"
    )


def test_election_takes_what_it_is_told() -> None:
    given = {
        "leader_elect": True,
        "leader_elect_namespace": "system",
        "leader_elect_identity": "me",
        "lease_duration": "1m30s",
        "renew_deadline": "20",
        "retry_period": "2.5s",
    }

    assert load(flags=given).options.election == Election(
        namespace="system", identity="me", lease_duration=90, renew_deadline=20, retry_period=2.5
    )


def test_election_in_a_pod_is_in_its_namespace_under_a_name_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "namespace"
    file.write_text("tenants\n")
    loader = Loader(registry=LOADER.registry, pod_namespace=file)

    first, second = (
        load(flags={"leader_elect": True}, loader=loader).options.election for _ in range(2)
    )

    assert first is not None
    assert second is not None
    assert first.namespace == "tenants"
    assert first.identity != second.identity


# -- which value counts ---------------------------------------------------------------------------


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
def test_flag_over_environment_over_file_over_default(
    tmp_path: Path, flag: str | None, variable: str | None, file: int | None, expected: int
) -> None:
    content = "" if file is None else f"common: {{workers: {file}}}"
    given: dict[str, object] = {"config": written(tmp_path, content)}
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
def test_existing_deployments_variables_count(environment: dict[str, str], expected: float) -> None:
    assert load(environment=environment).options.resync == expected


def test_the_file_is_found_by_environment_too(tmp_path: Path) -> None:
    file = written(tmp_path, "common: {listen: 0}")

    assert load(environment={"PROFILES_CONTROLLER_CONFIG": file}).options.listen is None


def test_a_mapping_is_merged_key_by_key(tmp_path: Path) -> None:
    file = written(tmp_path, "quotas: {hard: {pods: '1', services: '2'}}")

    loaded = load(flags={"config": file}, environment={"QUOTAS_HARD": '{"pods": "200"}'})

    assert loaded.assemblies[0][1].hard == {"pods": "200", "services": "2"}


def test_sections_of_other_controllers_are_left_alone(tmp_path: Path) -> None:
    file = written(tmp_path, "limit-ranges: {no: such}\nforge: 7\n")

    assert load(flags={"config": file}).assemblies[0][1] == samples.Quotas()


@pytest.mark.parametrize("content", ["", "# nothing", "quotas:", "{}", "common:\n  workers:\n"])
def test_nothing_in_the_file_is_nothing_given(tmp_path: Path, content: str) -> None:
    assert load(flags={"config": written(tmp_path, content)}).options == DEFAULTS


@pytest.mark.parametrize("key", ["max_writes", "maxWrites"])
def test_a_key_may_be_spelled_as_in_helm_values(tmp_path: Path, key: str) -> None:
    file = written(tmp_path, f"common: {{{key}: 3}}")

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
def test_only_narrows_all(only: str, expected: list[str]) -> None:
    loaded = load(
        ALL,
        environment={"PROFILES_CONTROLLER_ONLY": only, "FORGE_ROOT_URL": "x"},
        location=Selection,
    )

    assert [controller.name for controller, _ in loaded.assemblies] == expected


def test_only_says_nothing_to_a_single_controller() -> None:
    loaded = load("quotas", environment={"PROFILES_CONTROLLER_ONLY": "limit-ranges"})

    assert [controller.name for controller, _ in loaded.assemblies] == ["quotas"]


# -- wrong values ---------------------------------------------------------------------------------

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
        assert f"{flags.spelling(name)} = {value!r} (environment variable {variable})" in fault


@pytest.mark.parametrize(("name", "value", "told"), WRONG)
def test_a_wrong_flag_is_told_with_what_is_accepted(name: str, value: str, told: str) -> None:
    [fault] = faults(flags={name: value})

    assert told in fault
    if "(default)" not in told and "not given" not in told:
        assert f" = {value!r} (flag {flags.spelling(name)})" in fault


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
        ("quotas: {hard: 7}", "quotas.hard = 7 ({file}, key quotas.hard): Input should be a valid"),
        ("quotas: {hard: {pods: 7}}", "quotas.hard.pods = 7 ({file}, key quotas.hard.pods): Input"),
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
        ("QUOTAS_NAMES", "a,b", "a valid tuple, written as JSON"),
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


# -- whatever is given ----------------------------------------------------------------------------


@given(content=st.binary(max_size=200))
def test_no_content_of_a_file_is_an_exception(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    file = written(tmp_path_factory.getbasetemp(), content)

    with contextlib.suppress(WrongSettingsError):
        load(flags={"config": file})


PIECES = (
    "a: ", "- ", "{", "}", "[", "]", "&x ", "*x ", "<<: ", "? ", "|\n", "'", '"', "\n", "  ",
    "!!int ", "!!float ", "!!bool ", "!!timestamp ", "!!binary ", "!!set ", "!!omap ", "!!pairs ",
    "---\n",
    "2001-99-99", "0x", "0b", "1:99", "~", "=", "%YAML 9.9\n", "!", "\t", "\x00", "9" * 5000,
)  # fmt: skip


@given(pieces=st.lists(st.sampled_from(PIECES), max_size=12))
def test_no_piece_of_yaml_is_an_exception(pieces: list[str]) -> None:
    with contextlib.suppress(documents.DocumentError):
        documents.parse("".join(pieces).encode())


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(
    sections=st.fixed_dictionaries(
        {
            "common": st.dictionaries(st.sampled_from(list(Common.model_fields)), VALUES),
            "quotas": st.dictionaries(st.sampled_from(["hard", "names", "x"]), VALUES),
        }
    )
)
def test_no_value_in_a_file_is_an_exception(
    tmp_path_factory: pytest.TempPathFactory, sections: dict[str, dict[str, object]]
) -> None:
    file = written(tmp_path_factory.getbasetemp(), json.dumps(sections))

    with contextlib.suppress(WrongSettingsError):
        load(flags={"config": file})


@pytest.mark.parametrize("variable", [*COMMON_VARIABLES, *CONTROLLER_VARIABLES])
@given(text=st.text())
def test_any_text_in_a_variable_is_accepted_or_told_by_name(variable: str, text: str) -> None:
    environment = {"FORGE_ROOT_URL": "x", "PROFILES_CONTROLLER_LEADER_ELECT_NAMESPACE": "x"}

    told: tuple[Fault, ...] = ()
    try:
        load(ALL, environment=environment | {variable: text})
    except WrongSettingsError as error:
        told = error.faults

    assert not [
        str(fault) for fault in told if variable not in str(fault) and fault.origin != "default"
    ]
