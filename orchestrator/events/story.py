"""The state of a goal and its nodes as the events tell it. Rules see an event with the story as it was before."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from orchestrator.domain.events import Event, EventType
from orchestrator.domain.states import GOAL_TERMINAL, NODE_TERMINAL, GoalState, NodeState

ENDED: Final = frozenset(state.value for state in NODE_TERMINAL)
GOAL_ENDED: Final = frozenset(state.value for state in GOAL_TERMINAL)


class Told(StrEnum):
    """States that the events tell apart, beside the node states that they name."""

    UNKNOWN = "unknown"  # the head of the history is gone
    OPEN = "open"  # BLOCKED or READY: becoming ready is no event
    BACKOFF = "backing off"  # parked until its next attempt, or READY at once
    WOKEN = "woken"  # READY, or about to end in the very next event


_MOVES: Final = {
    EventType.NODE_CLAIMED: NodeState.RUNNING,
    EventType.NODE_DONE: NodeState.DONE,
    EventType.NODE_FAILED: NodeState.FAILED,
    EventType.NODE_SKIPPED: NodeState.SKIPPED,
    EventType.NODE_DROPPED: NodeState.DROPPED,
    EventType.NODE_CANCELLED: NodeState.CANCELLED,
    EventType.NODE_WAITING: NodeState.WAITING,
    EventType.NODE_RETRY: Told.BACKOFF,
    EventType.NODE_WOKEN: Told.WOKEN,
    EventType.NODE_RELEASED: Told.OPEN,
    EventType.NODE_LOST: Told.OPEN,
    EventType.NODE_STOPPED: Told.OPEN,
    EventType.NODE_REOPENED: Told.OPEN,
}
_GOAL_MOVES: Final = {
    EventType.GOAL_STARTED: GoalState.RUNNING,
    EventType.GOAL_PAUSED: GoalState.PAUSED,
    EventType.GOAL_RESUMED: GoalState.RUNNING,
    EventType.GOAL_RETRIED: GoalState.RUNNING,
    EventType.GOAL_DONE: GoalState.DONE,
    EventType.GOAL_FAILED: GoalState.FAILED,
    EventType.GOAL_CANCELLED: GoalState.CANCELLED,
}
_NODE: Final[dict[str, str]] = {event.value: state.value for event, state in _MOVES.items()}
_GOAL: Final[dict[str, str]] = {event.value: state.value for event, state in _GOAL_MOVES.items()}


@dataclass(slots=True)
class NodeStory:
    """One node so far."""

    state: str = Told.OPEN.value
    token: int | None = None
    """Of its latest claim."""
    attempt: int = 0
    failures: int = 0
    """Attempts that failed and were followed by another, since it was last reopened."""
    first_claim: int = 0
    """Number of the event that claimed it first, since it was last reopened."""
    ended_at: int = 0
    """Number of the event that ended it."""
    life: int = 0
    """The goal's life in which it ended."""
    digest: str = ""
    """Of its committed output, where that is recorded."""
    fenced: set[int] | None = None
    """Tokens whose commit was refused."""
    turn: int | None = None
    """Of the latest turn of an agent."""
    as_failed: bool = False
    """It was dropped, and counts as failed."""
    reopened_at: int = 0
    """Number of the event that reopened it last."""

    @property
    def ended(self) -> bool:
        """Whether it is in a terminal state."""
        return self.state in ENDED


@dataclass(slots=True)
class Story:
    """One goal so far."""

    nodes: dict[str, NodeStory] = field(default_factory=dict)
    count: int = 0
    """Events so far."""
    whole: bool = True
    """The history begins with the submission; else its head was trimmed."""
    first: str = ""
    """Stream id of the first event."""
    state: str = ""
    """The goal's, or empty while no event has told it."""
    cancelling: str = ""
    """Stream id of the accepted cancel."""
    life: int = 0
    """How often the goal was retried."""
    patches: int = 0
    previous: Event | None = None

    def node(self, name: str) -> NodeStory:
        """The node's story so far."""
        found = self.nodes.get(name)
        if found is None:
            state = Told.OPEN if self.whole else Told.UNKNOWN
            found = self.nodes[name] = NodeStory(state.value)
        return found

    def may_be_reopened(self, node: NodeStory) -> bool:
        """A retry of the goal since the node's end may have set it going again; no event says which nodes."""
        return node.state in (NodeState.FAILED, NodeState.SKIPPED) and node.life < self.life

    def begin(self, event: Event) -> None:
        """Before the rules see the first event."""
        self.first = event.id
        self.whole = event.type == EventType.GOAL_SUBMITTED

    def tell(self, event: Event) -> None:
        """Take the event in, whether it was legal or not."""
        self.count += 1
        if event.node:
            self._tell_node(event)
        elif event.type in _GOAL:
            self._tell_goal(event)
        elif event.type == EventType.GOAL_CANCELLING:
            self.cancelling = event.id
        elif event.type == EventType.GOAL_PATCHED:
            self.patches += 1
        self.previous = event

    def _tell_goal(self, event: Event) -> None:
        self.state = _GOAL[event.type]
        if self.state in GOAL_ENDED:
            self.cancelling = ""
        if event.type == EventType.GOAL_RETRIED:
            self.life += 1

    def _tell_node(self, event: Event) -> None:
        node = self.node(event.node)
        if event.type == EventType.NODE_FENCED:
            # A refused call with the very token that is valid differs in its nonce: the holder may still commit.
            if event.token is not None and (node.state != NodeState.RUNNING or event.token != node.token):
                node.fenced = (node.fenced or set()) | {event.token}
            return
        if event.type == EventType.NODE_TURN and isinstance(event.data.get("turn"), int):
            node.turn, node.failures = event.data["turn"], 0
        state = _NODE.get(event.type)
        if state is None:
            return
        if event.type == EventType.NODE_CLAIMED:
            self._claim(node, event)
        elif event.type == EventType.NODE_RETRY:
            node.failures += 1
        elif event.type == EventType.NODE_REOPENED:
            node.reopened_at, node.first_claim, node.failures, node.digest = self.count, 0, 0, ""
        elif state in ENDED:
            node.ended_at, node.life = self.count, self.life
            node.as_failed = event.data.get("as") == "failed"
            node.digest = str(event.data.get("output", "")) if event.type == EventType.NODE_DONE else ""
        node.state = state

    def _claim(self, node: NodeStory, event: Event) -> None:
        if node.ended or not node.first_claim:
            node.first_claim, node.failures = self.count, 0
        if node.fenced and event.token in node.fenced:
            # A server that lost the end of its history gives a token out again, with another nonce.
            node.fenced.discard(event.token)
        node.token = event.token
        node.attempt = event.attempt or node.attempt
