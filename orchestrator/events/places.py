"""Where every open node is (I4), what is leased (I5), and who may go first in a lane (I6), as it is stored."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from orchestrator.domain.states import GoalState
from orchestrator.events.plan import Plan
from orchestrator.events.stored import Stored
from orchestrator.events.story import ENDED
from orchestrator.events.violation import Violation

_SHOWN = 5


def some(names: set[str] | list[str]) -> str:
    """The first few names, in order."""
    found = sorted(names)
    return ", ".join(found[:_SHOWN]) + (f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else "")


def leases(stored: Stored) -> Iterator[Violation]:
    """RUNNING, leased and locked are the same nodes; a lock has its node's token, and no two the same."""
    running = stored.within("RUNNING")
    for name in sorted(running - set(stored.leases)):
        yield Violation("I4", name, "", "it is RUNNING and its lease has no expiry")
    for name in sorted(set(stored.leases) - running):
        yield Violation("I4", name, "", f"it has a lease and is {stored.state_of(name)}")
    for name in sorted(running - set(stored.locks)):
        yield Violation("I4", name, "", "it is RUNNING and nobody holds it")
    for name in sorted(set(stored.locks) - running):
        yield Violation("I4", name, "", f"it is locked and is {stored.state_of(name)}")
    held: dict[str, str] = {}
    for name, lock in stored.locks.items():
        token = lock.split(" ")[0]
        if name in running and token != stored.tasks[name].token:
            yield Violation("I5", name, "", f"its lock has token {token}, its record {stored.tasks[name].token}")
        if token in held:
            yield Violation("I5", name, "", f"it is held with token {token}, and so is {held[token]}")
        if int(token) > stored.number("token"):
            yield Violation("I5", name, "", f"token {token} is above the goal's counter {stored.record.get('token')}")
        held[token] = name


def ready(stored: Stored) -> Iterator[Violation]:
    """A READY node can be claimed from one queue, or stands in its lane behind the head, or is set aside because it is held."""
    if stored.state == GoalState.CANCELLED or stored.within("CANCELLED"):
        return  # nothing is claimed any more; the sets go with the goal
    places: dict[str, list[str]] = defaultdict(list)
    for queue, names in stored.ready.items():
        for name in names:
            places[name].append(queue)
    for name in stored.aside:
        places[name].append("set aside")
    if stored.aside and "held" not in stored.record:
        yield Violation("I4", "", "", f"nobody looks after what is set aside: {some(stored.aside)}")
    heads = {line[0] for line in stored.lanes.values() if line}
    behind = {name for line in stored.lanes.values() for name in line[1:]}
    for name in sorted(stored.within("READY")):
        task, where = stored.tasks[name], places.get(name, [])
        if task.lane and name not in heads | behind:
            yield Violation("I4", name, "", f"it is READY and not in its lane {task.lane}")
        elif name in behind and where:
            yield Violation("I6", name, "", f"it can be claimed and is not the head of lane {task.lane}")
        elif name not in behind and where not in ([task.queue or "default"], ["set aside"]):
            yield Violation("I4", name, "", f"it is READY and in the ready sets of {some(where) or 'no queue'}")
    for name in sorted(places):
        if stored.state_of(name) != "READY":
            yield Violation("I4", name, "", f"it can be claimed and is {stored.state_of(name)}")


def lanes(stored: Stored) -> Iterator[Violation]:
    """What stands in a lane has not ended, and only its head has started."""
    if stored.state == GoalState.CANCELLED or stored.within("CANCELLED"):
        return
    for lane, line in stored.lanes.items():
        for index, name in enumerate(line):
            state = stored.state_of(name)
            if state not in ("READY", "RUNNING", "WAITING"):
                yield Violation("I6", name, "", f"it stands in lane {lane} and is {state}")
            elif index and state != "READY":
                yield Violation("I6", name, "", f"it started in lane {lane} behind {line[0]}")


def parked(stored: Stored) -> Iterator[Violation]:
    """A WAITING node has a note that says for what; timers belong to WAITING nodes."""
    if stored.cancelling:
        return
    waiting = stored.within("WAITING")
    for name in sorted(waiting - set(stored.parked)):
        yield Violation("I4", name, "", "it is WAITING and nothing says for what")
    for name in sorted(set(stored.parked) - waiting):
        yield Violation("I4", name, "", f"it is parked and is {stored.state_of(name)}")
    for name in sorted(set(stored.timers) - waiting):
        yield Violation("I4", name, "", f"it has a timer and is {stored.state_of(name)}")


def joins(stored: Stored, plan: Plan) -> Iterator[Violation]:
    """A BLOCKED node can still fire; its count is that of its parents which have not ended."""
    if stored.cancelling or stored.ripple or stored.state == GoalState.FAILED:  # a retry goes on in pieces
        return
    for name in sorted(stored.within("BLOCKED")):
        task = stored.tasks[name]
        parents = plan.nodes[name].parents if name in plan.nodes else []
        still = sum(stored.state_of(source) not in ENDED for source, _ in parents)
        need = int(task.need or 0)
        if int(task.open or need) != still:
            yield Violation("I4", name, "", f"it counts {task.open or need} open edges, there are {still}")
        if need > still:
            yield Violation("I4", name, "", f"it is BLOCKED for ever: it needs {need} of {still} open edges")
        if need <= 0:
            yield Violation("I4", name, "", "it is BLOCKED and needs nothing")


def counters(stored: Stored, states: tuple[str, ...]) -> Iterator[Violation]:
    """I12: the counts in the goal's record equal a recount."""
    recount = Counter({state: len(names) for state, names in stored.by_state.items()})
    for state in states:
        if stored.number(f"n:{state}") != recount[state]:
            yield Violation(
                "I12", "", "", f"n:{state} is {stored.number(f'n:{state}')}, a recount gives {recount[state]}"
            )
    left = sum(count for state, count in recount.items() if state not in ENDED)
    if stored.number("left") != left:
        yield Violation("I12", "", "", f"left is {stored.record.get('left')}, a recount gives {left}")
    if stored.number("total") != len(stored.tasks):
        yield Violation("I12", "", "", f"total is {stored.record.get('total')}, there are {len(stored.tasks)} nodes")
