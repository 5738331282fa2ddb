"""What the histories of the goals say: whether the invariants held, and how long each fault was felt."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chaos.load import Order
from chaos.world import World
from orchestrator.events.check import check_goal, unknown_keys
from orchestrator.store.store import Store


@dataclass(frozen=True)
class Moment:
    """One event of a node. Times are Redis's, in seconds."""

    at: float
    kind: str
    token: str
    pid: int


@dataclass
class Hit:
    """One fault of a run, when it struck and when it was healed (seconds since the epoch)."""

    fault: str
    at: float
    healed: float = 0.0
    pids: frozenset[int] = frozenset()


CELERY = re.compile(
    r"_kombu\..*|celery-task-meta-.*|unacked.*|default.*|llm(\x06.*)?|.*\.pidbox|.*\.reply\..*|celeryev.*"
)
"""Celery's own keys."""
CLOCK_GRAIN = 0.002
Histories = Mapping[tuple[str, str], Sequence[Moment]]


def histories(store: Store, goals: Iterable[str]) -> Histories:
    """The events of every node, in order."""
    found: dict[tuple[str, str], list[Moment]] = defaultdict(list)
    for goal in goals:
        for name, event in store.client.xrange(store.keys.part(goal, "events")):
            if event.get("node"):
                worker = event.get("worker", "").split("/")
                pid = int(worker[1]) if len(worker) > 1 and worker[1].isdigit() else 0
                at = int(name.partition("-")[0]) / 1000
                found[goal, event["node"]].append(Moment(at, event["type"], event.get("token", ""), pid))
    return found


def recovery(hit: Hit, seen: Histories, commits: Sequence[float]) -> float | None:
    """Seconds until the last of what the victims held was claimed again; without victims, from the healing to a commit.

    None if the victims held nothing, or finished it themselves.
    """
    if not hit.pids:
        after = [at for at in commits if at >= hit.healed]
        return after[0] - hit.healed if after else None
    return max((claimed for _, claimed in _regained(hit, seen)), default=None)


def claimable(hit: Hit, seen: Histories) -> float | None:
    """Seconds until the last of what the victims held could be claimed again: what the bound on recovery is about."""
    return max((ready for ready, _ in _regained(hit, seen)), default=None)


def _regained(hit: Hit, seen: Histories) -> list[tuple[float, float]]:
    return [gaps for moments in seen.values() if hit.pids and (gaps := _gaps(hit, moments)) is not None]


def _gaps(hit: Hit, moments: Sequence[Moment]) -> tuple[float, float] | None:
    """Seconds until a node that the victims held was READY again, and until it was claimed again."""
    for index, one in enumerate(moments):
        if one.at > hit.at:
            return None
        rest = [later for later in moments[index + 1 :] if later.kind != "node.fenced"]
        if one.kind != "node.claimed" or one.pid not in hit.pids or (rest and rest[0].at <= hit.at):
            continue
        for later in rest:
            if later.kind == "node.claimed":
                return rest[0].at - hit.at, later.at - hit.at
            if later.token == one.token and later.kind in ("node.done", "node.retry", "node.failed", "node.waiting"):
                return None  # it finished by itself
    return None


def commit_times(seen: Histories) -> list[float]:
    """When nodes were DONE, in order."""
    return sorted(one.at for moments in seen.values() for one in moments if one.kind == "node.done")


def wrong_outputs(store: Store, order: Order) -> list[str]:
    """Outputs that are not what the goal's inputs make them."""
    stored = store.goals.part(order.goal, "outputs")
    wrong = []
    for name, value in order.expected.items():
        found: Any = json.loads(stored[name]) if name in stored else None
        if isinstance(value, str) and isinstance(found, dict):
            found = found.get("text")
        if found != value:
            wrong.append(f"{order.goal} {name}: the output is {found}, it should be {value}")
    return wrong


def early_timers(store: Store, order: Order) -> list[str]:
    """Timers that fired before their time, by Redis's clock."""
    waits = {node["id"]: node["inputs"]["seconds"] for node in order.document["nodes"] if node.get("kind") == "wait"}
    since: dict[str, float] = {}
    early = []
    for name, event in store.client.xrange(store.keys.part(order.goal, "events")):
        node, at = event.get("node"), int(name.partition("-")[0]) / 1000
        if event["type"] == "node.waiting":
            since[node] = at
        elif event["type"] == "node.woken" and node in waits and at - since[node] < waits[node] - CLOCK_GRAIN:
            early.append(f"{order.goal} {node}: woken after {at - since[node]:.3f} s of {waits[node]} s")
    return early


def handed_out_again(fault: str) -> bool:
    """What a token that two leases had, before and after a loss, looks like: events do not name the nonce that differs."""
    return fault.startswith("I14") and "fenced before" in fault


def check(world: World) -> dict[str, list[str]]:
    """Every violation, by goal; those of no goal under the empty name."""
    store = world.chordal.store
    found: dict[str, list[str]] = {"": [f"I10: key {key}" for key in unknown_keys(store) if not CELERY.fullmatch(key)]}
    for goal in {**world.goals, **world.doubtful, **dict.fromkeys(world.extra)}:
        record = store.client.hgetall(store.keys.goal(goal))
        if not record or "building" in record:
            if (goal in world.goals or goal in world.extra) and goal not in world.forgotten:
                found[goal] = [f"{goal} was accepted and is gone"]
            continue
        faults = [
            str(one) for one in check_goal(store, goal) if not (goal in world.set_back and handed_out_again(str(one)))
        ]
        if record.get("state") != "DONE":
            dead = store.goals.part(goal, "dead")
            faults.append(f"{goal} is {record.get('state')} {record.get('reason', '')}: {str(dead)[:1000]}")
        elif goal in world.extra:
            faults += world.extra[goal]()
        else:
            order = {**world.goals, **world.doubtful}[goal]
            faults += wrong_outputs(store, order) + early_timers(store, order)
        if faults:
            found[goal] = [fault if goal in fault else f"{goal}: {fault}" for fault in faults]
    return {goal: faults for goal, faults in found.items() if faults}
