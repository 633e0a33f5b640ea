"""Golden files, and the errors of invalid settings."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel, ValidationError

_GOLDEN = Path(__file__).parents[2] / "unit" / "golden"


def golden(component: str, name: str) -> list[Any]:
    """The objects of a golden file."""
    text = (_GOLDEN / component / f"{name}.yaml").read_text(encoding="utf-8")
    return [document for document in yaml.safe_load_all(text) if document is not None]


def validation_errors(model: type[BaseModel], settings: object) -> dict[str, str]:
    """The message about each invalid value, by its place."""
    with pytest.raises(ValidationError) as invalid:
        model.model_validate(settings)
    errors = invalid.value.errors()
    messages = {" ".join(map(str, error["loc"])): error["msg"] for error in errors}
    assert len(messages) == len(errors)
    return messages
