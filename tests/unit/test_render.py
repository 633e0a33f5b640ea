"""Output of list and render."""

import json
from pathlib import Path

import pytest
import yaml

from controllers.findings import Finding
from tests.support.cli.run import call, cells

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


def profiles_file(folder: Path, content: str = PROFILE) -> str:
    file = folder / "profile.yaml"
    file.write_text(content)
    return str(file)


def test_list_prints_a_row_for_each_controller() -> None:
    assert cells(call("list").stdout) == [
        ["CONTROLLER", "SUMMARY"],
        ["quotas", "Manages quotas."],
        ["limit-ranges", "Manages limit-ranges."],
    ]


def test_list_prints_json_for_programs() -> None:
    data = json.loads(call("list", "-o", "json").stdout)

    assert data[0] == {"name": "quotas", "summary": "Manages quotas."}


def test_list_ignores_invalid_settings() -> None:
    assert call("list", environment={"REQUEUE_TIME": "five"}).exit_code == 0


def test_render_prints_the_manifests(tmp_path: Path) -> None:
    result = call("render", "quotas", "-f", profiles_file(tmp_path))

    assert result.stdout == MANIFEST
    assert result.exit_code == 0


def test_render_reads_standard_input() -> None:
    assert call("render", "quotas", "-f", "-", stdin=PROFILE).stdout == MANIFEST


def test_render_applies_the_settings() -> None:
    output = call(
        "render", "quotas", "-f", "-", stdin=PROFILE, environment={"QUOTAS_HARD": '{"pods": "7"}'}
    ).stdout

    assert output == MANIFEST.replace("'100'", "'7'")


def test_render_reads_several_documents_and_lists() -> None:
    bob, carol = PROFILE.replace("alice", "bob"), PROFILE.replace("alice", "carol")
    items = "".join(f"- {json.dumps(yaml.safe_load(each))}\n" for each in (bob, carol))
    documents = f"{PROFILE}---\n---\nkind: ProfileList\nitems:\n{items}"

    output = call("render", "all", "-f", "-", stdin=documents).stdout

    namespaces = [body["metadata"]["namespace"] for body in yaml.safe_load_all(output)]
    assert namespaces == ["alice", "alice", "bob", "bob", "carol", "carol"]


def test_render_of_an_empty_list_is_empty() -> None:
    result = call("render", "all", "-f", "-", stdin="kind: List\nitems: []\n")

    assert (result.exit_code, result.stdout) == (0, "")


def test_render_prints_findings_on_standard_error() -> None:
    profile = PROFILE.replace("uid: 1-2-3", "uid: 1-2-3, labels: {bad: '7'}")

    result = call("render", "quotas", "-f", "-", stdin=profile)

    finding = Finding(reason="BadLabel", message="label bad is 7")
    assert result.stdout == MANIFEST
    assert result.stderr == f"Warning: alice  quotas  {finding.reason}: {finding.message}\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("kind: Pod\nmetadata: {name: x}", "kind is 'Pod', expected 'Profile'"),
        ("kind: Profile", "metadata.name is missing"),
        ("text", "expected a Profile, not str"),
        ("kind: List\nitems: [7]", "expected a Profile, not int"),
        ("kind: List\nitems: 7", "expected a list in items, not int"),
        ("a: [", "profile.yaml: line 1, column 5"),
    ],
)
def test_render_rejects_a_file_without_a_profile(
    tmp_path: Path, content: str, message: str
) -> None:
    result = call("render", "quotas", "-f", profiles_file(tmp_path, content))

    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""


def test_render_of_a_missing_file_exits_2() -> None:
    result = call("render", "quotas", "-f", "/no/such")

    assert result.exit_code == 2
    assert result.stderr == "Error: cannot read /no/such: No such file or directory\n"
