"""What must hold of a stored goal between any two scripts. Broken ones are told, one line each."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from orchestrator.domain.states import GOAL_TERMINAL, NODE_TERMINAL, GoalState, NodeState
from orchestrator.store.keys import CATALOGUE
from orchestrator.store.store import Store

ENDED: Final = frozenset(state.value for state in NODE_TERMINAL)
GOAL_ENDED: Final = frozenset(state.value for state in GOAL_TERMINAL)
_NAME: Final = r"[A-Za-z0-9._-]{1,64}"


def catalogue_pattern(prefix: str = "") -> re.Pattern[str]:
    """What a key may be called: one of the catalogue's names."""
    forms = []
    for spec in CATALOGUE:
        form = re.escape(spec.pattern).replace(re.escape("{goal}"), r"\{" + _NAME + r"\}").replace(r"\*", ".*")
        forms.append(re.sub(r"<[a-z]+>", lambda found: ".{1,200}" if found[0] == "<key>" else _NAME, form))
    return re.compile(f"{re.escape(prefix)}(?:{'|'.join(forms)})")


def unknown_keys(store: Store) -> list[str]:
    """Keys on the server that the catalogue does not know."""
    allowed = catalogue_pattern(store.keys.prefix)
    return sorted(key for key in store.client.scan_iter("*", count=1000) if not allowed.fullmatch(key))


@dataclass(frozen=True)
class Picture:
    """Everything stored for a goal, read at one moment."""

    record: Mapping[str, str]
    tasks: Mapping[str, Mapping[str, str]]
    locks: Mapping[str, str | None]
    edges: Mapping[str, str]
    leases: Mapping[str, float]
    timers: Mapping[str, float]
    parked: Mapping[str, str]
    outputs: Mapping[str, str]
    dead: Mapping[str, str]
    ready: Mapping[str, list[str]]
    """By queue."""
    lanes: Mapping[str, list[str]]
    ripple: list[Any]


def picture(store: Store, goal: str) -> Picture:
    """Read a goal."""
    client, keys = store.client, store.keys
    names = sorted(store.goals.part(goal, "nodes"))
    tasks = dict(zip(names, store.nodes.states(goal, names), strict=True))
    queues = {task.get("queue", "default") for task in tasks.values()} | {"default"}
    lanes = {task["lane"] for task in tasks.values() if "lane" in task}

    def line(name: str) -> list[str]:
        return list(client.zrange(keys.part(goal, name), 0, -1))

    return Picture(
        record=client.hgetall(keys.goal(goal)),
        tasks=tasks,
        locks={name: client.get(f"{keys.task(goal, name)}:lock") for name in names},
        edges=store.goals.part(goal, "edges"),
        leases=dict(client.zrange(keys.part(goal, "leases"), 0, -1, withscores=True)),
        timers=dict(client.zrange(keys.part(goal, "timers"), 0, -1, withscores=True)),
        parked=client.hgetall(keys.part(goal, "parked")),
        outputs=store.goals.part(goal, "outputs"),
        dead=store.goals.part(goal, "dead"),
        ready={queue: line(f"ready:{queue}") for queue in queues},
        lanes={lane: line(f"lane:{lane}") for lane in lanes},
        ripple=[json.loads(item) for item in client.lrange(keys.part(goal, "ripple"), 0, -1)],
    )


def broken(store: Store, goal: str) -> list[str]:
    """Every invariant that does not hold."""
    seen = picture(store, goal)
    checks = (_counters, _end, _leases, _ready, _parked, _joins, _dead)
    return [fault for check in checks for fault in check(seen)] + _history(store, goal, seen)


def _in_state(seen: Picture, *states: str) -> set[str]:
    return {name for name, task in seen.tasks.items() if task.get("state") in states}


