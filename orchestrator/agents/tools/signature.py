"""A function's signature as the JSON schema of a tool's arguments, and arguments read against it."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, PydanticUserError, ValidationError, create_model
from pydantic.errors import PydanticInvalidForJsonSchema, PydanticSchemaGenerationError
from pydantic.json_schema import GenerateJsonSchema

from orchestrator.domain.errors import ChordalError

_REFUSED = {
    inspect.Parameter.POSITIONAL_ONLY: "is positional-only; models give arguments by name",
    inspect.Parameter.VAR_POSITIONAL: "takes any number of values; models give arguments by name",
    inspect.Parameter.VAR_KEYWORD: "takes any name; a tool says what arguments it has",
}


class BadTool(ChordalError):
    """A function cannot be a tool as it is declared; the text says which parameter or option is at fault."""


class BadArguments(ChordalError):
    """The arguments of a tool call do not fit its function; the text names each fault and holds none of the values."""


class _Schema(GenerateJsonSchema):
    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
        return False  # it would only repeat the parameter's name


@dataclass(frozen=True, slots=True)
class Signature:
    """What a tool's function takes."""

    model: type[BaseModel]
    """Its arguments; the fields are numbered, so that a parameter may have any name."""
    names: tuple[str, ...]
    """Its parameters, in order, without the context."""
    context: str
    """The parameter that gets the context, or ''."""
    parameters: dict[str, Any]
    """JSON schema, an object; unknown arguments are refused."""

    def read(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments as the function takes them, defaults in place. Raises BadArguments with every fault."""
        try:
            found = self.model.model_validate(arguments)
        except ValidationError as error:
            faults = [
                f"{'.'.join(map(str, one['loc']))[:100] or 'arguments'}: {one['msg'][:200]}"
                for one in error.errors(include_url=False, include_context=False, include_input=False)[:10]
            ]
        else:
            return {name: getattr(found, f"p{index}") for index, name in enumerate(self.names)}
        raise BadArguments("; ".join(faults))


def signature_of(function: Callable[..., Any], context: type) -> Signature:
    """The signature of a function; its parameter that is annotated with the class `context` is kept out of the schema.

    Raises BadTool for parameters that cannot be given by name, and for types that have no JSON schema.
    """
    name = getattr(function, "__name__", repr(function))
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError) as error:
        raise BadTool(f"the types of the tool {name!r} cannot be read: {error}") from None
    fields: dict[str, Any] = {}
    names: list[str] = []
    injected: list[str] = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in _REFUSED:
            raise BadTool(f"the parameter {parameter.name!r} of the tool {name!r} {_REFUSED[parameter.kind]}")
        if hints.get(parameter.name) is context:
            injected.append(parameter.name)
            continue
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[f"p{len(names)}"] = (hints.get(parameter.name, Any), Field(default, alias=parameter.name))
        names.append(parameter.name)
    if len(injected) > 1:
        raise BadTool(f"the tool {name!r} has more than one parameter that takes the context: {', '.join(injected)}")
    try:
        model: type[BaseModel] = create_model(
            name, __config__=ConfigDict(extra="forbid", hide_input_in_errors=True, arbitrary_types_allowed=False), **fields
        )  # fmt: skip
        schema = model.model_json_schema(schema_generator=_Schema)
    except (PydanticSchemaGenerationError, PydanticInvalidForJsonSchema, PydanticUserError) as error:
        why = str(error).partition("\n")[0]
        raise BadTool(f"the tool {name!r} has a parameter whose type has no JSON schema: {why}") from None
    schema.pop("title", None)
    schema.pop("description", None)
    schema.setdefault("properties", {})
    return Signature(model, tuple(names), injected[0] if injected else "", schema)
