"""values.schema.json: strict about keys, and about a setting's type where that is plain.

What else a setting may hold is for the process to say: it names every wrong one at its start.
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
"""All that does not follow from the controllers."""

_PLAIN = ("boolean", "integer", "object")


def file(controllers: Sequence[AnyController]) -> tuple[Path, str]:
    """The file's path and content."""
    schema = json.loads(BASE.read_text(encoding="utf-8"))
    process = schema["$defs"]["process"]["properties"]
    schema["properties"]["controllers"] = _strict(
        {one.name: _controller(one, process) for one in controllers},
        description="One entry for each controller.",
    )
    schema["properties"]["all"] = _strict(process, description="The one process of mode all.")
    del schema["$defs"]["process"]
    return PATH, json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _controller(controller: AnyController, process: Mapping[str, Schema]) -> Schema:
    settings = _settings(controller.settings)
    own = {"enabled": {"type": "boolean"}, "settings": settings, **process}
    if controller.variants.names:
        of_variant = _strict(dict(own), description="A process of its own; its keys count first.")
        own["instances"] = _strict(dict.fromkeys(controller.variants.names, of_variant))
    return _strict(own, description=controller.summary)


def _settings(model: type[BaseModel]) -> Schema:
    """Every spelling of every setting, but of those that are secret: they are no ConfigMap's."""
    whole = model.model_json_schema(by_alias=False)
    known = {}
    for spelling, name in accepted_keys(model).items():
        told = whole["properties"][name]
        if not _is_secret(told):
            known[spelling] = _plain(told, whole.get("$defs", {}))
    return _strict(known, description="The section of the --config file; a secret goes by env.")


def _is_secret(told: Schema) -> bool:
    return any(each.get("writeOnly") for each in (told, *told.get("anyOf", ())))


def _plain(told: Schema, definitions: Mapping[str, Schema]) -> Schema:
    """What can be said of the setting's value without knowing the controller."""
    followed = definitions.get(str(told.get("$ref", "")).rpartition("/")[2], told)
    plain: Schema = {"description": told["description"]} if "description" in told else {}
    if "enum" in followed:
        plain["enum"] = [*followed["enum"], None]
    elif followed.get("type") in _PLAIN:
        plain["type"] = [followed["type"], "null"]
    return plain


def _strict(properties: Mapping[str, Schema], **more: Any) -> Schema:
    return {**more, "type": "object", "additionalProperties": False, "properties": properties}
