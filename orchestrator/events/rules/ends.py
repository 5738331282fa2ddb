"""I2 and I11: how often something begins and ends."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.domain.events import Event, EventType
from orchestrator.domain.states import GoalState, NodeState
from orchestrator.events.rules.rule import Rule
from orchestrator.events.story import GOAL_ENDED, Story
from orchestrator.events.violation import Violation

OF_ENDED_NODES = frozenset({
    EventType.NODE_REOPENED.value, EventType.NODE_EDITED.value, EventType.NODE_PRIORITY.value,
    EventType.COMMAND_APPLIED.value, EventType.COMMAND_REFUSED.value,
})  # fmt: skip
"""What may be told of a node that has ended."""
OF_FAILED_GOALS = frozenset({
    EventType.NODE_REOPENED.value, EventType.NODE_EDITED.value, EventType.GOAL_BUDGET.value,
    EventType.COMMAND_APPLIED.value,
})  # fmt: skip
"""What may be told of a goal that FAILED, before it is retried."""


class OneEnd(Rule):
    """Nothing follows the end of a node or of a goal but a fence, and after a failure what a retry reopens.

    A node that is DONE is reopened only in a goal that FAILED.
    """

    invariant = "I2"
    types = frozenset(event.value for event in EventType) - {EventType.NODE_FENCED.value}

    def see(self, story: Story, event: Event) -> Iterator[Violation]:
        if event.node:
            yield from self._after_node(story, event)
        if event.type == EventType.GOAL_RETRIED:
            if story.state and story.state != GoalState.FAILED:
                yield self.fault(
                    event, f"{event.type} of a goal that is {story.state}; only a FAILED one can be retried"
                )
        elif story.state in GOAL_ENDED and not (story.state == GoalState.FAILED and event.type in OF_FAILED_GOALS):
            yield self.fault(event, f"{event.type} after the goal's end: it is {story.state}")

    def _after_node(self, story: Story, event: Event) -> Iterator[Violation]:
        node = story.node(event.node)
        if event.type == EventType.NODE_REOPENED:
            if node.state == NodeState.DONE and story.state not in (GoalState.FAILED, ""):
                yield self.fault(event, f"it is reopened and DONE; the goal is {story.state}, not FAILED")
            elif node.state in (NodeState.DROPPED, NodeState.CANCELLED) or (story.whole and not node.ended):
                yield self.fault(event, f"it is reopened and {node.state}")
        elif node.ended and event.type not in OF_ENDED_NODES and not story.may_be_reopened(node):
            yield self.fault(event, f"{event.type} after its end: it is {node.state}")


class OneRun(Rule):
    """A goal is submitted once, whatever is sent how often."""

    invariant = "I11"
    types = frozenset({EventType.GOAL_SUBMITTED.value})

    def see(self, story: Story, event: Event) -> Iterator[Violation]:
        if story.count:
            yield self.fault(event, "the goal was submitted again: its id stands for two runs")
