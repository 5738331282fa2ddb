"""The Python face: submit a goal, wait for it, look at it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from orchestrator.domain.dag import Goal
from orchestrator.domain.views import GoalStatus
from orchestrator.wiring import Chordal, connect


@cache
def _default() -> Chordal:
    return connect()


@dataclass(frozen=True, slots=True)
class Handle:
    """A goal that was submitted."""

    id: str
    chordal: Chordal

    def status(self) -> GoalStatus:
        """The goal with its nodes, as it stands now. Raises GoalNotFound after its time to live."""
        return self.chordal.status(self.id)

    def wait(self, timeout_seconds: float | None = None) -> GoalStatus:
        """The goal once it has ended. Raises TimeoutError when it has not by then; the goal goes on all the same."""
        end = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        after = "0"
        while not (summary := self.chordal.summary(self.id)).terminal:
            left = 1.0 if end is None else min(1.0, end - time.monotonic())
            if left <= 0:
                raise TimeoutError(f"goal {self.id!r} is {summary.state} after {timeout_seconds:g} s; it goes on")
            # Wakes at the next event instead of asking again and again.
            events = self.chordal.events(self.id, after, block_seconds=left)
            after = events[-1].id if events else after
        return self.status()

    def output(self, node: str) -> Any:
        """A node's output, fetched from where it is. Raises NodeNotFound."""
        return self.chordal.output(self.id, node)


def submit(goal: Mapping[str, Any] | Goal) -> Handle:
    """Store a goal and start it.

    Raises InvalidGoal with every fault and its place, GoalExists, and RedisNotReachable; nothing is stored then.
    """
    chordal = _default()
    return Handle(chordal.submit(goal), chordal)
