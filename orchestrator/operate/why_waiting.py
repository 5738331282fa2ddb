"""Why a node that is parked does not go on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from orchestrator.operate.facts import FleetFacts, GoalFacts, NodeFacts
from orchestrator.operate.reason import Cause, Level, Reason, spell
from orchestrator.operate.why_model import why_line
from orchestrator.operate.words import PROVIDER, START_BEAT, beat_is, brief, by, colon, model_down

Answer = Callable[[NodeFacts, GoalFacts, FleetFacts], Reason]


def why_waiting(node: NodeFacts, goal: GoalFacts, fleet: FleetFacts) -> list[Reason]:
    """What would wake it, and what stands in the way."""
    kind, _, _ = node.waits_for.partition(":")
    if kind == "llm":
        return why_line(node, goal, fleet)
    answer = _KINDS.get(kind)
    if answer is None:
        return [Reason(Cause.TIMER, Level.ITSELF, f"it waits for {node.waits_for or 'nothing that is known'}")]
    reason = answer(node, goal, fleet)
    overdue = 0.0 if node.due_ms is None else (fleet.now_ms - node.due_ms) / 1000
    if overdue > 0 and fleet.beat_late:
        text = f"{reason.text}; it was due {spell(overdue)} ago, and beat, which wakes it, {beat_is(fleet)}"
        return [Reason(Cause.BEAT, Level.BROKEN, text, START_BEAT)]
    return [reason]


def _left(node: NodeFacts, fleet: FleetFacts) -> str:
    """When its timer goes off, if it has one."""
    if node.due_ms is None:
        return ""
    left = (node.due_ms - fleet.now_ms) / 1000
    return f" in {spell(left)}" if left > 0 else " now"


def _limit(node: NodeFacts, fleet: FleetFacts) -> str:
    return f"; it fails{_left(node, fleet)}" if node.due_ms is not None else ""


def _backoff(node: NodeFacts, _: GoalFacts, fleet: FleetFacts) -> Reason:
    tries = f"{node.failures} attempt{'s' * (node.failures != 1)} failed" if node.failures else "an attempt failed"
    text = f"{tries}{colon(brief(node.before_error))}; the next comes{_left(node, fleet)}"
    if model_down(node.before_error):
        return Reason(Cause.MODEL_DOWN, Level.BROKEN, text, PROVIDER)
    return Reason(Cause.BACKOFF, Level.ITSELF, text)


def _timer(node: NodeFacts, _: GoalFacts, fleet: FleetFacts) -> Reason:
    return Reason(Cause.TIMER, Level.ITSELF, f"it waits for its time, which comes{_left(node, fleet)}")


def _signal(node: NodeFacts, goal: GoalFacts, fleet: FleetFacts) -> Reason:
    name = node.waits_for.removeprefix("signal:")
    text = f"it waits for the signal {name!r}, which has not been sent{_limit(node, fleet)}"
    return Reason(Cause.SIGNAL, Level.PERSON, text, f"chordal signal {goal.id} {name}")


def _approval(node: NodeFacts, goal: GoalFacts, fleet: FleetFacts) -> Reason:
    since = f" for {spell((fleet.now_ms - node.since_ms) / 1000)}" if node.since_ms else ""
    text = f"it has been waiting for a person's yes or no{since}{_limit(node, fleet)}"
    remedy = f"chordal approve {goal.id} {node.id}, or chordal reject {goal.id} {node.id}"
    return Reason(Cause.APPROVAL, Level.PERSON, text, remedy)


def _child(node: NodeFacts, _: GoalFacts, fleet: FleetFacts) -> Reason:
    name = node.waits_for.removeprefix("child:")
    child = node.child
    if child is None:
        return Reason(Cause.CHILD, Level.ITSELF, f"it waits for its sub-goal {name}, which is not stored (yet)")
    text = f"it waits for its sub-goal {name}, which is {child.state}"
    if child.paused is not None:
        return Reason(
            Cause.CHILD, Level.PERSON, f"{text}{by(child.paused, fleet.now_ms)}", f"chordal resume {name}"
        )  # fmt: skip
    return Reason(Cause.CHILD, Level.ITSELF, f"{text}{colon(child.reason)}", f"chordal why {name}")


def _items(node: NodeFacts, _: GoalFacts, __: FleetFacts) -> Reason:
    what = {"items": "items", "tools": "calls of tools", "children": "agents"}[node.waits_for]
    return Reason(Cause.ITEMS, Level.ITSELF, f"{node.open_items:,} of its {what} have not ended")


def _deferred(node: NodeFacts, goal: GoalFacts, fleet: FleetFacts) -> Reason:
    text = f"somebody outside completes this call of a tool{_limit(node, fleet)}"
    return Reason(Cause.DEFERRED, Level.PERSON, text, f"chordal complete {goal.id} {node.id} ...")


def _task(node: NodeFacts, _: GoalFacts, fleet: FleetFacts) -> Reason:
    name, queue = str(node.spec.get("call", "its task")), str(node.spec.get("queue") or "default")
    text = f"the Celery task {name} was sent and has not started or not ended; it is sent again{_left(node, fleet)}"
    if fleet.serving(queue):
        return Reason(Cause.TASK, Level.ITSELF, text)
    # Workers of apps of the user tell us nothing of themselves: they may well be there.
    remedy = f"is a worker of the app that has {name} running, with `-Q {queue}`?"
    return Reason(Cause.TASK, Level.ITSELF, f"{text}; no worker of Chordal serves the queue {queue}", remedy)


def _steered(_: NodeFacts, __: GoalFacts, ___: FleetFacts) -> Reason:
    return Reason(Cause.ITEMS, Level.ITSELF, "it reads what it was told, and goes on")


_KINDS: Final[Mapping[str, Answer]] = {
    "backoff": _backoff,
    "timer": _timer,
    "signal": _signal,
    "approval": _approval,
    "child": _child,
    "items": _items,
    "tools": _items,
    "children": _items,
    "deferred": _deferred,
    "task": _task,
    "steered": _steered,
}
