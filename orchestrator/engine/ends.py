"""How running a node can end, before it is a commit."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from orchestrator.engine.payload import to_json
from orchestrator.store.records import NodeRow

TRACE_CHARACTERS: Final = 6000
ERROR_CHARACTERS: Final = 4000


@dataclass(frozen=True, slots=True)
class Turn:
    """What a step of an agent's node leaves behind, written by the script that ends its lease."""

    entries: tuple[str, ...] = ()
    """More of its transcript."""
    steered: int = 0
    """Messages from outside that it took in, the oldest ones."""
    event: Mapping[str, Any] | None = None
    """Data of the event that a turn was taken: figures and names, no text."""
    kit: tuple[str, str] | None = None
    """Digest and JSON of what the agent may use on the node, with its first step."""
    cards: tuple[tuple[str, str], ...] = ()
    """Names and JSON of agents that the goal did not bring along."""
    tools: tuple[NodeRow, ...] = ()
    """Nodes that it will wait for."""
    again: str = ""
    """What it resumes from where a message came that it has not read: then it does not end."""

    def as_json(self) -> str:
        """As the commit takes it."""
        return to_json(
            {
                "entries": self.entries,
                "steered": self.steered,
                "event": to_json(self.event) if self.event else "",
                **({"kit": self.kit} if self.kit else {}),
                "cards": self.cards,
                **({"again": self.again} if self.again else {}),
                "tools": [[str(value) for value in row.args()] for row in self.tools],
            }
        )


@dataclass(frozen=True, slots=True)
class Done:
    """It has an output."""

    output: Any = None
    about: Mapping[str, Any] | None = None
    """What its event says besides: tokens and money of a model call."""
    turn: Turn | None = None
    after: Callable[[], None] | None = None
    """What this process does once the end is committed."""


@dataclass(frozen=True, slots=True)
class Failed:
    """It failed; whether it is tried again is not decided here."""

    reason: str
    """error, timeout, unknown function, bad input, child, items, llm, agent, tool."""
    error: str
    trace: str = ""
    final: bool = False
    """A retry could not help: the goal is wrong, not the moment."""
    retries: int | None = None
    """How often the node is tried again, where that is not the node's to say."""
    seconds: float | None = None
    """The pause before the next attempt; None: the node's back-off."""
    turn: Turn | None = None
    after: Callable[[], None] | None = None
    """What this process does once the end is committed; a retry is none."""

    def as_json(self) -> str:
        """The failure as it is kept in the dead letters."""
        fields = {"reason": self.reason, "error": self.error[:ERROR_CHARACTERS]}
        if self.trace:
            fields["trace"] = self.trace[-TRACE_CHARACTERS:]
        return to_json({name: text.encode("utf-8", "replace").decode() for name, text in fields.items()})


@dataclass(frozen=True, slots=True)
class Parked:
    """It waits, and holds nothing meanwhile."""

    reason: str
    """backoff, timer, signal:<name>, approval, child:<goal>, items, tools, children, deferred, task, llm:<account>."""
    then: str
    """What a timer does: done, failed, ready or retry."""
    seconds: float | None = None
    output: Any = None
    failure: Failed | None = None
    resume: str = ""
    why: str = ""
    """What went wrong before, if anything: it stands in the event."""
    turn: Turn | None = None
    after: Callable[[], None] | None = None
    """What this process does once the park is committed."""

    def as_json(self) -> str:
        """The note that the store keeps."""
        note: dict[str, Any] = {"reason": self.reason, "then": self.then}
        if self.then == "done":
            note["output"] = to_json(self.output)
        if self.failure is not None:
            note["failure"] = self.failure.as_json()
        if self.why:
            note["why"] = self.why[:ERROR_CHARACTERS]
        if self.resume:
            note["resume"] = self.resume
        return to_json(note)


@dataclass(frozen=True, slots=True)
class HandBack:
    """It was not run, or stopped by the worker's shutdown; someone else may."""


End = Done | Failed | Parked | HandBack


def failed_by(error: BaseException, reason: str = "error", final: bool = False) -> Failed:
    """The failure that an exception stands for."""
    text = str(error)
    name = type(error).__name__
    lines = traceback.format_exception(type(error), error, error.__traceback__)
    return Failed(reason, f"{name}: {text}" if text else name, "".join(lines), final)


@dataclass(slots=True)
class Durations:
    """How long nodes of each kind of work take here: a moving average in seconds, by what they call."""

    mean: dict[str, float] = field(default_factory=dict)

    def note(self, call: str, seconds: float) -> None:
        """One more measurement."""
        before = self.mean.get(call)
        self.mean[call] = seconds if before is None else before * 0.8 + seconds * 0.2

    def short(self, call: str, limit_seconds: float) -> bool:
        """Whether this work was measured to be short."""
        return self.mean.get(call, limit_seconds) < limit_seconds
