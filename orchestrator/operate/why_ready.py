"""Why a node that is READY is not taken."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.domain.states import GoalState
from orchestrator.operate.facts import FleetFacts, GoalFacts, Invited, NodeFacts, Said
from orchestrator.operate.reason import Cause, Level, Reason, spell
from orchestrator.operate.words import START_BEAT, beat_is, by


def why_ready(node: NodeFacts, goal: GoalFacts, fleet: FleetFacts) -> list[Reason]:
    """The nearest cause first; what a pause or a STOP does to the whole goal is said elsewhere."""
    held = list(_held(node, goal, fleet))
    if node.before:
        return [*held, _lane(node, goal, fleet)]
    if held or goal.state is GoalState.PAUSED or goal.cancelling or "fleet" in fleet.holds:
        return held
    return [_workers(node, goal, fleet)]


def _held(node: NodeFacts, goal: GoalFacts, fleet: FleetFacts) -> Iterator[Reason]:
    inside = (
        (f"n:{node.id}", "the node", f"--node {node.id}"),
        (f"a:{node.agent}", f"its agent {node.agent}", f"--agent {node.agent}"),
    )
    for name, what, option in inside:
        if (who := goal.held.get(name)) is not None:
            yield _hold(f"{what} is held in this goal", who, fleet, f"chordal release {goal.id} {option}")
    if (who := fleet.holds.get(f"queue:{node.queue}")) is not None:
        yield _hold(f"its queue {node.queue} is held", who, fleet, f"chordal release --queue {node.queue}")
    for owner in ("*", goal.owner):
        if node.agent and (who := fleet.holds.get(f"agent:{owner}/{node.agent}")) is not None:
            whose = "" if owner == "*" else f" for the owner {owner}"
            option = "" if owner == "*" else f" --owner {owner}"
            yield _hold(
                f"its agent {node.agent} is held{whose}", who, fleet, f"chordal release --agent {node.agent}{option}"
            )


def _hold(what: str, who: Said, fleet: FleetFacts, remedy: str) -> Reason:
    return Reason(Cause.HELD, Level.PERSON, f"{what}{by(who, fleet.now_ms)}", remedy)


def _lane(node: NodeFacts, goal: GoalFacts, fleet: FleetFacts) -> Reason:
    """Its lane's first decides."""
    from orchestrator.operate.why import why_node

    others = f"{node.before} other node{'s' * (node.before != 1)}"
    text = f"{others} of its lane {node.lane} come{'s' * (node.before == 1)} first"
    if node.ahead is None:
        return Reason(Cause.LANE, Level.ITSELF, text)
    reasons = why_node(node.ahead, goal, fleet)
    first = reasons[0] if reasons else None
    text += f"; the first of them, {node.ahead.id}, is {node.ahead.state}"
    if first is None:
        return Reason(Cause.LANE, Level.ITSELF, text)
    return Reason(Cause.LANE, first.level, f"{text}: {first.text}", first.remedy)


def _workers(node: NodeFacts, goal: GoalFacts, fleet: FleetFacts) -> Reason:
    queue, invited = node.queue, goal.invited.get(node.queue, Invited())
    start = f"start `celery -A orchestrator worker -Q {queue}`"
    if fleet.full:
        text = "Redis is full: no node can be claimed, and nothing can be submitted"
        return Reason(Cause.REDIS_FULL, Level.BROKEN, text, "raise maxmemory: chordal doctor")
    if not fleet.alive:
        return Reason(Cause.NO_WORKERS, Level.BROKEN, "no worker is alive", f"{start}, or `chordal up`")
    serving = fleet.serving(queue)
    if not serving and (drained := fleet.draining(queue)):
        names = ", ".join(worker.name for worker in drained[:3])
        text = f"every live worker of its queue {queue} is being drained ({names}): none takes a new node"
        remedy = "celery -A orchestrator control chordal_undrain"
        return Reason(Cause.DRAINED, Level.PERSON, text, remedy)
    if not serving:
        if node.stuck:
            return Reason(Cause.ROLE, Level.BROKEN, node.stuck, start)
        text = f"none of the {len(fleet.alive)} live workers serves its queue {queue}"
        return Reason(Cause.NO_WORKER, Level.BROKEN, text, start)
    slots, busy = sum(one.slots for one in serving), sum(len(one.holds) for one in serving)
    if busy >= slots:
        goals = sorted({goal for one in serving for goal, _ in one.holds})[:3]
        text = f"all {slots} slots of the workers of queue {queue} are taken ({', '.join(goals)}); it comes next by priority"
        return Reason(Cause.SLOTS, Level.ITSELF, text, "add workers if this lasts")
    return _message(invited, queue, fleet)


def _message(invited: Invited, queue: str, fleet: FleetFacts) -> Reason:
    overdue = (fleet.now_ms - invited.due_ms) / 1000
    if (invited.unanswered or (invited.due_ms and overdue > 0)) and fleet.beat_late:
        text = f"its message was lost, and beat, which would send it again, {beat_is(fleet)}"
        return Reason(Cause.BEAT, Level.BROKEN, text, START_BEAT)
    if invited.unanswered:
        times = f"{invited.unanswered} time{'s' * (invited.unanswered != 1)}"
        text = f"workers of queue {queue} are alive, but its message was not answered {times}; beat goes on sending it"
        return Reason(Cause.MESSAGE_LOST, Level.ITSELF, text, "look at the depth of the queue: chordal doctor")
    if invited.due_ms and overdue <= 0:
        text = f"its message is on the way to a worker of queue {queue}; without an answer beat sends it again in {spell(-overdue)}"
    else:
        text = f"a worker of queue {queue} takes it with its next message"
    return Reason(Cause.INVITED, Level.ITSELF, text)
