"""I2 and I11: how often something begins and ends."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.domain.events import Event, EventType
from orchestrator.domain.states import GoalState
from orchestrator.events.rules.rule import Rule
from orchestrator.events.story import GOAL_ENDED, Story
from orchestrator.events.violation import Violation


class OneEnd(Rule):
    """Nothing follows the end of a node or of a goal but a fence, and after a failure what a retry reopens."""

    invariant = "I2"
    types = frozenset(event.value for event in EventType) - {EventType.NODE_FENCED.value}

    def see(self, story: Story, event: Event) -> Iterator[Violation]:
        if event.node:
            node = story.node(event.node)
            if node.ended and not story.may_be_reopened(node):
                yield self.fault(event, f"{event.type} after its end: it is {node.state}")
        if event.type == EventType.GOAL_RETRIED:
            if story.state and story.state != GoalState.FAILED:
                yield self.fault(
                    event, f"{event.type} of a goal that is {story.state}; only a FAILED one can be retried"
                )
        elif story.state in GOAL_ENDED:
            yield self.fault(event, f"{event.type} after the goal's end: it is {story.state}")


class OneRun(Rule):
    """A goal is submitted once, whatever is sent how often."""

    invariant = "I11"
    types = frozenset({EventType.GOAL_SUBMITTED.value})

    def see(self, story: Story, event: Event) -> Iterator[Violation]:
        if story.count:
            yield self.fault(event, "the goal was submitted again: its id stands for two runs")
