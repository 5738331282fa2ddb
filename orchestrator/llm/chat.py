"""The chat completions API: a call as its parameters, and its answers, whole or in pieces, read leniently but completely."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from orchestrator.llm.calls import Answer, Call
from orchestrator.llm.failures import Failure, FailureKind
from orchestrator.llm.messages import Message, ToolCall, Usage
from orchestrator.llm.profiles import Kind


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", from_attributes=True, hide_input_in_errors=True)


class _Function(_Part):
    name: str | None = None
    arguments: str | None = None


class _Call(_Part):
    index: int = 0
    id: str | None = None
    function: _Function | None = None


class _Text(_Part):
    content: str | None = None
    refusal: str | None = None
    tool_calls: list[_Call] | None = None


class _Choice(_Part):
    message: _Text = _Text()
    delta: _Text = _Text()
    finish_reason: str | None = None


class _Details(_Part):
    cached_tokens: int | None = Field(None, ge=0)


class _Usage(_Part):
    prompt_tokens: int = Field(ge=0)
    completion_tokens: int = Field(ge=0)
    prompt_tokens_details: _Details | None = None


class Completion(_Part):
    """A whole answer, or a piece of one."""

    choices: list[_Choice] = Field(default_factory=list)
    usage: _Usage | None = None


def parameters(call: Call) -> dict[str, Any]:
    """The call as the API's parameters."""
    request = call.request
    limit = "max_completion_tokens" if call.account.kind is Kind.OPENAI else "max_tokens"
    made: dict[str, Any] = {
        "model": call.name,
        "messages": [_message(message) for message in request.messages],
        limit: call.max_output_tokens,
    }
    if request.temperature is not None:
        made["temperature"] = request.temperature
    if request.tools:
        made["tools"] = [{"type": "function", "function": tool.model_dump(mode="json")} for tool in request.tools]
    if request.response_schema is not None:
        answer = {"name": "answer", "schema": request.response_schema, "strict": True}
        made["response_format"] = {"type": "json_schema", "json_schema": answer}
    if call.streamed:
        made |= {"stream": True, "stream_options": {"include_usage": True}}
    return made


def _message(message: Message) -> dict[str, Any]:
    made: dict[str, Any] = {"role": message.speaker.value, "content": message.text}
    if message.tool_calls:
        made["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        made["tool_call_id"] = message.tool_call_id
    return made


def read_whole(body: bytes) -> Answer | Failure:
    """The answer of a response's body. Raises pydantic's ValidationError if it is none."""
    completion = Completion.model_validate_json(body)
    if not completion.choices:
        return Failure(FailureKind.INVALID, "no_choices")
    choice, usage = completion.choices[0], _usage(completion.usage)
    calls = [_tool_call(call.id, call.function) for call in choice.message.tool_calls or ()]
    return _answer(choice.finish_reason, choice.message.content, choice.message.refusal, calls, usage)


def read_stream(pieces: Iterable[Any], receive: Callable[[str], None]) -> Answer | Failure:
    """The answer of a stream; text is handed on as it comes. Without a finish reason at its end it was cut off."""
    text: list[str] = []
    refusal: list[str] = []
    calls: dict[int, _Call] = {}
    reason, usage = None, None
    for piece in pieces:
        read = Completion.model_validate(piece)
        usage = _usage(read.usage) or usage
        for choice in read.choices[:1]:
            reason = choice.finish_reason or reason
            refusal.append(choice.delta.refusal or "")
            for call in choice.delta.tool_calls or ():
                calls[call.index] = _joined(calls.get(call.index), call)
            if choice.delta.content:
                text.append(choice.delta.content)
                receive(choice.delta.content)
    made = [_tool_call(call.id, call.function) for _, call in sorted(calls.items())]
    return _answer(reason, "".join(text), "".join(refusal), made, usage)


def _joined(before: _Call | None, now: _Call) -> _Call:
    if before is None:
        return now
    old, new = before.function or _Function(), now.function or _Function()
    function = _Function(name=old.name or new.name, arguments=(old.arguments or "") + (new.arguments or ""))
    return _Call(index=before.index, id=before.id or now.id, function=function)


def _tool_call(id_: str | None, function: _Function | None) -> ToolCall:
    return ToolCall(
        id=id_ or "", name=(function and function.name) or "", arguments=(function and function.arguments) or ""
    )


def _usage(read: _Usage | None) -> Usage | None:
    if read is None:
        return None
    cached = (read.prompt_tokens_details and read.prompt_tokens_details.cached_tokens) or 0
    return Usage(input_tokens=read.prompt_tokens, cached_input_tokens=cached, output_tokens=read.completion_tokens)


def _answer(
    reason: str | None, text: str | None, refusal: str | None, calls: Iterable[ToolCall], usage: Usage | None
) -> Answer | Failure:
    if reason is None:
        return Failure(FailureKind.INVALID, "truncated", usage=usage)
    return Answer(
        finish_reason="refusal" if refusal and not text else reason[:64],
        text=text or refusal or "",
        tool_calls=tuple(calls),
        usage=usage,
    )
