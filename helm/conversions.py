"""`python -m helm.conversions FILE`: convert a values file of StatCan's older chart.

It prints the new values on standard output, and warnings to check on standard error.
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
_UNCHANGED_KEYS = ("imagePullSecrets", "nameOverride", "fullnameOverride")
_POD_KEYS = (
    "podAnnotations", "podLabels", "podSecurityContext", "securityContext",
    "resources", "nodeSelector", "tolerations", "affinity",
)  # fmt: skip
_INSTANCES = {"gitea": "unclassified", "giteab": "protected-b"}
_COMPONENTS = {"giteaUnclassified": "unclassified", "giteaProtectedB": "protected-b"}
_WITHOUT_SUCCESSOR = ("cloudmain", "s3proxy", "trino", "trinoschema")
DEFAULT_CONTROLLERS = ("quotas", "limitranges", "rbac", "network", "notebook", "authz-policies")
_RESYNC_VARIABLE = "REQUEUE_TIME"


class Conversion:
    """Converts one values file into ``values``, with ``warnings`` about what to check."""

    def __init__(self, older: Mapping[str, Any]) -> None:
        """Convert ``older``, the values of the older chart, which are not modified."""
        self._older = older
        self.values: Values = {}
        self.warnings: list[str] = []
        self._controller_of = {
            variable: one["name"]
            for one in yaml.safe_load(declarations.PATH.read_text(encoding="utf-8"))["controllers"]
            for variable in one["variables"]
        }

    def convert(self) -> Values:
        """Convert all keys. Returns the new values."""
        for key in _UNCHANGED_KEYS:
            if key in self._older:
                self.values[key] = self._older[key]
        for key in _POD_KEYS:
            if self._older.get(key):
                self._set("defaults", key, value=self._older[key])
        self._image(self._older.get("image") or {})
        self._environment(self._older.get("extraEnv") or [])
        self._replicas(self._older.get("replicaCount") or {})
        self._components(self._older.get("components") or {})
        self._accounts(self._older.get("serviceAccount") or {})
        known = {*_UNCHANGED_KEYS, *_POD_KEYS, "image", "extraEnv", "replicaCount", "components"}
        for key in self._older.keys() - known - {"serviceAccount"}:
            self.warnings.append(f"{key} is omitted: it is not a value of the older chart")
        return self.values

    def _set(self, *path: str, value: Any) -> None:
        parent = self.values
        for key in path[:-1]:
            parent = parent.setdefault(key, {})
        parent[path[-1]] = value

    def _image(self, image: Mapping[str, Any]) -> None:
        for key, value in image.items():
            host, slash, rest = str(value).partition("/")
            if key == "repository" and slash and ("." in host or ":" in host):
                self._set("image", "registry", value=host)
                self._set("image", "repository", value=rest)
            else:
                self._set("image", key, value=value)

    def _environment(self, variables: Sequence[Mapping[str, Any]]) -> None:
        others = [dict(one) for one in variables if one.get("name") != _RESYNC_VARIABLE]
        if others:
            self._set("defaults", "env", value=others)
        for one in variables:
            if one.get("name") == _RESYNC_VARIABLE:
                self._set("defaults", "resyncMinutes", value=float(one["value"]))

    def _replicas(self, counts: Mapping[str, int]) -> None:
        """Convert replica counts. A missing count is the default of the older chart."""
        if counts.get("default", 1) > 0:
            self._set("defaults", "replicas", value=counts.get("default", 1))
        else:
            for name in DEFAULT_CONTROLLERS:
                self._set("controllers", name, "enabled", value=False)
        self._enable(counts.get("blobcsi", 1), "controllers", "blob-csi")
        for older, variant in _INSTANCES.items():
            if counts.get(older, 0) > 0:
                self._set("controllers", "gitea", "enabled", value=True)
            self._enable(counts.get(older, 0), "controllers", "gitea", "instances", variant)
        for name in _WITHOUT_SUCCESSOR:
            if counts.get(name, 0) > 0:
                self.warnings.append(f"replicaCount.{name} is omitted: it has no successor yet")

    def _enable(self, count: int, *path: str) -> None:
        if count > 0:
            self._set(*path, "enabled", value=True)
            self._set(*path, "replicas", value=count)

    def _components(self, components: Mapping[str, Any]) -> None:
        for name, given in components.items():
            content = given or {}
            if name == "rbac" and content.get("supportGroups"):
                groups = content["supportGroups"]
                self._set("controllers", "rbac", "settings", "supportGroups", value=groups)
            elif name in _COMPONENTS:
                path = ("controllers", "gitea", "instances", _COMPONENTS[name])
                self._variables(content, *path)
            elif name == "blobcsi":
                self._blob_csi(content)
            elif name != "rbac":
                self.warnings.append(f"components.{name} is omitted: it has no successor yet")

    def _variables(self, content: Mapping[str, Any], *path: str) -> None:
        for key in ("env", "envFrom"):
            if content.get(key):
                self._set(*path, key, value=content[key])

    def _blob_csi(self, content: Mapping[str, Any]) -> None:
        path = ("controllers", "blob-csi")
        if content.get("config"):
            instances = blob_csi_instances.parse(str(content["config"]))
            self._set(*path, "settings", "instances", value=instances)
        variables = []
        for one in content.get("env") or []:
            name = str(one.get("name"))
            if self._controller_of.get(name) == "blob-csi" and "value" in one:
                setting = name.removeprefix("BLOB_CSI_").lower()
                self._set(*path, "settings", setting, value=one["value"])
            else:
                variables.append(one)
        self._variables({**content, "env": variables}, *path)
        if content.get("envFrom"):
            self.warnings.append(
                "components.blobcsi.envFrom: move the storage accounts of shared buckets and"
                " CONFIG_MAP to controllers.blob-csi.settings, because the ClusterRole depends"
                " on them"
            )

    def _accounts(self, account: Mapping[str, Any]) -> None:
        for key in ("create", "annotations"):
            if key in account:
                self._set("serviceAccount", key, value=account[key])
        if account.get("name"):
            self.warnings.append(
                "serviceAccount.name is omitted: each controller has its own ServiceAccount"
                " (controllers.<name>.serviceAccountName)"
            )


def main(arguments: Sequence[str]) -> int:
    """Return the exit code. 0: success; 2: invalid usage, or a file that cannot be read."""
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
    for warning in conversion.warnings:
        typer.echo(f"check: {warning}", err=True)
    typer.echo(config_yaml.dump([values]), nl=False)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
