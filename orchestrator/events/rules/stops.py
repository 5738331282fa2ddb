"""I8: a goal that was told to stop stops."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.domain.events import Event, EventType
from orchestrator.domain.states import GoalState
from orchestrator.events.rules.permits import PERMIT
from orchestrator.events.rules.rule import Rule
from orchestrator.events.story import Story
from orchestrator.events.violation import Violation

AFTER_CANCEL = frozenset({
    EventType.NODE_CANCELLED.value, EventType.NODE_FENCED.value, EventType.NODE_SKIPPED.value,
    EventType.GOAL_CANCELLED.value, EventType.GOAL_FAILED.value,
})  # fmt: skip
"""What may follow an accepted cancel: its own work, and edges that were still being resolved."""


class Stops(Rule):
    """After `goal.cancelling` no claim, no commit and no LLM permit; no claim while the goal is paused or not started."""

    invariant = "I8"
    types = (frozenset(event.value for event in EventType) | {PERMIT}) - AFTER_CANCEL

    def see(self, story: Story, event: Event) -> Iterator[Violation]:
        if story.cancelling:
            yield self.fault(event, f"{event.type} after the cancel {story.cancelling}")
        elif event.type == EventType.NODE_CLAIMED and story.state == GoalState.PAUSED:
            yield self.fault(event, "claimed while the goal is paused")
        elif event.type == EventType.NODE_CLAIMED and not story.state and story.whole:
            yield self.fault(event, "claimed before the goal was started")
