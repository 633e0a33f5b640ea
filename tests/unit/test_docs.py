"""The documents agree with the code: links, names, tables and examples."""

import ast
import dataclasses
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from controllers import registry
from controllers.manifests import Key
from controllers.network import names as network_names
from controllers.network import templates
from controllers.network.rules import Group
from controllers.profiles import parse_profile
from controllers.quotas import names as quota_names
from controllers.quotas.config import DEFAULT_HARD, DEFAULT_LABELS
from controllers.runtime.apply.changeset import Action, Change, ChangeSet
from controllers.runtime.commands import status_report
from controllers.runtime.controller import AnyController
from controllers.runtime.external.breaker import BreakerState
from controllers.runtime.external.system import ComponentStatus
from controllers.runtime.reconcile.metrics import Metrics
from controllers.runtime.reconcile.result import Result
from controllers.runtime.workqueue import WorkQueue
from profiles_controller.cli import app
from profiles_controller.cli import options as cli_options
from profiles_controller.config import flags
from profiles_controller.config.load import ALL, LoadedConfig, Loader, env_prefix
from profiles_controller.config.settings import PREFIX, CommonSettings, LaunchAllSettings
from profiles_controller.config.sources import Inputs
from tests.support.builders import registered
from tests.support.cli.run import call
from tests.support.docs import markdown
from tests.support.docs.markdown import Document
from tests.support.parts.catalog import PARTS

EVERYTHING = markdown.everything()
ARCHITECTURE = markdown.read("docs/architecture.md")
CONTROLLERS = markdown.read("docs/controllers.md")
OPERATIONS = markdown.read("docs/operations.md")
RUNBOOK = markdown.read("docs/runbook.md")
GUIDE = markdown.read("docs/adding-a-controller.md")
# Documents whose options and variables are all of this program.
OF_THE_PROGRAM = (ARCHITECTURE, CONTROLLERS, OPERATIONS, markdown.read("CHANGELOG.md"))

FIELDS = LaunchAllSettings.model_fields | CommonSettings.model_fields
METRIC = re.compile(
    r"\b(?:controller_runtime|workqueue|rest_client|leader_election|profiles_controller)_[a-z_]+"
)
each_controller = pytest.mark.parametrize(
    "controller", registry.controllers(), ids=lambda controller: controller.name
)


# Links and names


@pytest.mark.parametrize("document", EVERYTHING, ids=lambda document: document.name)
def test_every_link_has_a_target(document: Document) -> None:
    for link in document.links:
        where, _, anchor = link.partition("#")
        target = (document.path.parent / where).resolve() if where else document.path
        assert target.exists(), f"{link} in {document.name}"
        if anchor:
            name = str(target.relative_to(markdown.ROOT))
            assert anchor in markdown.read(name).anchors, f"{link} in {document.name}"


@each_controller
def test_every_list_of_controllers_is_complete(controller: AnyController) -> None:
    readme, changelog = markdown.read("README.md"), markdown.read("CHANGELOG.md")

    assert CONTROLLERS.section(controller.name).text
    (row,) = re.findall(rf"^\| \[?{controller.name}\b.*$", readme.text, re.MULTILINE)
    assert f"(docs/controllers.md#{controller.name})" in row
    assert f"**{controller.name}**" in changelog.text
    names = [f"{controller.name}-{each}" for each in controller.variants.names] or [controller.name]
    for name in names:
        condition = dataclasses.replace(controller, name=name).condition
        assert f"`{condition}`" in ARCHITECTURE.section("Conditions").text


def test_the_documents_list_every_controller_that_adopts_objects() -> None:
    documented = OPERATIONS.section("Taking over from an older suite").prose

    legacies = {
        each.name
        for each in registry.controllers()
        if any(one.adopt_legacy for one in each.default_owned())
    }
    assert legacies
    assert legacies <= set(re.findall(r"^\| (\S+) \|", documented, re.MULTILINE))


def test_the_architecture_lists_every_module_of_base_and_process() -> None:
    folders = ("controllers", "controllers/runtime", "cmd/profiles_controller")
    modules = {
        str(path.relative_to(markdown.ROOT))
        for folder in folders
        for path in (markdown.ROOT / folder).rglob("*.py")
        if folder != "controllers" or path.parent == markdown.ROOT / folder
    }
    named = re.findall(r"^\| \[`\w+`\]\(\.\./([\w/]+\.py)\)", ARCHITECTURE.text, re.MULTILINE)

    assert {each for each in modules if not Path(each).stem.startswith("__")} == set(named)


