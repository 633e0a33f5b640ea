"""Generates values.schema.json, which rejects unknown keys and values of a wrong simple type.

The process validates everything else when it starts, and reports all invalid settings together.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from controllers.runtime.controller import AnyController
from helm.generators.declarations import CHART
from profiles_controller.config.sources import accepted_keys

Schema = dict[str, Any]
PATH = CHART / "values.schema.json"
BASE = Path(__file__).parent / "schema.json"
"""The part of the schema that does not depend on the controllers."""

_SIMPLE_TYPES = ("boolean", "integer", "object")


def file(controllers: Sequence[AnyController]) -> tuple[Path, str]:
    """Return the file's path and content."""
    schema = json.loads(BASE.read_text(encoding="utf-8"))
    process = schema["$defs"]["process"]["properties"]
    schema["properties"]["controllers"] = _strict(
        {one.name: _controller(one, process) for one in controllers},
        description="One entry for each controller.",
    )
    schema["properties"]["all"] = _strict(process, description="The Deployment of mode all.")
    del schema["$defs"]["process"]
    return PATH, json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _controller(controller: AnyController, process: Mapping[str, Schema]) -> Schema:
    settings = _settings(controller.settings)
    own = {"enabled": {"type": "boolean"}, "settings": settings, **process}
    if controller.variants.names:
        of_variant = _strict(
            dict(own), description="A separate process; its keys override those of the controller."
        )
        own["instances"] = _strict(dict.fromkeys(controller.variants.names, of_variant))
    return _strict(own, description=controller.summary)


def _settings(model: type[BaseModel]) -> Schema:
    """Return the schema of every accepted key, without secrets: settings are in a ConfigMap."""
    schema = model.model_json_schema(by_alias=False)
    properties = {}
    for key, name in accepted_keys(model).items():
        setting = schema["properties"][name]
        if not _is_secret(setting):
            properties[key] = _simple(setting, schema.get("$defs", {}))
    return _strict(properties, description="The section of the --config file; set secrets in env.")


def _is_secret(setting: Schema) -> bool:
    return any(each.get("writeOnly") for each in (setting, *setting.get("anyOf", ())))


def _simple(setting: Schema, definitions: Mapping[str, Schema]) -> Schema:
    """Return the description, and the enum or the type if it is simple."""
    resolved = definitions.get(str(setting.get("$ref", "")).rpartition("/")[2], setting)
    schema: Schema = {"description": setting["description"]} if "description" in setting else {}
    if "enum" in resolved:
        schema["enum"] = [*resolved["enum"], None]
    elif resolved.get("type") in _SIMPLE_TYPES:
        schema["type"] = [resolved["type"], "null"]
    return schema


def _strict(properties: Mapping[str, Schema], **keywords: Any) -> Schema:
    return {**keywords, "type": "object", "additionalProperties": False, "properties": properties}
