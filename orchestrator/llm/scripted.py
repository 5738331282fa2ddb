"""Stand-ins for a provider: one that answers from a script, for tests and demonstrations, and one that answers at once,
for throughput."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from orchestrator.llm.calls import Answer, Call
from orchestrator.llm.failures import Failure, FailureKind
from orchestrator.llm.messages import Usage
from orchestrator.llm.script import Step, read_script
from orchestrator.llm.tokens import count_request

__all__ = ["Instant", "Scripted", "Step", "read_script"]

_PIECE: Final = 16
_LOOK_SECONDS: Final = 0.1


class Scripted:
    """Answers each call with the first step that fits and is not used up; a call that none fits is refused.

    The same calls in the same order get the same answers. What is used up counts in this process. Safe to share between
    threads.
    """

    def __init__(self, steps: Iterable[Step], keep: bool = True) -> None:
        """With `keep` it remembers what was asked."""
        self._keep = keep
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
            if self._keep:
                self.calls.append(call)
            for index, step in enumerate(self._steps):
                if (step.times is None or self._used[index] < step.times) and step.fits(call):
                    self._used[index] += 1
                    break
            else:
                return Failure(FailureKind.FATAL, "no_script", sent=False)
        if step.delay_seconds and (failure := _wait(call, step.delay_seconds)):
            return failure
        if step.failure is not None:
            return Failure(**step.failure.model_dump())
        answer = step.answer(call)
        if call.receive is not None:
            for at in range(0, len(answer.text), _PIECE):
                call.receive(answer.text[at : at + _PIECE])
        return answer


def _wait(call: Call, seconds: float) -> Failure | None:
    """Take time over an answer, as long as it is waited for."""
    end = time.monotonic() + seconds
    while (now := time.monotonic()) < end:
        if now >= call.until:
            return Failure(FailureKind.TIMEOUT)
        if call.cancelled():
            return Failure(FailureKind.CANCELLED)
        time.sleep(min(_LOOK_SECONDS, end - now, call.until - now))
    return None


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
