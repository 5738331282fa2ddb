"""Why a node or a goal does not go on, from what is stored. Pure: facts in, sentences and remedies out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from orchestrator.domain.states import GoalState, NodeState
from orchestrator.operate.facts import FleetFacts, GoalFacts, NodeFacts, Said
from orchestrator.operate.reason import Cause, Finding, Level, Reason, spell
from orchestrator.operate.why_ready import why_ready
from orchestrator.operate.why_waiting import why_waiting
from orchestrator.operate.words import PROVIDER, START_BEAT, beat_is, brief, by, by_beat, colon, model_down, over_budget

NAMED: Final = 5
"""Names in one sentence."""


def why_node(node: NodeFacts, goal: GoalFacts, fleet: FleetFacts) -> list[Reason]:
    """What keeps a node, the nearest cause first. A node that has ended says how it did."""
    if node.state is NodeState.BLOCKED:
        return _blocked(node, goal, fleet)
    if node.state is NodeState.READY:
        return _with_lane(node, [*why_goal_stands(goal, fleet), *why_ready(node, goal, fleet)])
    if node.state is NodeState.WAITING:
        return _with_lane(node, [*_if_stopped(goal, fleet), *why_waiting(node, goal, fleet)])
    return _with_lane(node, [_ENDS[node.state](node, goal, fleet)])


def _with_lane(node: NodeFacts, reasons: list[Reason]) -> list[Reason]:
    """The first of a lane keeps those behind it: that is said with the last reason, its own."""
    if node.before or not node.behind or not reasons:
        return reasons
    behind = f"; {node.behind:,} more of its lane {node.lane} stand{'s' * (node.behind == 1)} behind it"
    return [*reasons[:-1], replace(reasons[-1], text=reasons[-1].text + behind)]


def why_goal(goal: GoalFacts, nodes: Sequence[NodeFacts], fleet: FleetFacts) -> list[Finding]:
    """What keeps a goal: itself first, then its nodes, those with the same cause together."""
    if goal.state in (GoalState.DONE, GoalState.CANCELLED):
        return [Finding(_goal_ended(goal), ())]
    own = [Finding(reason, ()) for reason in why_goal_stands(goal, fleet)]
    grouped: dict[tuple[Cause, str], list[tuple[str, Reason]]] = {}
    standing = {finding.reason.cause for finding in own}
    own += [Finding(_goal_ended(goal), ())] if goal.state is GoalState.FAILED else []
    for node in nodes:
        for reason in why_node(node, goal, fleet):
            if reason.cause not in standing:
                same = reason.text if reason.cause is Cause.FAILED else reason.remedy
                grouped.setdefault((reason.cause, same), []).append((node.id, reason))
    found = [_together(group) for group in grouped.values()]
    order = list(Level)
    found.sort(key=lambda finding: -order.index(finding.reason.level))
    return [*own, *found] or [Finding(_nothing(fleet), ())]


def _together(group: Sequence[tuple[str, Reason]]) -> Finding:
    """Nodes with the same cause; where each had a remedy of its own, that for the goal is named."""
    names, reason = tuple(name for name, _ in group), group[0][1]
    if len({other.remedy for _, other in group}) > 1:
        reason = replace(reason, remedy=reason.remedy.removesuffix(f" {names[0]}"))
    return Finding(reason, names)


def why_goal_stands(goal: GoalFacts, fleet: FleetFacts) -> list[Reason]:
    """What keeps every node of the goal: that it is paused, being cancelled, being planned; that the fleet is stopped."""
    if goal.cancelling:
        return [Reason(Cause.CANCELLING, Level.ITSELF, f"the goal is being cancelled{colon(goal.reason)}")]
    if goal.state is GoalState.PLANNING:
        return [Reason(Cause.PLANNING, Level.ITSELF, "the goal's plan is being made or stored")]
    if goal.state is GoalState.AWAITING_APPROVAL:
        return [
            Reason(Cause.APPROVAL, Level.PERSON, "the goal's plan waits for a person", f"chordal plans show {goal.id}")
        ]
    found = []
    if goal.state is GoalState.PAUSED:
        found.append(_paused(goal, fleet.now_ms))
    if (stop := fleet.holds.get("fleet")) is not None:
        text = f"the whole fleet is stopped{by(stop, fleet.now_ms)}: no worker takes a node"
        found.append(Reason(Cause.STOPPED, Level.PERSON, text, "chordal release --all"))
    return found


def _paused(goal: GoalFacts, now_ms: int) -> Reason:
    said = goal.paused or Said(reason=goal.reason)
    running = goal.counts.get(NodeState.RUNNING, 0)
    rest = f"; {running} of its nodes still run{'s' * (running == 1)} and may finish" if running else ""
    remedy = f"chordal resume {goal.id}"
    if spent := over_budget(goal):
        return Reason(
            Cause.PAUSED, Level.PERSON, f"the goal is paused{by(said, now_ms)}: {spent}{rest}",
            f"raise it with `chordal budget {goal.id} ...`, then {remedy}",
        )  # fmt: skip
    return Reason(Cause.PAUSED, Level.PERSON, f"the goal is paused{by(said, now_ms)}{rest}", remedy)


def _if_stopped(goal: GoalFacts, fleet: FleetFacts) -> list[Reason]:
    return [reason for reason in why_goal_stands(goal, fleet) if reason.cause is not Cause.STOPPED]


def _blocked(node: NodeFacts, goal: GoalFacts, fleet: FleetFacts) -> list[Reason]:
    open_parents = [
        name for name, state in node.parents.items() if state not in ("DONE", "FAILED", "SKIPPED", "DROPPED")
    ]
    if not open_parents:
        text = f"its parents have ended, but their edges are not resolved yet ({node.need} to fire)"
        return [by_beat(Reason(Cause.LEFT_OVER, Level.ITSELF, text), fleet)]
    shown = ", ".join(f"{name} ({node.parents[name]})" for name in open_parents[:NAMED])
    more = f" and {len(open_parents) - NAMED:,} more" if len(open_parents) > NAMED else ""
    found = [Reason(Cause.PARENTS, Level.ITSELF, f"it waits for {shown}{more}")]
    whole = {reason.cause for reason in why_goal_stands(goal, fleet)}  # true of every node: no root's own
    for root in node.roots:
        for reason in why_node(root, goal, fleet):
            whose = "" if reason.cause in whole else f"{root.id}: "
            told = Reason(reason.cause, reason.level, f"{whose}{reason.text}", reason.remedy)
            if all(told.cause is not one.cause or told.remedy != one.remedy for one in found):
                found.append(told)
    return found


def _running(node: NodeFacts, _: GoalFacts, fleet: FleetFacts) -> Reason:
    name = node.worker.partition("/")[0]
    since = f" for {spell((fleet.now_ms - node.since_ms) / 1000)}" if node.since_ms else ""
    attempt = f", attempt {node.attempt}" if node.attempt > 1 else ""
    left = ((node.lease_ms or fleet.now_ms) - fleet.now_ms) / 1000
    worker = fleet.worker(name)
    if left > 0 and (worker is None or worker.alive):
        return Reason(Cause.RUNS, Level.ITSELF, f"{name} runs it{since}{attempt}; it renews its lease")
    heard = f", which was last heard of {spell((fleet.now_ms - worker.heard_ms) / 1000)} ago," if worker else ""
    lease = f"its lease runs out in {spell(left)}" if left > 0 else f"its lease ran out {spell(-left)} ago"
    text = f"{name}{heard} held it{since}{attempt}; {lease}, and then another worker takes it"
    if left < 0 and fleet.beat_late:
        return Reason(Cause.BEAT, Level.BROKEN, f"{text}; but beat, which sees to that, {beat_is(fleet)}", START_BEAT)
    return Reason(Cause.WORKER_LOST, Level.ITSELF, text)


def _failed(node: NodeFacts, goal: GoalFacts, _: FleetFacts) -> Reason:
    failure = node.failure or {}
    error = brief(failure.get("error", ""))
    attempts = f" after {node.attempt} attempts" if node.attempt > 1 else ""
    text = f"it failed{attempts} ({failure.get('reason', 'no reason is stored')}){colon(error)}"
    remedy = f"chordal retry {goal.id} {node.id}"
    if failure.get("reason") == "unknown function":
        remedy = f"name its module in CHORDAL_IMPORTS of the workers, then {remedy}"
    elif failure.get("reason") == "lost":
        remedy = f"its worker died each time: look for memory or crashes in the worker's log, then {remedy}"
    elif model_down(error):
        remedy = f"{PROVIDER}; then {remedy}"
    if failure.get("seen"):  # somebody dropped its dead letter
        return Reason(Cause.FAILED, Level.ITSELF, text, remedy)
    return Reason(Cause.FAILED, Level.PERSON, text, remedy)


def _skipped(node: NodeFacts, _: GoalFacts, __: FleetFacts) -> Reason:
    shown = ", ".join(f"{name} ({state})" for name, state in list(node.parents.items())[:NAMED])
    return Reason(Cause.SKIPPED, Level.ITSELF, f"it was skipped: what it waited for can no longer come{colon(shown)}")


def _plain(cause: Cause, text: str) -> Callable[[NodeFacts, GoalFacts, FleetFacts], Reason]:
    return lambda *_: Reason(cause, Level.ITSELF, text)


_ENDS: Final[Mapping[NodeState, Callable[[NodeFacts, GoalFacts, FleetFacts], Reason]]] = {
    NodeState.RUNNING: _running,
    NodeState.FAILED: _failed,
    NodeState.SKIPPED: _skipped,
    NodeState.DONE: _plain(Cause.DONE, "it is done"),
    NodeState.DROPPED: _plain(Cause.DROPPED, "it was taken out of the plan"),
    NodeState.CANCELLED: _plain(Cause.CANCELLED, "its goal was cancelled before it ended"),
}


def _goal_ended(goal: GoalFacts) -> Reason:
    if goal.state is GoalState.DONE:
        return Reason(Cause.DONE, Level.ITSELF, "the goal is done")
    if goal.state is GoalState.CANCELLED:
        return Reason(Cause.CANCELLED, Level.ITSELF, f"the goal was cancelled{colon(goal.reason)}")
    count = goal.counts.get(NodeState.FAILED, 0)
    text = f"the goal failed with {count:,} failed node{'s' * (count != 1)}{colon(goal.reason)}"
    return Reason(Cause.FAILED, Level.PERSON, text, f"chordal retry {goal.id}")


def _nothing(fleet: FleetFacts) -> Reason:
    text = "nothing of it is ready, running or waiting: a script left edges to be resolved"
    return by_beat(Reason(Cause.LEFT_OVER, Level.ITSELF, f"{text}, which beat does within its sweep"), fleet)
