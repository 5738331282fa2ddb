"""I5: leases do not overlap, and tokens tell them apart."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

from orchestrator.domain.events import Event, EventType
from orchestrator.domain.states import NodeState
from orchestrator.events.plan import Plan
from orchestrator.events.rules.rule import Rule
from orchestrator.events.story import NodeStory, Story, Told
from orchestrator.events.violation import Violation


class Leases(Rule):
    """A claim comes when no lease of the node is valid, with a token above all that the node had, and used by no other.

    Between nodes tokens need not rise in the order of the claims: a worker that runs ahead along a line of nodes claims
    the followers later, under tokens that were reserved for it. So the goal's free tokens are kept, not only its highest.
    """

    invariant = "I5"
    types = frozenset({
        EventType.NODE_CLAIMED.value, EventType.NODE_LOST.value, EventType.NODE_STOPPED.value,
        EventType.NODE_SKIPPED.value, EventType.NODE_DROPPED.value,
    })  # fmt: skip

    def __init__(self, plan: Plan, retries: int | None = None) -> None:
        super().__init__(plan, retries)
        self._highest = 0
        self._gaps: list[tuple[int, int]] = []
        """Tokens below the highest that no claim has shown yet: (first, behind the last), rising."""
        self._lowest_seen = 0

    def see(self, story: Story, event: Event) -> Iterator[Violation]:
        node = story.node(event.node)
        if event.type == EventType.NODE_CLAIMED:
            yield from self._claim(story, node, event)
        elif event.type in (EventType.NODE_LOST, EventType.NODE_STOPPED):
            ended = "ran out" if event.type == EventType.NODE_LOST else "was taken away"
            if node.state not in (NodeState.RUNNING, Told.UNKNOWN):
                yield self.fault(event, f"a lease {ended} that nobody held: it is {node.state}")
            elif node.token is not None and event.token != node.token:
                yield self.fault(event, f"lease {event.token} {ended}; the valid one is {node.token}")
        elif node.state == NodeState.RUNNING:
            yield self.fault(event, f"{event.type} while lease {node.token} is valid")

    def _claim(self, story: Story, node: NodeStory, event: Event) -> Iterator[Violation]:
        token = event.token
        if token is None:
            yield self.fault(event, "a claim without a token")
            return
        if node.state == NodeState.RUNNING:
            yield self.fault(event, f"claimed with token {token} while lease {node.token} is valid")
        if node.token is not None and token <= node.token:
            yield self.fault(event, f"token {token} follows {node.token}")
        elif not self._spend(story, token):
            yield self.fault(event, f"token {token} was used before")

    def _spend(self, story: Story, token: int) -> bool:
        if not self._lowest_seen:
            self._lowest_seen = token
            if not story.whole:
                self._highest = token - 1
        if token > self._highest:
            if token > self._highest + 1:
                self._gaps.append((self._highest + 1, token))
            self._highest = token
            return True
        return self._fill(token) or (not story.whole and token < self._lowest_seen)

    def _fill(self, token: int) -> bool:
        """Take a token out of its gap; whether it was in one."""
        at = bisect_right(self._gaps, token, key=lambda gap: gap[0]) - 1
        if at < 0 or not self._gaps[at][0] <= token < self._gaps[at][1]:
            return False
        first, behind = self._gaps[at]
        self._gaps[at : at + 1] = [gap for gap in ((first, token), (token + 1, behind)) if gap[0] < gap[1]]
        return True
