"""Structured answers: the schema that providers ask for, and answers read against it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from itertools import islice
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from orchestrator.llm.errors import LlmError
from orchestrator.llm.failures import MissingExtra

_SHOWN: Final = 60
_OURS: Final = 200
"""Characters of the schema in a fault; of the answer there are fewer."""
_FAULTS: Final = 10
_LOOKED_AT: Final = 100


class BadSchema(LlmError):
    """The response schema of a request is not a JSON schema, or refers to something outside of itself. Mend it."""


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


def check_schema(schema: Mapping[str, Any]) -> None:
    """Is this a JSON schema? For before a call is paid for. Raises BadSchema and MissingExtra."""
    _validator(json.dumps(schema, sort_keys=True))


def read_schema(value: Any, schema: Mapping[str, Any]) -> None:
    """Check an answer against a JSON schema that is given as such (draft 2020-12 where it does not say).

    Raises ValueError, whose text holds nothing of the answer; BadSchema; MissingExtra. Nothing is fetched.
    """
    validator = _validator(json.dumps(schema, sort_keys=True))
    try:
        count = sum(1 for _ in validator.iter_errors(value))
    except RecursionError:
        raise ValueError("the answer is too deep for its schema") from None
    except Exception as error:
        unresolved = type(error).__name__
    else:
        if count:
            raise ValueError(f"the answer has {count} faults against its schema")
        return
    raise BadSchema(f"the response schema cannot be applied: {unresolved}")


def schema_faults(value: Any, schema: Mapping[str, Any]) -> list[str]:
    """What is wrong with an answer, the first ten faults, each with its place: `items/0/size: must be of type integer`.

    The texts are made of the schema and of the answer's keys, these cut to 60 characters. [] where the answer follows the
    schema. Raises BadSchema and MissingExtra.
    """
    validator = _validator(json.dumps(schema, sort_keys=True))
    try:
        found = [_fault(error) for error in islice(validator.iter_errors(value), _LOOKED_AT)]
    except RecursionError:
        return ["it is too deep for its schema"]
    except Exception as error:
        unresolved = type(error).__name__
    else:
        return list(dict.fromkeys(found))[:_FAULTS]
    raise BadSchema(f"the schema cannot be applied: {unresolved}")


def _fault(error: Any) -> str:
    place = _cut("/".join(map(str, error.absolute_path))) or "the answer"
    rule, wanted = str(error.validator), error.validator_value
    if rule == "required" and isinstance(error.instance, Mapping):
        missing = [name for name in wanted if name not in error.instance]
        return f"{place}: {_cut(', '.join(map(repr, missing)), _OURS)} missing"
    if rule == "additionalProperties" and isinstance(error.instance, Mapping):
        known = error.schema.get("properties", {})
        strange = [name for name in error.instance if name not in known]
        return f"{place}: there is no field {_cut(', '.join(map(repr, strange)))}"
    if rule == "type":
        return f"{place}: must be of type {wanted if isinstance(wanted, str) else ' or '.join(map(str, wanted))}"
    return f"{place}: does not follow the schema's {rule} {_cut(json.dumps(wanted), _OURS)}"


def _cut(text: str, most: int = _SHOWN) -> str:
    return text if len(text) <= most else text[:most] + "..."


@lru_cache(maxsize=64)
def _validator(text: str) -> Any:
    try:
        from jsonschema import Draft202012Validator
        from jsonschema.exceptions import SchemaError
        from jsonschema.validators import validator_for
        from referencing import Registry
    except ImportError:
        raise MissingExtra('response schemas need jsonschema: pip install "chordal[llm]"') from None
    schema = json.loads(text)
    kind = validator_for(schema, default=Draft202012Validator)
    try:
        kind.check_schema(schema)
    except SchemaError as error:
        place = "/".join(map(str, error.absolute_path)) or "its root"
    else:
        return kind(schema, registry=Registry())  # an empty one: references that lead outside are not looked up
    raise BadSchema(f"the response schema is not a JSON schema, at {place}")
