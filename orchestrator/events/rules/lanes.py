"""I6: a lane is a line of which only the head runs."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.domain.events import Event, EventType
from orchestrator.domain.states import NodeState
from orchestrator.events.plan import Plan
from orchestrator.events.rules.rule import Rule
from orchestrator.events.story import Story
from orchestrator.events.violation import Note, Violation


class Lanes(Rule):
    """From its first claim to its end a node is alone in its lane, through retries, parks and lost leases.

    Where a claim says its `place` in the line (data, a number given when the node became ready), places rise from one
    node of the lane to the next and stay the same for one node.
    """

    invariant = "I6"
    types = frozenset({EventType.NODE_CLAIMED.value, EventType.NODE_REOPENED.value, EventType.GOAL_PATCHED.value})

    def __init__(self, plan: Plan, retries: int | None = None) -> None:
        super().__init__(plan, retries)
        self._head: dict[str, str] = {}
        self._place: dict[str, tuple[float, str]] = {}
        self._without_place = False
        self._loosened = False

    def see(self, story: Story, event: Event) -> Iterator[Violation]:
        known = self.plan.nodes.get(event.node)
        if event.type != EventType.NODE_CLAIMED:
            self._loosen(story)
            if known is not None and known.lane and event.type == EventType.NODE_REOPENED:
                self._stand_anew(known.lane, event.node)
            return
        if known is None or not known.lane:
            return
        lane, head = known.lane, self._head.get(known.lane, "")
        if head and head != event.node and not story.node(head).ended:
            yield self.fault(event, f"claimed in lane {lane} while {head} is in flight ({story.node(head).state})")
        yield from self._in_order(story, lane, event)
        self._head[lane] = event.node

    def _in_order(self, story: Story, lane: str, event: Event) -> Iterator[Violation]:
        place = event.data.get("place")
        if place is None:
            self._without_place = True
            return
        before, who = self._place.get(lane, (float("-inf"), ""))
        self._place[lane] = (place, event.node)
        if who == event.node and not story.node(who).ended:
            if place < before or (place > before and not self._loosened):
                yield self.fault(event, f"its place in lane {lane} was {before:g} and is {place:g}")
        elif place <= before:
            yield self.fault(event, f"place {place:g} of lane {lane} follows {before:g}, that of {who}")

    def _stand_anew(self, lane: str, node: str) -> None:
        """A node that runs again joins the end of the line."""
        if self._head.get(lane) == node:
            del self._head[lane]
        place, who = self._place.get(lane, (float("-inf"), ""))
        if who == node:
            self._place[lane] = place, ""

    def _loosen(self, story: Story) -> None:
        """A patch, or a retry while the goal runs, may have taken a node that nobody holds out of its line, to stand there anew."""
        self._loosened = True
        for lane, head in list(self._head.items()):
            if story.node(head).state not in (NodeState.RUNNING, NodeState.WAITING):
                del self._head[lane]

    def note(self, story: Story) -> Note | None:  # noqa: ARG002
        if not any(self.plan.lanes()):
            return Note("no node has a lane", True)
        if self._without_place:
            return Note("the order in line: the claims do not say their place", False)
        return None
