"""What list and render print."""

import json
from pathlib import Path

import pytest
import yaml

from controllers.findings import Finding
from tests.support.cli.run import call

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
