"""I1 and I14: who may commit, and what a refused commit may not do."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.domain.events import Event, EventType
from orchestrator.domain.states import NodeState
from orchestrator.events.rules.rule import Rule
from orchestrator.events.story import NodeStory, Story, Told
from orchestrator.events.violation import Violation

BY_LEASE = frozenset({
    EventType.NODE_DONE.value, EventType.NODE_FAILED.value, EventType.NODE_RETRY.value, EventType.NODE_WAITING.value,
    EventType.NODE_RELEASED.value,
})  # fmt: skip
"""Events with which a worker ends a lease."""


class OneCommit(Rule):
    """A commit shows the token of the node's latest claim, and the node is RUNNING.

    Two others end nodes: an answer, timer or child that wakes a parked node ends it in the event after `node.woken`, and
    the reaper fails a node in the event after `node.lost`.
    """

    invariant = "I1"
    types = BY_LEASE

    def see(self, story: Story, event: Event) -> Iterator[Violation]:
        node = story.node(event.node)
        if node.state == Told.UNKNOWN or _in_the_same_step(story, event):
            return
        if event.token is None:
            yield self.fault(event, f"{event.type} by nobody's lease, and it was not woken; it is {node.state}")
        elif node.state != NodeState.RUNNING:
            yield self.fault(event, f"{event.type} with token {event.token} is accepted; it is {node.state}")
        elif event.token != node.token:
            yield self.fault(
                event, f"{event.type} with token {event.token} is accepted; the latest claim has {node.token}"
            )


def _in_the_same_step(story: Story, event: Event) -> bool:
    before = story.previous
    if before is None or before.node != event.node:
        return before is None
    if before.type == EventType.NODE_WOKEN:
        return event.type in (EventType.NODE_DONE, EventType.NODE_FAILED) and event.token is None
    return (
        before.type == EventType.NODE_LOST and event.type == EventType.NODE_FAILED and event.token == before.token
    )  # fmt: skip


class Fence(Rule):
    """A token that was refused once is never accepted; only the holder of a map's lease adds its items."""

    invariant = "I14"
    types = BY_LEASE | {EventType.NODE_EXPANDED.value}

    def see(self, story: Story, event: Event) -> Iterator[Violation]:
        node = story.node(event.node)
        if event.token is not None and node.fenced and event.token in node.fenced:
            yield self.fault(event, f"{event.type} with token {event.token}, which was fenced before")
        if event.type == EventType.NODE_EXPANDED and not _holds(node, event):
            yield self.fault(
                event, f"items were added with token {event.token}; it is {node.state}, token {node.token}"
            )


def _holds(node: NodeStory, event: Event) -> bool:
    return node.state == Told.UNKNOWN or (node.state == NodeState.RUNNING and node.token == event.token)
