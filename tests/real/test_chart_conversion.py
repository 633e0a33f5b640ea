"""A converted values file of the older chart: the chart accepts it, with the same meaning."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from controllers import registry
from helm import conversions
from tests.support.chart import render

OLDER = """
replicaCount: {default: 1, blobcsi: 0, cloudmain: 1, gitea: 1, giteab: 2, s3proxy: 0, trino: 1}
extraEnv: [{name: REQUEUE_TIME, value: "5"}, {name: TZ, value: UTC}]
image: {repository: example.azurecr.io/team/profiles-controller, pullPolicy: Always, tag: 3f2a9c1}
imagePullSecrets: [{name: image-pull-secret}]
nameOverride: ""
podAnnotations: {a: b}
podSecurityContext: {}
nodeSelector: {agentpool: system}
tolerations: [{key: CriticalAddonsOnly, operator: Exists}]
serviceAccount: {create: true, annotations: {}, name: "mine"}
components:
  rbac: {supportGroups: [helpdesk]}
  giteaUnclassified: {env: [{name: GITEA_PSQL_PORT, value: "5432"}], envFrom: []}
  giteaProtectedB: {envFrom: [{secretRef: {name: gitea}}]}
  s3proxy: {env: []}
"""
BLOB_CSI = """
replicaCount: {default: 0, blobcsi: 1}
components:
  blobcsi:
    config: |
      {"name": "standard", "classification": "unclassified", "secretRef": "one", "capacity": 10}
      {"name": "other", "classification": "protected-b", "secretRef": "two/x", "capacity": 10}
    env:
      - {name: BLOB_CSI_FDI_UNCLASS_RESOURCE_GROUP, value: group}
      - {name: BLOB_CSI_CONFIG_MAP, value: mine}
    envFrom: [{secretRef: {name: principals}}]
"""


def converted(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> tuple[dict[str, Any], str]:
    file = tmp_path / "values.yaml"
    file.write_text(text)
    assert conversions.main([str(file)]) == 0
    printed = capsys.readouterr()
    return yaml.safe_load(printed.out), printed.err


def test_the_chart_accepts_the_converted_values(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values, remarks = converted(OLDER, tmp_path, capsys)
    manifests = render.render(values)

    deployments = render.of_kind(manifests, "Deployment")
    gitea = {"gitea-unclassified": 1, "gitea-protected-b": 2}
    assert {**dict.fromkeys(conversions.DEFAULT_CONTROLLERS, 1), **gitea} == {
        name: one["spec"]["replicas"] for name, one in deployments.items()
    }
    quotas = render.container(deployments["quotas"])
    assert quotas["image"] == "example.azurecr.io/team/profiles-controller:3f2a9c1"
    assert quotas["env"] == [{"name": "TZ", "value": "UTC"}]
    assert render.config(manifests, "quotas")["common"]["resync"] == 5
    assert render.config(manifests, "rbac")["rbac"] == {"supportGroups": ["helpdesk"]}
    unclassified = render.container(deployments["gitea-unclassified"])
    assert {"name": "GITEA_PSQL_PORT", "value": "5432"} in unclassified["env"]
    assert not values.keys() & {"replicaCount", "components", "extraEnv", "tolerations"}
    for omitted in ("cloudmain", "trino", "serviceAccount.name", "components.s3proxy"):
        assert f"{omitted} is omitted" in remarks


def test_blob_csi_keeps_its_instances_and_variables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values, remarks = converted(BLOB_CSI, tmp_path, capsys)

    own = values["controllers"]["blob-csi"]
    assert ["one", "two/x"] == [one["secretRef"] for one in own["settings"]["instances"]]
    assert [{"secretRef": {"name": "principals"}}] == own["envFrom"]
    assert (True, 1) == (own["enabled"], own["replicas"])
    assert values["controllers"]["quotas"] == {"enabled": False}
    assert "components.blobcsi.envFrom" in remarks
    if "blob-csi" in registry.by_name():
        assert own["settings"]["config_map"] == "mine"
        assert render.of_kind(render.render(values), "Deployment").keys() == {"blob-csi"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [([], "usage:"), (["/nowhere/values.yaml"], "cannot be converted: No such file")],
)
def test_a_file_that_cannot_be_read_is_reported(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert conversions.main(arguments) == 2
    assert words in capsys.readouterr().err
