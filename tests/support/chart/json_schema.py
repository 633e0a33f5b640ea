"""Strict JSON schemas of the kinds of an API server, for kubeconform."""

import json
from pathlib import Path

from tests.support.controlplane import ControlPlane, Json

LOCATION = "{{ .ResourceKind }}-{{ .ResourceAPIVersion }}-{{ .Group }}.json"
_KINDS = "x-kubernetes-group-version-kind"


def write(plane: ControlPlane, folder: Path) -> str:
    """Writes a schema for each kind; returns kubeconform's `-schema-location`."""
    folder.mkdir(parents=True, exist_ok=True)
    served = plane.request("GET", "/openapi/v2")["definitions"]
    strict = {name: closed(definition) for name, definition in served.items()}
    (folder / "all.json").write_text(json.dumps({"definitions": strict}))
    for name, definition in served.items():
        for kind in definition.get(_KINDS, ()):
            group = kind["group"] or kind["version"]  # as kubeconform names it
            file = f"{kind['kind'].lower()}-{kind['version']}-{group}.json"
            schema = {"$ref": f"all.json#/definitions/{name}"}
            (folder / file).write_text(json.dumps(schema))
    return f"{folder}/{LOCATION}"


def closed(schema: Json) -> Json:
    """The schema without unknown fields, and with numbers where a number or a text is valid."""
    if "$ref" in schema:
        return {"$ref": schema["$ref"].replace("#/", "all.json#/")}
    if schema.get("format") == "int-or-string" or schema.get("x-kubernetes-int-or-string"):
        return {"type": ["string", "integer"]}
    made = {key: value for key, value in schema.items() if key not in (_KINDS, "format")}
    for key in ("items", "additionalProperties"):
        if isinstance(made.get(key), dict):
            made[key] = closed(made[key])
    if "properties" in made:
        made["properties"] = {name: closed(one) for name, one in made["properties"].items()}
        if not made.get("x-kubernetes-preserve-unknown-fields"):
            made.setdefault("additionalProperties", False)
    return made