def test_the_architecture_follows_a_reconcile_through_at_most_eight_files() -> None:
    walk = ARCHITECTURE.section("One reconcile in eight files").text
    steps = re.findall(
        r"^\d+\. \[`[\w/.]+`\]\(\.\./([\w/]+\.py)\): (.*?)(?=^\d|\Z)",
        walk,
        re.MULTILINE | re.DOTALL,
    )

    assert len(steps) == 8
    for path, text in steps:
        source = (markdown.ROOT / path).read_text(encoding="utf-8")
        for name in re.findall(r"`(?:[A-Z]\w+\.)?([a-z_]+)`", text):
            assert name in source or name in ("limitranges", "create"), f"{name} is not in {path}"


def test_the_runbook_explains_every_reason() -> None:
    documented = RUNBOOK.section("Reasons and events").text

    paths = (markdown.ROOT / "controllers").rglob("*.py")
    unexplained = {
        reason
        for path in paths
        for reason in reasons(ast.parse(path.read_text(encoding="utf-8")))
        if f"`{reason}`" not in documented
    }
    assert unexplained == set()


def test_the_runbook_has_the_reasons_of_every_controller() -> None:
    documented = cell_reasons(RUNBOOK.section("Reasons and events"))

    titles = re.findall(r"^### (Troubleshooting .*)$", CONTROLLERS.text, re.MULTILINE)
    own = {title: cell_reasons(CONTROLLERS.section(title)) for title in titles}
    assert len(own) == len(CONTROLLERS.text.split("\n## ")) - 2  # all but the title's and "for all"
    assert all(own.values())
    assert set().union(*own.values()) <= documented


def test_the_runbook_explains_only_reasons_of_the_code() -> None:
    code = "".join(
        path.read_text(encoding="utf-8") for path in (markdown.ROOT / "controllers").rglob("*.py")
    )

    documented = cell_reasons(RUNBOOK.section("Reasons and events"))
    assert {reason for reason in documented if f'"{reason}"' not in code} == set()


def test_the_runbook_lists_every_condition() -> None:
    documented = {cells[0] for cells in RUNBOOK.section("Conditions").rows()}

    running = [
        dataclasses.replace(each, name=name)
        for each in registry.controllers()
        for name in status_report.component_names(each)
    ]
    assert {each.condition for each in running} <= documented


def cell_reasons(section: Document) -> set[str]:
    """Return the reasons in the first cells of its tables."""
    firsts = re.findall(r"^\| (`[A-Z].*?) \|", section.prose, re.MULTILINE)
    return {word for cell in firsts for word in re.findall(r"`([A-Z][A-Za-z]+)`", cell)}


def reasons(tree: ast.Module) -> Iterator[str]:
    """Yield the reasons of conditions and events in a module."""
    constants = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func).rpartition(".")[2]
        stated = [word.value for word in node.keywords if word.arg == "reason"]
        stated += node.args[:1] if called in {"Waiting", "Terminal"} else []
        for value in stated if called != "ApiError" else ():
            constant = constants.get(value.id) if isinstance(value, ast.Name) else value
            if isinstance(constant, ast.Constant):
                yield str(constant.value)


# Settings


def test_the_table_of_settings_equals_the_settings_of_the_program() -> None:
    documented = {
        cells[0].partition(",")[0]: f"[env: {cells[1]} | default: {cells[2]}]"
        for cells in OPERATIONS.section("Settings").rows()
    }

    expected = {}
    for name, field in FIELDS.items():
        flag = flags.flag_of(field)
        assert flag
        expected[flags.flag_name(name)] = cli_options.sources_and_default(name, field, flag, PREFIX)
    assert expected == documented


@pytest.mark.parametrize("document", OF_THE_PROGRAM, ids=lambda document: document.name)
def test_options_and_variables_in_the_documents_exist(document: Document) -> None:
    options = {flags.flag_name(name) for name in (*FIELDS, app.WEBHOOK)} | {
        *re.findall(r"--[a-z][-a-z]+", call("status", "--help").stdout)
    }
    variables = {
        variable
        for name, field in FIELDS.items()
        for variable in flags.environment_variables(name, field, PREFIX)
    }
    for each in registry.controllers():
        options |= set(map(flags.flag_name, each.command.flags))
        variables |= {env_prefix(each.name) + name.upper() for name in each.settings.model_fields}
    prefixes = "|".join([PREFIX, *(env_prefix(each.name) for each in registry.controllers())])

    assert set(re.findall(r"(?<![-\w])--[a-z][-a-z]+", document.text)) <= options
    assert set(re.findall(rf"\b(?:{prefixes})[A-Z_]+\b", document.text)) <= variables


@each_controller
def test_the_section_of_a_controller_lists_every_setting(controller: AnyController) -> None:
    rows = {tuple(cells[:2]) for cells in CONTROLLERS.section(controller.name).rows()}

    prefix = env_prefix(controller.name)
    assert {(name, prefix + name.upper()) for name in controller.settings.model_fields} <= rows


