"""What a pure controller is given and what it gives, with defaults for all that is no matter."""

import base64
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel, ValidationError

from controllers.manifests import Body, Manifest, to_body
from controllers.profiles import Owner, Profile
from controllers.runtime.objects.kinds import KINDS

_GOLDEN = Path(__file__).parents[2] / "unit" / "golden"


def profile(
    name: str = "team-a",
    *,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    owner: str = "jane@example.ca",
    uid: str = "",
) -> Profile:
    return Profile(
        name=name,
        uid=uid or f"uid-of-{name}",
        owner=Owner(name=owner),
        labels=labels or {},
        annotations=annotations or {},
    )


def resource_quota(
    name: str = "kf-resource-quota", *, namespace: str = "team-a", **spec: object
) -> Body:
    return {"metadata": {"name": name, "namespace": namespace}, "spec": spec}


def secret_body(name: str, namespace: str, texts: Mapping[str, str]) -> Body:
    """As the API server sends it."""
    data = {key: base64.b64encode(text.encode()).decode() for key, text in texts.items()}
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}


def bodies(manifests: Iterable[Manifest], profile: Profile, *, component: str) -> list[Body]:
    """The objects as they are sent to the API server."""
    return [
        to_body(
            manifest,
            api_version=KINDS[manifest.kind].api_version,
            profile=profile,
            component=component,
        )
        for manifest in manifests
    ]


def golden(component: str, name: str) -> list[Any]:
    """The objects of one golden file."""
    text = (_GOLDEN / component / f"{name}.yaml").read_text(encoding="utf-8")
    return [document for document in yaml.safe_load_all(text) if document is not None]


def refusals(model: type[BaseModel], settings: object) -> dict[str, str]:
    """What is said of each wrong value, by its place."""
    with pytest.raises(ValidationError) as refusal:
        model.model_validate(settings)
    errors = refusal.value.errors()
    said = {" ".join(map(str, error["loc"])): error["msg"] for error in errors}
    assert len(said) == len(errors)
    return said
