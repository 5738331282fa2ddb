"""What a scripted model answers: the steps of a file, and which calls each is for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from orchestrator.domain.document import parse_json, parse_yaml
from orchestrator.domain.errors import Fault, InvalidGoal
from orchestrator.llm.calls import Answer, Call
from orchestrator.llm.failures import FailureKind, InvalidProfiles
from orchestrator.llm.messages import Speaker, ToolCall, Usage
from orchestrator.llm.tokens import count_request, count_text

MOST_BYTES: Final = 4_194_304
"""Of a script."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ScriptedFailure(_Record):
    """A failure to answer with."""

    kind: Annotated[FailureKind, Field(strict=False)]
    """Its class."""
    code: str = ""
    """The provider's short code."""
    status: int | None = None
    """The HTTP status."""
    retry_after_seconds: float | None = None
    """How long the provider asks to be left alone."""


class Step(_Record):
    """One answer, and the calls that it is for: all conditions that are given must hold."""

    model: str | None = None
    """The profile's model that is asked."""
    role: str | None = None
    """The role of the call; of an agent's turn, the agent's role."""
    contains: str | None = None
    """A text that stands in one of the messages."""
    last_contains: str | None = None
    """A text that stands in the last message, the results of tools after it included."""
    turn: int | None = Field(None, ge=1)
    """So many answers of the model stand in the conversation, this one included."""
    has_tool: str | None = None
    """The call offers a tool of this name."""
    times: int | None = Field(1, ge=1)
    """How many calls it answers, in each process; null: any number."""

    text: str = ""
    """The answer."""
    value: Any = None
    """A JSON value as the answer's text, where `text` is left out."""
    tool_calls: Annotated[tuple[ToolCall, ...], Field(strict=False)] = ()
    """Tools to be called: `name`, `arguments` (a mapping, or the JSON text as it is) and, if it matters, `id`."""
    finish_reason: str = ""
    """Left out: `tool_calls` if there are any, else `stop`."""
    usage: Usage | None = None
    """Counted from the texts where it is left out."""
    failure: ScriptedFailure | None = None
    """Fail in this way instead."""
    delay_seconds: float = Field(0.0, ge=0, le=3600, allow_inf_nan=False, strict=False)
    """How long the answer takes."""

    @field_validator("tool_calls", mode="before")
    @classmethod
    def _as_texts(cls, value: Any) -> Any:
        return [_as_call(one) for one in value] if isinstance(value, list) else value

    @model_validator(mode="after")
    def _says_one_thing(self) -> Step:
        if self.text and self.value is not None:
            raise ValueError("either text or value, not both")
        return self

    def fits(self, call: Call) -> bool:
        """Is it for this call?"""
        asked = call.request
        return (
            self.model in (None, call.model)
            and self.role in (None, asked.role)
            and self.turn in (None, turn_of(call))
            and (self.contains is None or any(self.contains in message.text for message in asked.messages))
            and (self.last_contains is None or self.last_contains in _said_last(call))
            and (self.has_tool is None or any(tool.name == self.has_tool for tool in asked.tools))
        )

    def answer(self, call: Call) -> Answer:
        """What it says to the call."""
        text = self.text or ("" if self.value is None else json.dumps(self.value, ensure_ascii=False))
        calls = tuple(
            one if one.id else one.model_copy(update={"id": f"call_{turn_of(call)}_{index}"})
            for index, one in enumerate(self.tool_calls)
        )
        reason = self.finish_reason or ("tool_calls" if calls else "stop")
        written = text + "".join(one.arguments for one in calls)
        return Answer(reason, text, calls, self.usage or counted(call, written))


def read_script(path: Path) -> list[Step]:
    """The steps of a YAML or JSON file, a list. Raises InvalidProfiles with every fault, each with file and place."""
    try:
        raw = _read(path)
        if not isinstance(raw, list):
            raise InvalidGoal([Fault("document", "a script is a list of steps")])
    except InvalidGoal as error:
        raise InvalidProfiles(
            [Fault(f"{path}: {one.place}", one.message, one.remedy) for one in error.faults]
        ) from None
    steps, faults = [], []
    for index, item in enumerate(raw):
        try:
            steps.append(Step.model_validate(item))
        except ValidationError as error:
            faults += [_as_fault(f"{path}: [{index}]", detail) for detail in error.errors(include_url=False)]
    if faults:
        raise InvalidProfiles(faults)
    return steps


def _read(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            text = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise InvalidGoal([Fault("file", f"it cannot be read: {error.strerror}")]) from None
    if len(text) > MOST_BYTES:
        raise InvalidGoal([Fault("file", f"it has more than {MOST_BYTES:,} bytes")])
    return parse_json(text) if path.suffix == ".json" else parse_yaml(text)


def _as_fault(place: str, detail: Any) -> Fault:
    inside = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in detail["loc"])
    if detail["type"] == "extra_forbidden":
        return Fault(place + inside, "there is no such field", f"known fields: {', '.join(Step.model_fields)}")
    if detail["type"] == "missing":
        return Fault(place + inside, "it is missing")
    return Fault(place + inside, str(detail["msg"]).removeprefix("Value error, "))


def _as_call(raw: Any) -> Any:
    """A tool call as it is written in a script: the id may be left out, the arguments may be a mapping."""
    if not isinstance(raw, Mapping):
        return raw
    arguments = raw.get("arguments", {})
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return {"id": "", **raw, "arguments": text}


def turn_of(call: Call) -> int:
    """Which answer of the conversation this call asks for, counted from 1."""
    return 1 + sum(message.speaker is Speaker.ASSISTANT for message in call.request.messages)


def _said_last(call: Call) -> str:
    """The last message, or, where results of tools end the conversation, all of them."""
    texts: list[str] = []
    for message in reversed(call.request.messages):
        if texts and message.speaker is not Speaker.TOOL:
            break
        texts.append(message.text)
        if message.speaker is not Speaker.TOOL:
            break
    return "\n".join(reversed(texts))


def counted(call: Call, text: str) -> Usage:
    """Usage as it is counted without a vocabulary."""
    return Usage(input_tokens=count_request(call.request, None), output_tokens=count_text(text, None))