def test_the_table_of_quotas_equals_the_defaults() -> None:
    rows = {tuple(cells) for cells in CONTROLLERS.section("quotas").rows()}

    labels = {key: DEFAULT_LABELS.get(key, key) for key in DEFAULT_HARD}
    assert {
        (key, amount, f"{quota_names.LABEL_PREFIX}/{labels[key]}")
        for key, amount in DEFAULT_HARD.items()
    } <= rows


def test_the_tables_of_network_equal_its_policies() -> None:
    rows = list(CONTROLLERS.section("network").rows())

    policies = {name for group in Group for name in templates.read(group.value)}
    assert policies <= {cells[0] for cells in rows}
    documented = {cells[0]: cells[2] for cells in rows if len(cells) == 3}
    for name, ports in templates.read("ports").items():
        assert documented[name] == (ports if isinstance(ports, str) else ", ".join(map(str, ports)))
    assert {cells[0] for cells in rows} >= templates.read("peers").keys()
    assert all(f"`{name}`" in CONTROLLERS.section("network").text for name in network_names.RETIRED)


# Examples


def load(
    tmp_path: Path, text: str = "", environment: Mapping[str, str] | None = None
) -> LoadedConfig:
    """Load a settings file and variables as the program does in a pod, with all controllers.

    A controller with required settings gets samples of them if neither has any of its settings.
    Secrets are always set, because they must not be in a file.
    """
    given, sections = dict(environment or {}), yaml.safe_load(text) or {}
    for name, own in registered.REQUIRED.items():
        if not any(variable.startswith(env_prefix(name)) for variable in given):
            sections.setdefault(name, dict(own))
    for name, own in registered.SECRETS.items():
        given |= {env_prefix(name) + setting.upper(): secret for setting, secret in own.items()}
    file, namespace = tmp_path / "config.yaml", tmp_path / "namespace"
    file.write_text(yaml.safe_dump(sections))
    namespace.write_text("platform")
    inputs = Inputs(flags={"config": str(file)}, environment=given)
    loader = Loader(registry=registry.controllers(), pod_namespace=namespace)
    names = [ALL, *(one.name for one in registry.controllers() if one.command.standalone)]
    return loader.load(names, inputs, LaunchAllSettings)


def variables_of(text: str) -> dict[str, str]:
    return dict(re.findall(r"^([A-Z0-9_]+)='(.*)'$", text, re.MULTILINE))


def example_in_yaml(controller: AnyController) -> str:
    section = CONTROLLERS.section(controller.name)
    (text,) = (text for text in section.examples("yaml") if "kind:" not in text)
    return text


def example_in_variables(controller: AnyController) -> dict[str, str]:
    section = CONTROLLERS.section(controller.name)
    (variables,) = filter(None, map(variables_of, section.examples("sh")))
    return variables


def variables_by_setting(controller: AnyController) -> dict[str, tuple[str, ...]]:
    prefix, fields = env_prefix(controller.name), controller.settings.model_fields
    return {
        name: flags.environment_variables(name, field, prefix) for name, field in fields.items()
    }


def secrets_of(controller: AnyController) -> set[str]:
    """Return the settings that must not be in a file, and so in no example of one."""
    fields = controller.settings.model_fields
    return {name for name, field in fields.items() if "SecretStr" in str(field.annotation)}


@pytest.mark.parametrize(
    ("document", "text"),
    [
        (document, text)
        for document in EVERYTHING
        for text in document.examples("yaml")
        if "kind: Application" not in text  # tests/real validates it by Argo CD's schema
    ],
)
def test_every_example_in_yaml_is_valid(document: Document, text: str, tmp_path: Path) -> None:
    assert document.name
    body = yaml.safe_load(text)
    if body.get("kind") != "Profile":
        assert load(tmp_path, text).controllers
        return
    profile = parse_profile(body)
    for each, settings in load(tmp_path).controllers:
        state = each.desired(profile, each.facts, settings)
        assert state.objects
        assert list(state.findings) == []


@each_controller
def test_the_example_in_yaml_has_every_setting_except_secrets(
    controller: AnyController,
) -> None:
    named = yaml.safe_load(example_in_yaml(controller))[controller.name]

    assert set(controller.settings.model_fields) - secrets_of(controller) == set(named)


@each_controller
def test_the_example_in_variables_has_every_setting(controller: AnyController) -> None:
    given = example_in_variables(controller).keys()

    known = variables_by_setting(controller)
    named = {name for name, variables in known.items() if given & set(variables)}
    assert set(controller.settings.model_fields) == named
    assert len(given) == len(named)


