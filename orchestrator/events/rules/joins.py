"""I3: what comes before a node, and what it read."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.domain.events import Event, EventType
from orchestrator.domain.states import NodeState
from orchestrator.events.plan import Plan, PlanNode
from orchestrator.events.rules.rule import Rule
from orchestrator.events.story import Story, Told
from orchestrator.events.violation import Note, Violation

_HELD = (NodeState.RUNNING, NodeState.WAITING)
"""States in which a patch leaves the edges into a node alone."""
_SHOWN = 5


class Joins(Rule):
    """At a claim so many edges into the node can have fired as its join needs; at a skip they no longer can.

    The plan is the one of today. A patch changes edges only into nodes that nobody holds and that have not ended, so what
    seems wrong with such a node is forgotten when a patch comes.
    """

    invariant = "I3"
    types = frozenset({
        EventType.NODE_CLAIMED.value, EventType.NODE_SKIPPED.value, EventType.NODE_DROPPED.value,
        EventType.GOAL_PATCHED.value,
    })  # fmt: skip

    def __init__(self, plan: Plan, retries: int | None = None) -> None:
        super().__init__(plan, retries)
        self._suspects: dict[str, list[Violation]] = {}
        self._forgotten = 0
        self._step: set[str] = set()
        """What was skipped and dropped in an unbroken run of events: a patch tells of its own right before itself."""
        self._next = 0

    def see(self, story: Story, event: Event) -> Iterator[Violation]:
        if event.type == EventType.GOAL_PATCHED:
            self._forget(story)
            return
        if event.type != EventType.NODE_CLAIMED:
            self._step = {event.node} | (self._step if story.count == self._next else set())
            self._next = story.count + 1
        if event.type != EventType.NODE_DROPPED:
            self._judge(story, event)
        yield from ()

    def _judge(self, story: Story, event: Event) -> None:
        node = self.plan.nodes.get(event.node)
        if node is None or not node.parents:
            return
        if event.type == EventType.NODE_CLAIMED:
            fault = self._too_early(story, event, node)
        else:
            fault = self._too_hasty(story, event, node)
        if fault is not None:
            self._suspects.setdefault(event.node, []).append(fault)

    def finish(self, story: Story) -> Iterator[Violation]:  # noqa: ARG002
        for faults in self._suspects.values():
            yield from faults

    def _forget(self, story: Story) -> None:
        its_own = self._step if story.count == self._next else set[str]()
        for name in list(self._suspects):
            node = story.node(name)
            still_open = not node.ended or story.may_be_reopened(node) or name in its_own
            if node.state not in _HELD and still_open:
                self._forgotten += len(self._suspects.pop(name))

    def _too_early(self, story: Story, event: Event, node: PlanNode) -> Violation | None:
        fired, waiting = 0, []
        for source, letter in node.parents:
            if self._fired(story, source, event.node, letter) is False:
                waiting.append(source)
            else:
                fired += 1
        if fired >= node.need:
            return None
        shown = ", ".join(f"{source} is {story.node(source).state}" for source in waiting[:_SHOWN])
        more = f" and {len(waiting) - _SHOWN} more" if len(waiting) > _SHOWN else ""
        return self.fault(
            event, f"claimed when {fired} of {node.need} needed edges can have fired: {shown}{more}"
        )  # fmt: skip

    def _too_hasty(self, story: Story, event: Event, node: PlanNode) -> Violation | None:
        if story.node(event.node).state in _HELD:
            return self.fault(event, f"skipped while it was {story.node(event.node).state}")
        left = 0
        for source, letter in node.parents:
            parent = story.node(source)
            if parent.state == Told.UNKNOWN or story.may_be_reopened(parent):
                continue
            left += not parent.ended or self._fired(story, source, event.node, letter) is True
        if left < node.need:
            return None
        return self.fault(event, f"skipped although {left} edges fired or can fire, and it needs {node.need}")

    def _fired(self, story: Story, source: str, target: str, letter: str) -> bool | None:
        """Whether an edge has fired; None: perhaps."""
        parent, node = story.node(source), story.node(target)
        state = parent.state
        if state == Told.UNKNOWN or (not node.ended and node.first_claim and parent.reopened_at > node.first_claim):
            return None  # it had fired, when the node began
        if letter == "a":
            return parent.ended
        if letter == "f":
            return state == NodeState.FAILED or parent.as_failed
        if state != NodeState.DONE:
            return False
        return self.plan.holds.get((source, target)) if letter == "w" else True

    def note(self, story: Story) -> Note | None:  # noqa: ARG002
        if self._forgotten:
            return Note(f"{self._forgotten} claims and skips before a patch that may have changed their edges", False)
        return None


class Inputs(Rule):
    """What a node says it read from a parent is what the parent committed, where `record_digests` has them written down.

    A parent that ended after the node's first claim is left out: a join that does not need it may have read nothing.
    """

    invariant = "I3"
    types = frozenset({EventType.NODE_DONE.value})

    def __init__(self, plan: Plan, retries: int | None = None) -> None:
        super().__init__(plan, retries)
        self._recorded = 0

    def see(self, story: Story, event: Event) -> Iterator[Violation]:
        inputs = event.data.get("inputs")
        if not isinstance(inputs, dict):
            return
        self._recorded += 1
        node = story.node(event.node)
        for source, digest in inputs.items():
            parent = story.nodes.get(source)
            if parent is None or not parent.digest or not 0 < parent.ended_at < node.first_claim:
                continue
            if digest != parent.digest:
                yield self.fault(event, f"it read {digest} from {source}, which committed {parent.digest}")

    def note(self, story: Story) -> Note | None:  # noqa: ARG002
        return (
            None
            if self._recorded
            else Note("what the nodes read: no digests are recorded (setting record_digests)", False)
        )
