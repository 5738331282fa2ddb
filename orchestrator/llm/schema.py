"""Structured answers: the schema that providers ask for, and answers read against it."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel, ValidationError


def strict_schema(model: type[BaseModel]) -> dict[str, Any]:
    """A pydantic model's JSON schema as strict structured output wants it: every field required, no others allowed."""
    strict: dict[str, Any] = _strict(model.model_json_schema())
    return strict


def _strict(part: Any) -> Any:
    if isinstance(part, list):
        return [_strict(item) for item in part]
    if not isinstance(part, dict):
        return part
    made = {key: _strict(value) for key, value in part.items() if key != "default" or isinstance(value, dict)}
    properties = part.get("properties")
    if part.get("type") == "object" and isinstance(properties, dict):
        made["properties"] = {name: _strict(value) for name, value in properties.items()}
        made["required"] = list(properties)
        made["additionalProperties"] = False
    return made


def read_json(text: str) -> Any:
    """The value of an answer's text. Raises ValueError, whose text holds nothing of it."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    raise ValueError("the answer is not JSON")


def read_model(value: Any, model: type[BaseModel]) -> BaseModel:
    """The answer as its model has it. Raises ValueError, whose text holds nothing of it."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        count = error.error_count()
    raise ValueError(f"the answer has {count} faults against its schema")
