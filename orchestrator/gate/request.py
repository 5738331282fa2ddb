"""The inputs of an `llm` node as a request, and a reply as the node's output."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from orchestrator.llm.messages import MOST_OUTPUT_TOKENS, Message, Reply, Request, Speaker, Tool


class BadInputs(ValueError):
    """The inputs of an `llm` node are not a call; the message names each field at fault and holds none of its text."""


class CallInputs(BaseModel):
    """What `inputs` of an `llm` node may hold, each given or a reference to an upstream output."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    model: str | None = Field(None, min_length=1, max_length=128)
    """A model or a chain of the profiles; without it the chain `default`, or the only model there is."""
    system: str = Field("", repr=False)
    """Goes before the other messages."""
    prompt: str | None = Field(None, repr=False)
    """One message of a user."""
    messages: Annotated[tuple[Message, ...] | None, Field(strict=False, min_length=1, repr=False)] = None
    """A whole conversation, in place of `prompt`: `{"speaker": "user", "text": "..."}`."""
    tools: Annotated[tuple[Tool, ...], Field(strict=False, repr=False)] = ()
    """Functions that the model may ask to be called; what it asks for is in the output's `tool_calls`."""
    response_schema: dict[str, Any] | None = Field(None, repr=False)
    """JSON schema of the answer; the output's `parsed` follows it."""
    max_output_tokens: int | None = Field(None, ge=1, le=MOST_OUTPUT_TOKENS)
    """The reservation; without it what such calls were learnt to need."""
    temperature: float | None = Field(None, ge=0, le=2, allow_inf_nan=False)
    """As the provider takes it."""
    role: str = Field("", max_length=128)
    """What the call is for; lengths of answers are learnt by model and role."""
    stream: bool = False
    """Pieces of the answer can be followed while it is written."""
    cache_seconds: float | None = Field(None, gt=0, allow_inf_nan=False)
    """An answer to the same request that is not older is used again."""

    @model_validator(mode="after")
    def _asks_something(self) -> CallInputs:
        if (self.prompt is None) == (self.messages is None):
            raise ValueError("either prompt or messages is needed")
        return self


def read_inputs(inputs: Mapping[str, Any]) -> CallInputs:
    """The inputs, checked. Raises BadInputs with every fault."""
    try:
        return CallInputs.model_validate(inputs)
    except ValidationError as error:
        faults = [
            f"inputs.{'.'.join(map(str, one['loc'])) or '*'}: {str(one['msg']).removeprefix('Value error, ')}"
            for one in error.errors(include_url=False, include_context=False, include_input=False)
        ]
    raise BadInputs("; ".join(faults))


def to_request(found: CallInputs, model: str, *, owner: str, goal: str, priority: int) -> Request:
    """The call that the inputs describe; `model` is what they name, or the default."""
    first = (Message(speaker=Speaker.SYSTEM, text=found.system),) if found.system else ()
    rest = found.messages or (Message(speaker=Speaker.USER, text=found.prompt or ""),)
    return Request(
        model=model,
        messages=first + rest,
        tools=found.tools,
        response_schema=found.response_schema,
        max_output_tokens=found.max_output_tokens,
        temperature=found.temperature,
        owner=owner,
        goal=goal,
        role=found.role,
        priority=priority,
        stream=found.stream,
        cache_seconds=found.cache_seconds,
    )


def output_of(reply: Reply) -> dict[str, Any]:
    """The node's output."""
    usage = reply.usage
    return {
        "text": reply.text,
        "parsed": reply.parsed,
        "tool_calls": [call.model_dump(mode="json") for call in reply.tool_calls],
        "finish_reason": reply.finish_reason,
        "model": reply.model,
        "account": reply.account,
        "usage": {
            "input_tokens": usage.input_tokens,
            "cached_input_tokens": usage.cached_input_tokens,
            "output_tokens": usage.output_tokens,
        },
        "micro_usd": reply.micro_usd,
        "attempts": reply.attempts,
        "source": reply.source,
    }


def about(reply: Reply, waited_seconds: float) -> dict[str, Any]:
    """What the node's event says of the call: figures and names, no text."""
    return {
        "llm": {
            "account": reply.account, "model": reply.model, "source": reply.source, "attempts": reply.attempts,
            "input_tokens": reply.usage.input_tokens, "output_tokens": reply.usage.output_tokens,
            "micro_usd": reply.micro_usd, "waited_seconds": round(waited_seconds, 3),
        }
    }  # fmt: skip
