"""The form of what models answer: schemas for structured output, and values read against them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

Model = TypeVar("Model", bound=BaseModel)


def schema(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema for structured output: every field required, no others, and only words that all providers know."""
    raw = model.model_json_schema()
    plain: dict[str, Any] = _plain(raw, raw.get("$defs", {}))
    return plain


def _plain(part: Any, known: Mapping[str, Any]) -> Any:
    if "$ref" in part:
        return _plain(known[part["$ref"].rpartition("/")[2]], known)
    made = {key: part[key] for key in ("type", "description", "enum") if key in part}
    if "const" in part:
        made["enum"] = [part["const"]]
    if "items" in part:
        made["items"] = _plain(part["items"], known)
    if "properties" in part:
        made["properties"] = {name: _plain(value, known) for name, value in part["properties"].items()}
        made["required"] = list(part["properties"])
        made["additionalProperties"] = False
    return made


def read(value: Any, model: type[Model]) -> tuple[Model | None, list[str]]:
    """The plan that an answer or an edited file holds, or why it is none: every fault of its form."""
    try:
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
        return model.model_validate(value), []
    except ValidationError as error:
        return None, [_form_fault(detail) for detail in error.errors(include_url=False, include_context=False)]
    except (ValueError, TypeError, RecursionError):
        return None, ["plan: it is not plain JSON, or nested too deeply"]


def without_unknown(value: Any, model: type[BaseModel]) -> Any:
    """A plan whose only faults of form are fields that there are not, without those: the rest can be judged too."""
    try:
        model.model_validate(value)
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False, include_input=False)
        if any(detail["type"] != "extra_forbidden" for detail in details):
            return None
        known = json.loads(json.dumps(value))
        for detail in details:
            part = known
            for step in detail["loc"][:-1]:
                part = part[step]
            del part[detail["loc"][-1]]
        return known
    except (ValueError, TypeError, RecursionError):
        return None
    return None


def _form_fault(detail: Any) -> str:
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part:.60}" for part in detail["loc"]).lstrip(".")
    if detail["type"] == "extra_forbidden":
        return f"{place}: there is no such field"
    return f"{place or 'plan'}: {'it is missing' if detail['type'] == 'missing' else detail['msg']}"
