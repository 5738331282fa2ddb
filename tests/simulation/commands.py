"""What people do to goals: commands at random, each under an order, some of them again and some too late."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from orchestrator.domain.agent import AgentCard
from orchestrator.domain.command import Order, Repeated
from orchestrator.domain.errors import ChordalError
from orchestrator.engine.changes import Came
from orchestrator.engine.dropping import Dependants
from orchestrator.store.connection import ConnectionFailed
from orchestrator.wiring import Chordal
from simulation import plans, talks
from simulation.fakes import RESEND_SECONDS
from simulation.wire import Steps, Wait, steps

if TYPE_CHECKING:
    from simulation.world import World

REASON: Final = "as the seed wants"
VERBS: Final = (
    "pause", "stop", "resume", "cancel", "approve", "reject", "signal", "retry", "retry-all", "retry-behind", "patch", "drop",
    "edit", "priority", "hold", "release", "hold-agent", "release-agent", "refuse", "budget", "steer", "reparse", "complete",
    "freeze", "thaw", "acknowledge",
)  # fmt: skip
SENSIBLE: Final = {
    "RUNNING": (
        "pause", "pause", "stop", "stop", "cancel", "approve", "reject", "signal", "patch", "patch", "patch", "steer", "steer",
        "reparse", "complete", "complete", "drop", "drop", "edit", "edit", "hold", "hold", "hold-agent", "release",
        "release-agent", "retry", "retry", "retry-all", "priority", "freeze", "thaw",
    ),
    "PAUSED": ("resume", "resume", "resume", "patch", "cancel", "approve", "stop", "drop", "edit", "retry", "release"),
    "FAILED": ("retry", "retry-all", "retry-behind", "retry-behind", "edit", "acknowledge"),
}  # fmt: skip
"""What people do to a goal that they have looked at."""
UNMARKED: Final = frozenset({"ended", "known", "changed", "completed", "gone", "done", "expired"})
"""Answers of commands that left no mark at their receiver: they may act another time."""
FROZEN: Final = (
    {"queues": {"gpu": 1}, "agents": {}}, {"queues": {"*": 1}, "agents": {}}, {"queues": {}, "agents": {"*/talker": 1}},
)  # fmt: skip
"""Holds of the whole fleet."""


@dataclass(frozen=True, slots=True)
class Given:
    """One command, as it may be given again."""

    verb: str
    goal: str
    receiver: str
    """A node, or empty for the goal."""
    serial: str
    order: Order
    act: Callable[[], Any]


def commander(world: World, parts: Chordal) -> Steps:
    """Gives commands at random to goals at random."""
    given: list[Given] = []
    for number in range(world.rng.randint(0, 14)):
        yield Wait(world.rng.choice([5, 20, 60, 100, 400, 800, 3000]))
        if world.weather.calm:
            return
        if given and world.rng.random() < 0.2:
            yield from carry_out(world, parts, world.rng.choice(given))
            continue
        goal, state = world.some_goal()
        verb = world.rng.choice(SENSIBLE.get(state, VERBS) if world.rng.random() < 0.7 else VERBS)
        if state in ("RUNNING", "PAUSED") and world.rng.random() < 0.5 and world.some_failed(goal):
            verb = "retry"  # most goals that have a failed node end soon
        one = command(world, parts, goal, verb, f"{parts.committer.name}.{number}".replace("#", "-"))
        given.append(one)
        yield from carry_out(world, parts, one)


def command(world: World, parts: Chordal, goal: str, verb: str, serial: str, node: str = "") -> Given:
    """A command on a goal, and on one of its nodes where it needs one."""
    rng = world.rng
    one, other = world.some_nodes(goal)
    if verb in ("steer", "complete") and not node:
        node = world.some_node(goal, "agent" if verb == "steer" else "deferred")
    if verb in ("retry", "retry-behind") and not node:
        node = world.some_failed(goal)
    node = node or one
    until = world.now + rng.choice([0, 50, 2000]) if serial and rng.random() < 0.2 else None
    order = Order(f"{serial or verb}.{world.operations}", "sim", REASON, until)
    calls, of_node = _calls(world, parts, goal, node, other, serial, order), _OF_NODES
    return Given(verb, goal, node if verb in of_node else "", serial, order, calls[verb])


_OF_NODES: Final = frozenset(
    {"approve", "reject", "retry", "retry-behind", "drop", "edit", "priority", "hold", "release", "steer"}
)


def _calls(
    world: World, parts: Chordal, goal: str, node: str, other: str, serial: str, order: Order
) -> dict[str, Callable[[], Any]]:
    rng, control, changes, agents = world.rng, parts.control, parts.changes, parts.agents
    patch = plans.patch(rng, node, other, serial)
    dependants: Dependants = rng.choice(["skip", "fail", "rewire"])
    inputs: dict[str, Any] = rng.choice([{"item": rng.randrange(9)}, {"seconds": 0.2}, {"item": {"from": other}}])
    level = rng.randrange(200)
    frozen = rng.choice(FROZEN)
    card = AgentCard(name="talker", instructions=serial)
    return {
        "pause": partial(changes.pause, goal, REASON, order=order),
        "stop": partial(changes.pause, goal, REASON, stop=True, order=order),
        "resume": partial(changes.resume, goal, REASON, order=order),
        "cancel": partial(changes.cancel, goal, REASON, order=order),
        "approve": partial(control.approve, goal, node, order=order),
        "reject": partial(control.reject, goal, node, order=order),
        "signal": partial(control.signal, goal, plans.SIGNAL, {"v": 2}, order=order),
        "retry": partial(changes.retry, goal, node, order=order),
        "retry-all": partial(changes.retry, goal, order=order),
        "retry-behind": partial(changes.retry, goal, node, descendants=True, order=order),
        "patch": partial(world.patcher(parts).apply, goal, patch, REASON, order=order),
        "drop": partial(changes.drop, goal, node, dependants=dependants, order=order),
        "edit": partial(changes.edit, goal, node, set=inputs, order=order),
        "priority": partial(changes.set_priority, goal, level, rng.choice([node, None]), order=order),
        "hold": partial(changes.hold, goal, node, order=order),
        "release": partial(changes.release, goal, node, order=order),
        "hold-agent": partial(changes.hold, goal, agent="talker", order=order),
        "release-agent": partial(changes.release, goal, agent="talker", order=order),
        "refuse": partial(changes.refuse, goal, "PAUSE", REASON, order=order),
        "budget": partial(changes.budget, goal, level, order=order),
        "steer": partial(agents.steer, goal, node, [f"{serial} one", f"{serial} two"], serial, order),
        "reparse": partial(agents.reparse, goal, [card], "file", order=order),
        "complete": partial(agents.complete_deferred, f"{goal}:{node}:{talks.SECRET}", {"v": 3}),
        "acknowledge": partial(parts.store.goals.acknowledge, goal, [node, other], "sim", REASON),
        "freeze": partial(parts.store.fleet.publish_slots, {"*": 4, "*held": frozen}),
        "thaw": partial(_thaw, world, parts),
    }


def _thaw(world: World, parts: Chordal) -> str:
    parts.store.fleet.publish_slots({"*": 4})
    parts.changes.bring_back(goal for goal, _, _ in world.open_goals())
    return "done"


def carry_out(world: World, parts: Chordal, one: Given) -> Steps:
    """One command through the engine; what came of it is held against what came of it before."""
    born = world.store.goals.field(one.goal, "created")
    repeated = False
    try:
        answer = yield from steps(one.act)
    except ConnectionFailed:
        answer = "lost"
    except Repeated as error:
        answer, repeated = error.outcome, True
    except ChordalError as error:
        answer = f"{type(error).__name__}"
    word = _word(answer)
    world.tally.count("command", f"{one.verb}={'repeated' if repeated else word}")
    world.note(parts.committer.name, f"{one.verb} {one.goal} {one.receiver}: {'again ' if repeated else ''}{answer}")
    if word == "lost" or word[:1].isupper():
        return
    if not repeated and one.verb in ("approve", "reject"):
        world.truth.answered_approvals[one.goal] += 1
    if word == "steered" and not repeated:
        world.truth.steered[one.goal, one.receiver].append(one.serial)
    if word not in UNMARKED and born is not None and born == world.store.goals.field(one.goal, "created"):
        world.truth.obeyed(one.goal, one.receiver, one.order.id, word, repeated)


def _word(answer: Any) -> str:
    if isinstance(answer, Came):
        return answer.outcome
    return {list: "changed", int: "patched", type(None): "done"}.get(type(answer), str(answer))


def caretaker(world: World, parts: Chordal) -> Steps:
    """Once the faults have healed: lets go on what is held or paused, and gives the answers that nodes wait for."""

    def give(goal: str, verb: str, node: str = "") -> Steps:
        yield from carry_out(world, parts, command(world, parts, goal, verb, "", node))

    while True:
        if "*held" in (world.store.fleet.slots() or ""):
            yield from give("", "thaw")
        for goal, state, waiting in world.open_goals():
            if state == "PAUSED":
                yield from give(goal, "resume")
            for field in world.store.changes.held(goal):
                if field.startswith("n:"):
                    yield from give(goal, "release", field[2:])
                else:
                    yield from give(goal, "release-agent")
            for node, reason in waiting:
                if reason == "approval":
                    yield from give(goal, "approve", node)
                elif reason == "deferred":
                    yield from give(goal, "complete", node)
                elif reason.startswith("signal:"):
                    yield from give(goal, "signal")
        yield Wait(int(2000 * RESEND_SECONDS))