def _counters(seen: Picture) -> Iterator[str]:
    recount = Counter(task.get("state", "") for task in seen.tasks.values())
    for state in NodeState:
        kept = int(seen.record.get(f"n:{state.value}", 0))
        if kept != recount[state.value]:
            yield f"I12: n:{state.value} is {kept}, a recount gives {recount[state.value]}"
    left = sum(count for state, count in recount.items() if state not in ENDED)
    if int(seen.record.get("left", 0)) != left:
        yield f"I12: left is {seen.record.get('left')}, a recount gives {left}"
    if int(seen.record.get("total", 0)) != len(seen.tasks):
        yield f"I12: total is {seen.record.get('total')}, there are {len(seen.tasks)} nodes"


def _end(seen: Picture) -> Iterator[str]:
    state, left = seen.record.get("state"), int(seen.record.get("left", 0))
    if "cancelling" in seen.record:
        return
    if state in GOAL_ENDED and left:
        yield f"the goal is {state} and {left} nodes have not ended"
    if state not in GOAL_ENDED and not left:
        yield f"the goal is {state} and every node has ended"
    if (state in GOAL_ENDED) != ("ended" in seen.record):
        yield f"the goal is {state} and its end is {seen.record.get('ended')}"
    if state == GoalState.DONE and _unhandled(seen):
        yield f"the goal is DONE and failures are unhandled: {sorted(_unhandled(seen))}"
    if state == GoalState.FAILED and not _unhandled(seen) and not _in_state(seen, "CANCELLED"):
        yield "the goal FAILED and every failure is handled"


def _unhandled(seen: Picture) -> set[str]:
    failed = _in_state(seen, "FAILED")
    return {name for name in failed if not re.search(r":[fi](?: |$)", seen.edges.get(name, ""))}


def _leases(seen: Picture) -> Iterator[str]:
    running = _in_state(seen, "RUNNING")
    if running != set(seen.leases):
        yield f"I4: RUNNING are {sorted(running)}, leased are {sorted(seen.leases)}"
    locked = {name for name, lock in seen.locks.items() if lock}
    if running != locked:
        yield f"I4: RUNNING are {sorted(running)}, locked are {sorted(locked)}"
    for name in running & locked:
        token = str(seen.locks[name]).split(" ")[0]
        if token != seen.tasks[name].get("token"):
            yield f"I5: the lock of {name} has token {token}, its record {seen.tasks[name].get('token')}"
    tokens = [str(lock).split(" ")[0] for lock in seen.locks.values() if lock]
    if len(tokens) != len(set(tokens)):
        yield f"I5: a token is held twice: {tokens}"
    over = [token for token in tokens if int(token) > int(seen.record.get("token", 0))]
    if over:
        yield f"I5: tokens {over} are above the goal's counter {seen.record.get('token')}"


def _ready(seen: Picture) -> Iterator[str]:
    if seen.record.get("state") == GoalState.CANCELLED or _in_state(seen, "CANCELLED"):
        return  # nothing is claimed any more; the sets go with the goal
    places: dict[str, list[str]] = defaultdict(list)
    for queue, names in seen.ready.items():
        for name in names:
            places[name].append(queue)
    heads = {line[0] for line in seen.lanes.values() if line}
    behind = {name for line in seen.lanes.values() for name in line[1:]}
    for name in sorted(_in_state(seen, "READY")):
        task = seen.tasks[name]
        where = places.get(name, [])
        if "lane" in task and name not in heads | behind:
            yield f"I4: {name} is READY and not in its lane"
        elif name in behind and where:
            yield f"I6: {name} can be claimed and is not the head of its lane"
        elif name not in behind and where != [task.get("queue", "default")]:
            yield f"I4: {name} is READY and in the ready sets of {where}"
    stray = sorted(name for name in places if seen.tasks[name].get("state") != "READY")
    if stray:
        yield f"can be claimed and are not READY: {stray}"
    for lane, line in seen.lanes.items():
        wrong = [name for name in line if seen.tasks[name].get("state") not in ("READY", "RUNNING", "WAITING")]
        if wrong:
            yield f"I6: lane {lane} holds {wrong}, which have ended"
        busy = [name for name in line[1:] if seen.tasks[name].get("state") in ("RUNNING", "WAITING")]
        if busy:
            yield f"I6: in lane {lane} {busy} started behind {line[0]}"