@each_controller
def test_the_examples_in_variables_and_in_yaml_are_equal(
    controller: AnyController, tmp_path: Path
) -> None:
    variables = example_in_variables(controller)
    known = variables_by_setting(controller)
    secret = {each for name in secrets_of(controller) for each in known[name]} & variables.keys()

    file = load(tmp_path, example_in_yaml(controller), {each: variables[each] for each in secret})
    expected = dict_of(file)[controller.name]
    assert expected == dict_of(load(tmp_path, environment=variables))[controller.name]
    assert expected != dict_of(load(tmp_path))[controller.name]


def dict_of(loaded: LoadedConfig) -> dict[str, Any]:
    return {each.variants.of or each.name: own.model_dump() for each, own in loaded.controllers}


# Metrics


class Informer:
    synced = True

    def count(self, component: str) -> int:
        return len(component)


class Outside:
    def components(self) -> list[ComponentStatus]:
        return [
            ComponentStatus(
                name="gateway",
                last_success=1.0,
                breaker=BreakerState.CLOSED,
                errors={"Down": 1},
            )
        ]


def exported() -> dict[str, tuple[str, frozenset[str]]]:
    """Return type and labels of every metric, after each was observed once."""
    metrics = Metrics()
    metrics.register_queue("quotas", WorkQueue(clock=lambda: 0.0))
    metrics.register_informers({"ResourceQuota": Informer()})
    metrics.register_controller("quotas", ["ResourceQuota"], workers=1)
    metrics.observe_request("200", "GET", "here")
    metrics.observe_reconcile("quotas", Result.ERROR, 1.0)
    change = Change(Action.CREATE, Key("ResourceQuota", "jane", "quotas"))
    metrics.observe_changes("quotas", ChangeSet((change,)))
    metrics.observe_profile("quotas", "jane", "True", 1.0)
    metrics.observe_leadership("profiles-controller-quotas", leading=True)
    metrics.register_external("quotas", Outside())
    for observe in metrics.queue_observers("quotas"):
        observe(1.0)
    found = {}
    for family in metrics.registry.collect():
        labels = {label for sample in family.samples for label in sample.labels}
        name = f"{family.name}_total" if family.type == "counter" else family.name
        found[name] = (family.type, frozenset(labels - {"le"}))
    return found


def test_the_table_of_metrics_equals_the_exported_metrics() -> None:
    documented = {
        name: (kind, frozenset(re.findall(r"[a-z_]+", re.sub(r"\(.*?\)|none", "", labels))))
        for name, kind, labels in ARCHITECTURE.section("Metrics").rows()
    }

    assert exported() == documented


def test_no_alert_depends_on_the_last_success_alone() -> None:
    rows = OPERATIONS.section("Probes and metrics").rows()
    alerts = [when for when, *_ in rows if "last_success" in when]

    assert alerts
    assert all("profile_condition" in when for when in alerts)


def test_every_metric_in_the_documents_is_exported() -> None:
    documents = [each for each in EVERYTHING if each.name != "docs/renames.md"]  # old names, too
    named = {name for document in documents for name in METRIC.findall(document.text)}

    assert named - exported().keys() == set()


# The guide


def test_the_code_in_the_guide_equals_the_example() -> None:
    quoted = [text.split("\n", 1) for text in GUIDE.examples("python")]

    for first, rest in quoted:
        path = first.removeprefix("# ")
        assert rest in (markdown.ROOT / path).read_text(encoding="utf-8"), path


def test_the_folder_in_the_guide_equals_the_example() -> None:
    (tree,) = (text for text in GUIDE.examples("") if "├" in text)
    folder, *lines = tree.splitlines()

    expected = {path.name for path in (markdown.ROOT / folder).glob("*.py")}
    assert expected == {line.split()[1] for line in lines}


def test_the_files_in_the_guide_exist() -> None:
    named = set(re.findall(r"`((?:controllers|docs|tests)/[\w/.-]+)`", GUIDE.prose))

    assert named
    assert {name for name in named if not (markdown.ROOT / name).exists()} == set()


def test_the_example_calls_the_functions_in_the_guide() -> None:
    path = markdown.ROOT / "tests/support/example/pull_secrets/desired.py"

    named = re.findall(r"`profiles\.(\w+)`", GUIDE.prose)
    assert named
    assert [name for name in named if f"{name}(" not in path.read_text(encoding="utf-8")] == []


# Testing

TESTING = markdown.read("docs/testing.md")


def test_the_testing_page_has_one_row_for_each_real_server_test() -> None:
    rows = [row[0] for row in TESTING.section("Real-server tests").rows()]

    assert rows == sorted(path.name for path in (markdown.ROOT / "tests/real").glob("test_*.py"))


def test_the_testing_page_has_one_row_for_each_part() -> None:
    assert [row[0] for row in TESTING.section("Parts").rows()] == list(PARTS)
