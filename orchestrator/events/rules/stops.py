"""I8: a goal that was told to stop stops."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.domain.events import Event, EventType
from orchestrator.domain.states import GoalState
from orchestrator.events.plan import Plan
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
    """After `goal.cancelling` no claim, no commit and no LLM permit; no claim while the goal is paused or not started.

    No claim of a node that is held in the goal, itself or with its agent. Agents are those of the plan of today: nodes that
    were handed to another agent are judged by their own holds only.
    """

    invariant = "I8"
    types = (frozenset(event.value for event in EventType) | {PERMIT}) - AFTER_CANCEL

    def __init__(self, plan: Plan, retries: int | None = None) -> None:
        super().__init__(plan, retries)
        self._held: set[tuple[str, str]] = set()
        self._handed: set[str] = set()

    def see(self, story: Story, event: Event) -> Iterator[Violation]:
        if story.cancelling:
            yield self.fault(event, f"{event.type} after the cancel {story.cancelling}")
        elif event.type == EventType.NODE_CLAIMED:
            yield from self._claim(story, event)
        elif event.type in (EventType.GOAL_HELD, EventType.GOAL_RELEASED):
            held = {(what, str(event.data[what])) for what in ("node", "agent") if what in event.data}
            self._held = self._held | held if event.type == EventType.GOAL_HELD else self._held - held
        elif event.type == EventType.NODE_REASSIGNED:
            self._handed.add(event.node)

    def _claim(self, story: Story, event: Event) -> Iterator[Violation]:
        if story.state == GoalState.PAUSED:
            yield self.fault(event, "claimed while the goal is paused")
        elif not story.state and story.whole:
            yield self.fault(event, "claimed before the goal was started")
        if not self._held:
            return
        known = self.plan.nodes.get(event.node)
        agent = known.agent if known is not None and event.node not in self._handed else ""
        if ("node", event.node) in self._held or ("agent", agent) in self._held:
            yield self.fault(event, "claimed while it is held")