def _parked(seen: Picture) -> Iterator[str]:
    if "cancelling" in seen.record:
        return  # the last slice takes the notes and timers away, all at once
    waiting = _in_state(seen, "WAITING")
    if waiting != set(seen.parked):
        yield f"I4: WAITING are {sorted(waiting)}, parked are {sorted(seen.parked)}"
    if not set(seen.timers) <= waiting:
        yield f"timers of nodes that do not wait: {sorted(set(seen.timers) - waiting)}"


def _joins(seen: Picture) -> Iterator[str]:
    """A BLOCKED node can still fire; its counts are those of its open parents."""
    if "cancelling" in seen.record or seen.ripple:
        return
    still: Counter[str] = Counter()
    for source, raw in seen.edges.items():
        if seen.tasks.get(source, {}).get("state") not in ENDED:
            still.update(part.partition(":")[0] for part in raw.split() if not part.endswith(":i"))
    for name in _in_state(seen, "BLOCKED"):
        task = seen.tasks[name]
        need = int(task["need"])
        if int(task.get("open", need)) != still[name]:
            yield f"{name} counts {task.get('open', need)} open edges, there are {still[name]}"
        if need > still[name]:
            yield f"{name} is BLOCKED for ever: it needs {need} of {still[name]} open edges"
        if need <= 0:
            yield f"{name} is BLOCKED and needs nothing"


def _dead(seen: Picture) -> Iterator[str]:
    if set(seen.dead) != _in_state(seen, "FAILED"):
        yield f"I13: FAILED are {sorted(_in_state(seen, 'FAILED'))}, dead letters {sorted(seen.dead)}"
    stray = set(seen.outputs) - _in_state(seen, "DONE")
    if stray:
        yield f"I14: outputs of nodes that are not DONE: {sorted(stray)}"


def _history(store: Store, goal: str, seen: Picture) -> list[str]:
    """I1, I2, I5, I8 in the order in which the scripts wrote it."""
    faults, done, ended, token, cancelled = [], set[str](), 0, 0, False
    claims: dict[str, str] = {}
    for _, event in store.client.xrange(store.keys.part(goal, "events")):
        kind, node = event["type"], event["node"]
        if kind == "node.claimed":
            if int(event["token"]) <= token:
                faults.append(f"I5: token {event['token']} follows {token}")
            token = int(event["token"])
            claims[node] = event["token"]
            if node in done:
                faults.append(f"I1: {node} was claimed after it was DONE")
        if kind == "node.done":
            if node in done:
                faults.append(f"I1: {node} was DONE twice")
            done.add(node)
            if event["worker"] and event["token"] != claims.get(node):
                faults.append(f"I1: {node} was committed with token {event['token']}, claimed with {claims.get(node)}")
        if cancelled and kind in ("node.claimed", "node.done", "node.failed", "node.woken"):
            faults.append(f"I8: {kind} of {node} after the cancel")
        cancelled = cancelled or kind == "goal.cancelling"
        if kind in ("goal.done", "goal.failed", "goal.cancelled"):
            ended += 1
        elif kind == "goal.retried":
            ended -= 1
        elif ended and kind != "node.fenced":
            faults.append(f"I2: {kind} after the goal's end")
    if ended not in (0, 1) or bool(ended) != (seen.record.get("state") in GOAL_ENDED):
        faults.append(f"I2: {ended} ends in the history of a goal that is {seen.record.get('state')}")
    if done != _in_state(seen, "DONE"):
        faults.append(f"I1: DONE in the history {sorted(done)}, in the records {sorted(_in_state(seen, 'DONE'))}")
    return faults
