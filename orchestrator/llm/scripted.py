"""Stand-ins for a provider: one that answers from a script, for tests, and one that answers at once, for throughput."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from orchestrator.domain.document import parse_json, parse_yaml
from orchestrator.domain.errors import Fault
from orchestrator.llm.calls import Answer, Call
from orchestrator.llm.failures import Failure, FailureKind, InvalidProfiles
from orchestrator.llm.messages import ToolCall, Usage
from orchestrator.llm.tokens import count_request, count_text

_PIECE: Final = 16


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ScriptedFailure(_Record):
    """A failure to answer with."""

    kind: Annotated[FailureKind, Field(strict=False)]
    code: str = ""
    status: int | None = None
    retry_after_seconds: float | None = None


class Step(_Record):
    """One answer, and the calls that it is for: all conditions that are given must hold."""

    model: str | None = None
    role: str | None = None
    contains: str | None = None
    """A text that stands in one of the messages."""
    times: int | None = Field(1, ge=1)
    """How many calls it answers; null: any number."""

    text: str = ""
    tool_calls: Annotated[tuple[ToolCall, ...], Field(strict=False)] = ()
    finish_reason: str = "stop"
    usage: Usage | None = None
    """Counted from the texts where it is left out."""
    failure: ScriptedFailure | None = None

    def fits(self, call: Call) -> bool:
        """Is it for this call?"""
        asked = call.request
        return (
            (self.model is None or self.model == call.model)
            and (self.role is None or self.role == asked.role)
            and (self.contains is None or any(self.contains in message.text for message in asked.messages))
        )


class Scripted:
    """Answers each call with the first step that fits and is not used up; a call that none fits is refused.

    The same calls in the same order get the same answers. Safe to share between threads.
    """

    def __init__(self, steps: Iterable[Step]) -> None:
        self._steps = list(steps)
        self._used = [0] * len(self._steps)
        self._lock = threading.Lock()
        self.calls: list[Call] = []
        """What was asked, in order."""

    def close(self) -> None:
        """Nothing is open."""

    def send(self, call: Call) -> Answer | Failure:
        """As the script says; `no_script` where it says nothing."""
        with self._lock:
            self.calls.append(call)
            for index, step in enumerate(self._steps):
                if (step.times is None or self._used[index] < step.times) and step.fits(call):
                    self._used[index] += 1
                    break
            else:
                return Failure(FailureKind.FATAL, "no_script", sent=False)
        if step.failure is not None:
            return Failure(**step.failure.model_dump())
        if call.receive is not None:
            for at in range(0, len(step.text), _PIECE):
                call.receive(step.text[at : at + _PIECE])
        return Answer(step.finish_reason, step.text, step.tool_calls, step.usage or counted(call, step.text))


def read_script(path: Path) -> list[Step]:
    """The steps of a YAML or JSON file, a list. Raises InvalidProfiles with every fault."""
    text = path.read_bytes()
    raw: Any = parse_json(text) if path.suffix == ".json" else parse_yaml(text)
    if not isinstance(raw, list):
        raise InvalidProfiles([Fault("document", "a script is a list of steps")])
    steps, faults = [], []
    for index, item in enumerate(raw):
        try:
            steps.append(Step.model_validate(item))
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                place = ".".join([f"[{index}]", *map(str, detail["loc"])])
                faults.append(Fault(place, detail["msg"]))
    if faults:
        raise InvalidProfiles(faults)
    return steps


@dataclass(frozen=True, slots=True)
class Instant:
    """Answers at once, or after a while, with a text of the wanted length: to measure everything but the model."""

    output_tokens: Callable[[Call], int] = lambda call: min(8, call.max_output_tokens)
    seconds: Callable[[Call], float] = lambda call: 0.0  # noqa: ARG005
    sleep: Callable[[float], None] = field(default=time.sleep)
    input_tokens: int | None = None
    """None: counted, which costs more than all the rest."""

    def close(self) -> None:
        """Nothing is open."""

    def send(self, call: Call) -> Answer | Failure:
        """A text of `output_tokens` words."""
        seconds = self.seconds(call)
        if call.until - time.monotonic() < seconds:
            return Failure(FailureKind.TIMEOUT)
        if seconds > 0:
            self.sleep(seconds)
        count = min(self.output_tokens(call), call.max_output_tokens)
        text = " ".join(["word"] * count)
        if call.receive is not None:
            call.receive(text)
        given = self.input_tokens if self.input_tokens is not None else count_request(call.request, None)
        return Answer("stop", text, usage=Usage(input_tokens=given, output_tokens=count))


def counted(call: Call, text: str) -> Usage:
    """Usage as it is counted without a vocabulary."""
    return Usage(input_tokens=count_request(call.request, None), output_tokens=count_text(text, None))
