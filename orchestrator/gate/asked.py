"""What a node that waits for its call keeps beside its parked record."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Final, Self

from orchestrator.domain.lease import Lease
from orchestrator.gate.place import Place
from orchestrator.llm.course import Progress

PREFIX: Final = "llm:"


@dataclass(frozen=True, slots=True)
class Asked:
    """A call of a node, as it goes on from message to message. Times are Redis time, ms."""

    progress: Progress = field(default_factory=Progress)
    number: int = 1
    since_ms: int = 0
    """When the node first asked."""
    asked_ms: int = 0
    """When it joined the line this time; 0: it did not yet."""
    looks: int = 0
    """How often the timer has looked whether it still waits."""
    limit: int = 0
    """Output tokens that are reserved in the line."""
    line: str = ""
    """Where it waits: an account, or a model of it with limits of its own."""
    model: str = ""
    """The model that it waits for; '' while it does not stand in the line."""
    tokens: int = 0
    """Input tokens of the request when it joined."""

    def as_text(self) -> str:
        """As the parked record resumes from it."""
        return PREFIX + json.dumps(
            [
                self.progress.as_json(),
                self.number,
                self.since_ms,
                self.asked_ms,
                self.looks,
                self.limit,
                self.line,
                self.model,
                self.tokens,
            ],
            separators=(",", ":"),
        )

    @classmethod
    def of(cls, text: str) -> Self:
        """From `as_text`; anything else is a call that begins."""
        if not text.startswith(PREFIX):
            return cls()
        progress, *rest = json.loads(text.removeprefix(PREFIX))
        return cls(Progress.of(progress), *rest)

    def place(self, lease: Lease, run: str) -> Place:
        """Where it stands in the line."""
        return Place(lease.goal, lease.node, lease.attempt, self.number, run)

    def after_pause(self, resumed_ms: int) -> Self:
        """With its clocks begun when the goal went on, if it was paused meanwhile."""
        if not self.since_ms or self.since_ms >= resumed_ms:
            return self
        asked_ms = self.asked_ms and max(self.asked_ms, resumed_ms)
        return replace(self, since_ms=resumed_ms, asked_ms=asked_ms)

    def following(self) -> Self:
        """For the next call of the same attempt of the node: nothing is reserved, and its time begins anew."""
        return replace(self.anew(Progress()), limit=0, since_ms=0)

    def anew(self, progress: Progress) -> Self:
        """To ask again, with another place in the line."""
        return replace(self, progress=progress, number=self.number + 1, asked_ms=0, looks=0, model="")
