"""I13: attempts are counted, and limited."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.domain.events import Event, EventType
from orchestrator.events.plan import Plan
from orchestrator.events.rules.rule import Rule
from orchestrator.events.story import NodeStory, Story, Told
from orchestrator.events.violation import Note, Violation


class Attempts(Rule):
    """An attempt that failed is followed by another no more often than `retries` says; a retry of the goal counts anew.

    A claim begins the next attempt or goes on with the last one: one that was parked, or handed back unstarted.
    """

    invariant = "I13"
    types = frozenset({EventType.NODE_CLAIMED.value, EventType.NODE_RETRY.value, EventType.NODE_FAILED.value})

    def __init__(self, plan: Plan, retries: int | None = None) -> None:
        super().__init__(plan, retries)
        self._unlimited = False

    def see(self, story: Story, event: Event) -> Iterator[Violation]:
        node = story.node(event.node)
        if event.type == EventType.NODE_CLAIMED:
            yield from self._number(node, event)
        elif event.type == EventType.NODE_RETRY:
            yield from self._limit(node, event)
        elif not event.data.get("reason"):
            yield self.fault(event, "it failed without a reason")

    def _number(self, node: NodeStory, event: Event) -> Iterator[Violation]:
        known = node.attempt or node.state != Told.UNKNOWN
        if known and event.attempt is not None and event.attempt - node.attempt not in (0, 1):
            yield self.fault(event, f"attempt {event.attempt} follows {node.attempt}")

    def _limit(self, node: NodeStory, event: Event) -> Iterator[Violation]:
        known = self.plan.nodes.get(event.node)
        own = None if known is None else known.retries
        most = self.retries if own is None else own
        if most is None:
            self._unlimited = True
        elif node.failures >= most:
            whose = "" if own is not None else " by the setting here"
            yield self.fault(
                event, f"failure {node.failures + 1} is followed by another attempt; it has {most} retries{whose}"
            )

    def note(self, story: Story) -> Note | None:  # noqa: ARG002
        if self._unlimited:
            return Note("nodes without a limit of their own: the setting node_retries is not known here", False)
        return None
