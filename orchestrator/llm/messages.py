"""What is asked of a model and what it answers: the same records for every provider.

Prompts and answers are kept out of every `repr` and out of the text of validation errors, so that no log gets them.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Tokens = Annotated[int, Field(ge=0)]
Hidden = Field(repr=False)
MOST_OUTPUT_TOKENS: Final = 10_000_000


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)


class Speaker(StrEnum):
    """Who said a message."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


class ToolCall(_Record):
    """A tool that the model wants called. `arguments` is the JSON text as the model wrote it; it may be invalid."""

    id: str
    name: str
    arguments: str = Hidden


class Message(_Record):
    """One message. An assistant's may carry tool calls; a tool's names the call that it answers."""

    speaker: Annotated[Speaker, Field(strict=False)]
    text: str = Field("", repr=False)
    tool_calls: Annotated[tuple[ToolCall, ...], Field(strict=False, repr=False)] = ()
    tool_call_id: str | None = None

    @model_validator(mode="after")
    def _whole(self) -> Message:
        if (self.speaker is Speaker.TOOL) != (self.tool_call_id is not None):
            raise ValueError("tool_call_id belongs to the messages of tools, and only there")
        if self.tool_calls and self.speaker is not Speaker.ASSISTANT:
            raise ValueError("tool_calls belong to the assistant's messages")
        return self


class Tool(_Record):
    """A function that the model may call; `parameters` is the JSON schema of its arguments, an object."""

    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    description: str = Field("", repr=False)
    parameters: dict[str, Any] = Field(default_factory=dict, repr=False)
    strict: bool = False


class Request(_Record):
    """One call of a model. What the answer depends on comes first; the rest says for whom it is and how it is run."""

    model: str = Field(min_length=1, max_length=128)
    """A model or a fallback chain of the profiles."""
    messages: Annotated[tuple[Message, ...], Field(strict=False, min_length=1, repr=False)]
    tools: Annotated[tuple[Tool, ...], Field(strict=False, repr=False)] = ()
    response_schema: dict[str, Any] | None = Field(None, repr=False)
    """JSON schema that the answer's text must follow; the answer is then in `Reply.parsed`."""
    check: bool = True
    """False: the schema is only asked for; the caller looks himself whether the answer follows it."""
    max_output_tokens: int | None = Field(None, ge=1, le=MOST_OUTPUT_TOKENS)
    """The reservation, always sent to the provider. None: what calls of this model and role were learnt to need."""
    temperature: float | None = Field(None, ge=0, le=2, allow_inf_nan=False)

    owner: str = Field("default", min_length=1, max_length=128)
    """Whose share of the queue the call takes."""
    goal: str = Field("", max_length=128)
    role: str = Field("", max_length=128)
    """What the call is for; the usual length of answers is learnt by model and role."""
    priority: int = 0
    weight: float = Field(1.0, gt=0, allow_inf_nan=False)
    stream: bool = False
    """Ask for the answer in pieces. Set by itself where a receiver of pieces is given."""
    share: bool = True
    """Let calls that are the same at the same time be one. Turn it off to draw several answers to one question."""
    cache_seconds: float | None = Field(None, gt=0, allow_inf_nan=False)
    """Opt-in: an answer to the same request that is not older than this is used again, free of charge."""


class Usage(_Record):
    """Tokens that the provider counted. `input_tokens` includes the cached ones."""

    input_tokens: Tokens = 0
    cached_input_tokens: Tokens = 0
    output_tokens: Tokens = 0
    estimated: bool = False
    """The provider sent no usage; these were counted here."""

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            cached_input_tokens=self.cached_input_tokens + other.cached_input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            estimated=self.estimated or other.estimated,
        )


class Reply(_Record):
    """A model's answer, and what it took."""

    text: str = Field("", repr=False)
    tool_calls: Annotated[tuple[ToolCall, ...], Field(strict=False, repr=False)] = ()
    parsed: Any = Field(None, repr=False)
    """The answer as the requested schema or model has it."""
    finish_reason: str
    """`stop`, `length`, `tool_calls`, `content_filter`, `refusal`, or what else the provider says."""
    model: str
    """The profile's model that answered, which may be a later one of a fallback chain."""
    account: str
    request_id: str = ""
    usage: Usage = Usage()
    micro_usd: int | None = Field(0, ge=0)
    """What all attempts cost together, in millionths of a dollar; None where no price is known."""
    attempts: int = Field(1, ge=0)
    source: Literal["provider", "cache", "shared"] = "provider"
    """`cache`: an earlier answer; `shared`: the answer to the same request of somebody else at the same time."""


class Chunk(_Record):
    """A piece of an answer while it is written. A higher `attempt` than before: throw away what came until now."""

    text: str = Field("", repr=False)
    attempt: int
    model: str
