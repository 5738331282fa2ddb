"""I15: the turns of an agent."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.domain.events import Event, EventType
from orchestrator.domain.states import NodeState
from orchestrator.events.rules.rule import Rule
from orchestrator.events.story import Story, Told
from orchestrator.events.violation import Violation


class Turns(Rule):
    """An agent's turns count from 1 without a gap or a double, each committed under the latest lease of its node.

    Where the front of a history is gone, they are judged from the first that is left.
    """

    invariant = "I15"
    types = frozenset({EventType.NODE_TURN.value})

    def see(self, story: Story, event: Event) -> Iterator[Violation]:
        node, turn = story.node(event.node), event.data.get("turn")
        if not isinstance(turn, int):
            yield self.fault(event, f"it is numbered {turn!r}")
            return
        before = node.turn if node.turn is not None else turn - 1 if node.state == Told.UNKNOWN else 0
        if turn != before + 1:
            yield self.fault(event, f"turn {turn} follows turn {before}")
        if node.state == Told.UNKNOWN:
            return
        if node.state != NodeState.RUNNING or node.token != event.token:
            yield self.fault(
                event, f"turn {turn} with token {event.token} is accepted; it is {node.state}, token {node.token}"
            )
