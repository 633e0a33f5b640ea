"""`python -m helm.conversions FILE`: a values file of StatCan's older chart, in this chart's keys.

The new values go to standard output, and what a person has to look at to standard error.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer
import yaml

from controllers.blob_csi import instances as blob_csi_instances
from helm.generators import declarations
from profiles_controller.config import yaml as config_yaml

Values = dict[str, Any]
USAGE = "usage: python -m helm.conversions FILE"
_KEPT = ("imagePullSecrets", "nameOverride", "fullnameOverride")
_OF_PODS = (
    "podAnnotations", "podLabels", "podSecurityContext", "securityContext",
    "resources", "nodeSelector", "tolerations", "affinity",
)  # fmt: skip
_INSTANCES = {"gitea": "unclassified", "giteab": "protected-b"}
_COMPONENTS = {"giteaUnclassified": "unclassified", "giteaProtectedB": "protected-b"}
_WITHOUT_SUCCESSOR = ("cloudmain", "s3proxy", "trino", "trinoschema")
_ALWAYS = ("quotas", "limitranges", "rbac", "network", "notebook", "authz-policies")
_MINUTES = "REQUEUE_TIME"


class Conversion:
    """One file's new values, and the remarks on it."""

    def __init__(self, older: Mapping[str, Any]) -> None:
        """``older`` is read, never changed."""
        self._older = older
        self.values: Values = {}
        self.remarks: list[str] = []
        self._ruled = {
            variable: one["name"]
            for one in yaml.safe_load(declarations.PATH.read_text(encoding="utf-8"))["controllers"]
            for variable in one["variables"]
        }

    def convert(self) -> Values:
        """All of it."""
        for key in _KEPT:
            if key in self._older:
                self.values[key] = self._older[key]
        for key in _OF_PODS:
            if self._older.get(key):
                self._put("defaults", key, value=self._older[key])
        self._image(self._older.get("image") or {})
        self._environment(self._older.get("extraEnv") or [])
        self._replicas(self._older.get("replicaCount") or {})
        self._components(self._older.get("components") or {})
        self._accounts(self._older.get("serviceAccount") or {})
        known = {*_KEPT, *_OF_PODS, "image", "extraEnv", "replicaCount", "components"}
        for key in self._older.keys() - known - {"serviceAccount"}:
            self.remarks.append(f"{key} is left out: it is no value of the older chart")
        return self.values

    def _put(self, *path: str, value: Any) -> None:
        place = self.values
        for key in path[:-1]:
            place = place.setdefault(key, {})
        place[path[-1]] = value

    def _image(self, image: Mapping[str, Any]) -> None:
        for key, value in image.items():
            host, slash, rest = str(value).partition("/")
            if key == "repository" and slash and ("." in host or ":" in host):
                self._put("image", "registry", value=host)
                self._put("image", "repository", value=rest)
            else:
                self._put("image", key, value=value)

    def _environment(self, variables: Sequence[Mapping[str, Any]]) -> None:
        others = [dict(one) for one in variables if one.get("name") != _MINUTES]
        if others:
            self._put("defaults", "env", value=others)
        for one in variables:
            if one.get("name") == _MINUTES:
                self._put("defaults", "resyncMinutes", value=float(one["value"]))

    def _replicas(self, counts: Mapping[str, int]) -> None:
        """An absent count is the older chart's default."""
        if counts.get("default", 1) > 0:
            self._put("defaults", "replicas", value=counts.get("default", 1))
        else:
            for name in _ALWAYS:
                self._put("controllers", name, "enabled", value=False)
        self._enable(counts.get("blobcsi", 1), "controllers", "blob-csi")
        for older, variant in _INSTANCES.items():
            if counts.get(older, 0) > 0:
                self._put("controllers", "gitea", "enabled", value=True)
            self._enable(counts.get(older, 0), "controllers", "gitea", "instances", variant)
        for name in _WITHOUT_SUCCESSOR:
            if counts.get(name, 0) > 0:
                self.remarks.append(f"replicaCount.{name} is left out: it has no successor yet")

    def _enable(self, count: int, *path: str) -> None:
        if count > 0:
            self._put(*path, "enabled", value=True)
            self._put(*path, "replicas", value=count)

    def _components(self, components: Mapping[str, Any]) -> None:
        for name, given in components.items():
            content = given or {}
            if name == "rbac" and content.get("supportGroups"):
                groups = content["supportGroups"]
                self._put("controllers", "rbac", "settings", "supportGroups", value=groups)
            elif name in _COMPONENTS:
                place = ("controllers", "gitea", "instances", _COMPONENTS[name])
                self._variables(content, *place)
            elif name == "blobcsi":
                self._blob_csi(content)
            elif name != "rbac":
                self.remarks.append(f"components.{name} is left out: it has no successor yet")

    def _variables(self, content: Mapping[str, Any], *place: str) -> None:
        for key in ("env", "envFrom"):
            if content.get(key):
                self._put(*place, key, value=content[key])

    def _blob_csi(self, content: Mapping[str, Any]) -> None:
        place = ("controllers", "blob-csi")
        if content.get("config"):
            instances = blob_csi_instances.parse(str(content["config"]))
            self._put(*place, "settings", "instances", value=instances)
        kept = []
        for one in content.get("env") or []:
            name = str(one.get("name"))
            if self._ruled.get(name) == "blob-csi" and "value" in one:
                setting = name.removeprefix("BLOB_CSI_").lower()
                self._put(*place, "settings", setting, value=one["value"])
            else:
                kept.append(one)
        self._variables({**content, "env": kept}, *place)
        if content.get("envFrom"):
            accounts = "storage accounts of shared buckets and CONFIG_MAP"
            self.remarks.append(
                f"components.blobcsi.envFrom: move {accounts} in it to"
                " controllers.blob-csi.settings, as the ClusterRole follows them"
            )

    def _accounts(self, account: Mapping[str, Any]) -> None:
        for key in ("create", "annotations"):
            if key in account:
                self._put("serviceAccount", key, value=account[key])
        if account.get("name"):
            self.remarks.append(
                "serviceAccount.name is left out: there is one for each controller now"
                " (controllers.<name>.serviceAccountName)"
            )


def main(arguments: Sequence[str]) -> int:
    """0: converted; 2: wrong usage, or a file that cannot be read."""
    if len(arguments) != 1:
        typer.echo(USAGE, err=True)
        return 2
    try:
        (older,) = config_yaml.parse(config_yaml.read(Path(arguments[0]))) or [{}]
        conversion = Conversion(older)
        values = conversion.convert()
    except (config_yaml.DocumentError, ValueError) as error:
        typer.echo(f"{arguments[0]} cannot be converted: {error}", err=True)
        return 2
    for remark in conversion.remarks:
        typer.echo(f"look: {remark}", err=True)
    typer.echo(config_yaml.dump([values]), nl=False)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
