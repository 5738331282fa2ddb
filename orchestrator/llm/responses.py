"""The responses API: a call as its parameters, and its answers, whole or in pieces. Nothing is stored at the provider."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from orchestrator.llm.calls import Answer, Call
from orchestrator.llm.failures import Failure, FailureKind
from orchestrator.llm.messages import Message, Speaker, ToolCall, Usage

_REASONS: Final = {"max_output_tokens": "length"}


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", from_attributes=True, hide_input_in_errors=True)


class _Content(_Part):
    type: str = ""
    text: str | None = None
    refusal: str | None = None


class _Item(_Part):
    type: str = ""
    content: list[_Content] | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None


class _Incomplete(_Part):
    reason: str | None = None


class _Error(_Part):
    code: str | None = None


class _Details(_Part):
    cached_tokens: int | None = Field(None, ge=0)


class _Usage(_Part):
    input_tokens: int = Field(ge=0)
    output_tokens: int = Field(ge=0)
    input_tokens_details: _Details | None = None


class Response(_Part):
    """A whole answer."""

    status: str | None = None
    output: list[_Item] = Field(default_factory=list)
    incomplete_details: _Incomplete | None = None
    error: _Error | None = None
    usage: _Usage | None = None


class Event(_Part):
    """A piece of a stream."""

    type: str = ""
    delta: Any = None
    response: Response | None = None
    code: str | None = None


def parameters(call: Call) -> dict[str, Any]:
    """The call as the API's parameters."""
    request = call.request
    made: dict[str, Any] = {
        "model": call.name,
        "input": [item for message in request.messages for item in _items(message)],
        "max_output_tokens": call.max_output_tokens,
        "store": False,
    }
    if request.temperature is not None:
        made["temperature"] = request.temperature
    if request.tools:
        made["tools"] = [{"type": "function", **tool.model_dump(mode="json")} for tool in request.tools]
    if request.response_schema is not None:
        answer = {"type": "json_schema", "name": "answer", "schema": request.response_schema, "strict": True}
        made["text"] = {"format": answer}
    if call.streamed:
        made["stream"] = True
    return made


def _items(message: Message) -> Iterable[dict[str, Any]]:
    if message.speaker is Speaker.TOOL:
        yield {"type": "function_call_output", "call_id": message.tool_call_id, "output": message.text}
        return
    if message.text or not message.tool_calls:
        yield {"role": message.speaker.value, "content": message.text}
    for call in message.tool_calls:
        yield {"type": "function_call", "call_id": call.id, "name": call.name, "arguments": call.arguments}


def read_whole(body: bytes) -> Answer | Failure:
    """The answer of a response's body. Raises pydantic's ValidationError if it is none."""
    return _answer(Response.model_validate_json(body))


def read_stream(events: Iterable[Any], receive: Callable[[str], None]) -> Answer | Failure:
    """The answer of a stream; text is handed on as it comes. Without a last event it was cut off."""
    last: Response | None = None
    for event in events:
        read = Event.model_validate(event)
        if read.type == "error":
            return failed(read.code)
        if read.type in ("response.completed", "response.incomplete", "response.failed"):
            last = read.response
        elif read.type == "response.output_text.delta" and isinstance(read.delta, str):
            receive(read.delta)
    return _answer(last) if last is not None else Failure(FailureKind.INVALID, "truncated")


def failed(code: str | None) -> Failure:
    """The failure of an error that came inside an answer, where no HTTP status says what it is."""
    if code == "insufficient_quota":
        return Failure(FailureKind.QUOTA, code)
    if code == "rate_limit_exceeded":
        return Failure(FailureKind.RATE_LIMIT, code)
    return Failure(FailureKind.SERVER, "server_error")


def _answer(read: Response) -> Answer | Failure:
    usage = None
    if read.usage is not None:
        cached = (read.usage.input_tokens_details and read.usage.input_tokens_details.cached_tokens) or 0
        usage = Usage(
            input_tokens=read.usage.input_tokens,
            cached_input_tokens=cached,
            output_tokens=read.usage.output_tokens,
        )
    if read.status == "failed":
        return failed(read.error.code if read.error else None)
    if read.status not in ("completed", "incomplete"):
        return Failure(FailureKind.INVALID, "truncated", usage=usage)
    parts = [part for item in read.output if item.type == "message" for part in item.content or ()]
    text = "".join(part.text or "" for part in parts)
    refusal = "".join(part.refusal or "" for part in parts)
    calls = tuple(
        ToolCall(id=item.call_id or "", name=item.name or "", arguments=item.arguments or "")
        for item in read.output
        if item.type == "function_call"
    )
    reason = "tool_calls" if calls else "refusal" if refusal and not text else "stop"
    if read.status == "incomplete":
        said = (read.incomplete_details and read.incomplete_details.reason) or "length"
        reason = _REASONS.get(said, said[:64])
    return Answer(finish_reason=reason, text=text or refusal, tool_calls=calls, usage=usage)
