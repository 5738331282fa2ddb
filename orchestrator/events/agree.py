"""What is stored agrees with what happened: ends, commits, outputs, dead letters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from orchestrator.domain.states import GoalState
from orchestrator.events.places import some
from orchestrator.events.plan import Plan
from orchestrator.events.stored import Stored, digest
from orchestrator.events.story import ENDED, GOAL_ENDED, NodeStory, Story, Told
from orchestrator.events.violation import Violation

_NOT_STARTED: Final = frozenset({"BLOCKED", "READY"})
_MAY_BE: Final[dict[str, frozenset[str]]] = {
    Told.OPEN.value: _NOT_STARTED,
    Told.WOKEN.value: _NOT_STARTED,
    Told.BACKOFF.value: _NOT_STARTED | {"WAITING"},
    "RUNNING": frozenset({"RUNNING"}),
    "WAITING": frozenset({"WAITING"}),
}
"""What may be stored where the events tell this."""

_NOTHING: Final = digest("")
"""Of the output null, which is not stored."""


def goal_end(stored: Stored, story: Story, plan: Plan) -> Iterator[Violation]:
    """I2, I4: the goal has ended exactly when its last node has, as its failures say, and its history says the same."""
    state, left = stored.state, stored.number("left")
    if (state in GOAL_ENDED) != (story.state in GOAL_ENDED) and (story.whole or story.state):
        yield Violation("I2", "", "", f"the goal is {state}; in its history it is {story.state or 'not started'}")
    if stored.cancelling:
        return
    if state in GOAL_ENDED and left and not _reopening(stored, story):
        yield Violation("I2", "", "", f"the goal is {state} and {left} nodes have not ended")
    if state not in GOAL_ENDED and not left:
        yield Violation("I4", "", "", f"the goal is {state} and every node has ended")
    if (state in GOAL_ENDED) != ("ended" in stored.record):
        yield Violation("I2", "", "", f"the goal is {state} and its end is {stored.record.get('ended')}")
    as_failed = {name for name in stored.within("DROPPED") if stored.tasks[name].dropped_as == "f"}
    unhandled = (stored.within("FAILED") | as_failed) - plan.handled
    if state == GoalState.DONE and unhandled:
        yield Violation("I2", "", "", f"the goal is DONE and failures are unhandled: {some(unhandled)}")
    if state == GoalState.FAILED and not unhandled and not left and not stored.within("CANCELLED"):
        yield Violation("I2", "", "", "the goal FAILED and every failure is handled")


def _reopening(stored: Stored, story: Story) -> bool:
    """A retry that has not come to its last piece: what it reopened had FAILED or was SKIPPED, or an event tells of it."""
    if stored.state != GoalState.FAILED or stored.within("RUNNING", "WAITING"):
        return False
    told = [story.node(name) for name in stored.within(*_NOT_STARTED)]
    return all(node.state in ("FAILED", "SKIPPED", Told.UNKNOWN) or node.reopened_at for node in told)


def nodes(stored: Stored, story: Story) -> Iterator[Violation]:
    """I1, I2, I4, I5: each node is stored in the state that its events tell, with the token of its latest claim."""
    for name, task in stored.tasks.items():
        told, state = story.node(name), task.state or "nowhere"
        if told.state == Told.UNKNOWN:
            continue
        if state not in _allowed(told, story):
            invariant = "I1" if "DONE" in (told.state, state) else "I2" if {told.state, state} & ENDED else "I4"
            yield Violation(invariant, name, "", f"it is stored as {state}, and its events tell {told.state}")
        elif state == "RUNNING" and task.token != str(told.token):
            yield Violation("I5", name, "", f"it is RUNNING with token {task.token}, its latest claim has {told.token}")
    for name in sorted(set(story.nodes) - set(stored.tasks)):
        if story.nodes[name].first_claim or story.nodes[name].ended:  # a fence names whatever the call named
            yield Violation("I2", name, "", "its events are there and the node is not")


def _allowed(told: NodeStory, story: Story) -> frozenset[str]:
    if not told.ended:
        return _MAY_BE[told.state]
    # A retry of the goal reopens nodes without an event, from before it is sealed.
    open_again = told.state in ("FAILED", "SKIPPED") and (
        story.may_be_reopened(told) or story.state == GoalState.FAILED
    )  # fmt: skip
    return frozenset({told.state}) | (_NOT_STARTED if open_again else frozenset())


def stopped(stored: Stored) -> Iterator[Violation]:
    """I8: a goal that was CANCELLED holds nothing any more."""
    if stored.state == GoalState.CANCELLED and (left := set(stored.leases) | set(stored.timers) | set(stored.parked)):
        yield Violation("I8", "", "", f"the goal is CANCELLED and still waits for {some(left)}")


def dead_letters(stored: Stored) -> Iterator[Violation]:
    """I13: FAILED nodes are the dead letters, each with its reason."""
    failed = stored.within("FAILED")
    for name in sorted(failed - set(stored.dead)):
        yield Violation("I13", name, "", "it FAILED and is not in the dead letters")
    for name in sorted(set(stored.dead) - failed):
        yield Violation("I13", name, "", f"it is in the dead letters and is {stored.state_of(name)}")
    for name in sorted(failed & set(stored.dead)):
        if not stored.dead[name]:
            yield Violation("I13", name, "", "its dead letter has no reason")


def outputs(stored: Stored, story: Story) -> Iterator[Violation]:
    """I14: outputs are those of DONE nodes, and what is stored is what was committed."""
    done = stored.within("DONE")
    for name in sorted(set(stored.outputs) - done):
        yield Violation("I14", name, "", f"it has an output and is {stored.state_of(name)}")
    for name, found in stored.outputs.items():
        told = story.nodes.get(name)
        if told is not None and told.digest and name in done and told.digest != found:
            yield Violation("I14", name, "", f"its output is {found}, committed was {told.digest}")
    for name in sorted(done - set(stored.outputs)):
        told = story.nodes.get(name)
        if told is not None and told.digest not in ("", _NOTHING):
            yield Violation("I14", name, "", f"it has no output, committed was {told.digest}")
