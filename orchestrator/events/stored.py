"""Everything that is stored for a goal, read in pages: what a check compares with the history and with itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from orchestrator.events.said import read_said
from orchestrator.events.source import chunks, pages
from orchestrator.store.store import Store

_FIELDS: Final = ("state", "need", "open", "token", "queue", "lane", "kit", "as")


class Task(NamedTuple):
    """What the checks need of one node's record. Missing fields are None."""

    state: str | None
    need: str | None
    open: str | None
    token: str | None
    queue: str | None
    lane: str | None
    kit: str | None = None
    """Only of an agent's node."""
    dropped_as: str | None = None
    """`f` of a node that was dropped and counts as failed."""


@dataclass(slots=True)
class Stored:
    """One goal's state."""

    record: Mapping[str, str]
    tasks: dict[str, Task] = field(default_factory=dict)
    by_state: dict[str, set[str]] = field(default_factory=dict)
    locks: dict[str, str] = field(default_factory=dict)
    """Locked node to ``token nonce worker``."""
    leases: dict[str, float] = field(default_factory=dict)
    timers: dict[str, float] = field(default_factory=dict)
    parked: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    """Node to the digest of what is stored."""
    dead: dict[str, str] = field(default_factory=dict)
    """Node to its reason, empty if it has none."""
    ready: dict[str, list[str]] = field(default_factory=dict)
    """By queue."""
    lanes: dict[str, list[str]] = field(default_factory=dict)
    aside: list[str] = field(default_factory=list)
    """READY nodes that claims leave alone, because they are held."""
    said: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Transcripts of agents' nodes, entry by entry."""
    ripple: int = 0
    """Ended nodes whose edges are still being resolved."""

    @property
    def state(self) -> str:
        """The goal's."""
        return self.record.get("state", "")

    @property
    def cancelling(self) -> bool:
        """A cancellation is at work; it clears the places all at once when it is done."""
        return "cancelling" in self.record

    def number(self, name: str) -> int:
        """A counter of the record."""
        return int(self.record.get(name, 0))

    def state_of(self, name: str) -> str:
        """A node's state, or `nowhere`."""
        task = self.tasks.get(name)
        return (task.state if task is not None else None) or "nowhere"

    def within(self, *states: str) -> set[str]:
        """The nodes in these states."""
        return set[str]().union(*(self.by_state.get(state, set()) for state in states))


def read_state(store: Store, goal: str) -> Stored:
    """The goal's state. It is read in many calls: only of a goal that stands still meanwhile is it one picture."""
    client, keys = store.client, store.keys
    stored = Stored(store.goals.record(goal))
    for page in pages(store, goal, "nodes"):
        _read_tasks(store, goal, [name for name in page if name not in stored.tasks], stored)
    stored.leases = dict(client.zrange(keys.part(goal, "leases"), 0, -1, withscores=True))
    stored.timers = dict(client.zrange(keys.part(goal, "timers"), 0, -1, withscores=True))
    stored.parked = store.goals.part(goal, "parked")
    for page in pages(store, goal, "outputs"):
        stored.outputs.update({node: digest(raw) for node, raw in page.items()})
    for page in pages(store, goal, "dead"):
        stored.dead.update({node: _reason(raw) for node, raw in page.items()})
    queues = {task.queue or "default" for task in stored.tasks.values()} | {"default"}
    lanes = {task.lane for task in stored.tasks.values() if task.lane}
    stored.ready = {queue: list(client.zrange(keys.part(goal, f"ready:{queue}"), 0, -1)) for queue in queues}
    stored.lanes = {lane: list(client.zrange(keys.part(goal, f"lane:{lane}"), 0, -1)) for lane in lanes}
    stored.aside = list(client.zrange(keys.part(goal, "aside"), 0, -1))
    stored.said = read_said(store, goal, [name for name, task in stored.tasks.items() if task.kit])
    stored.ripple = int(client.llen(keys.part(goal, "ripple")))
    return stored


def digest(raw: str) -> str:
    """What `record_digests` writes down of a stored output."""
    return hashlib.sha1(raw.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()[:12]


def _reason(raw: str) -> str:
    failure: Any = json.loads(raw)
    return str(failure.get("reason", "")) if isinstance(failure, dict) else ""


def _read_tasks(store: Store, goal: str, names: list[str], stored: Stored) -> None:
    for part in chunks(names):
        with store.client.pipeline(transaction=False) as pipe:
            for name in part:
                pipe.hmget(store.keys.task(goal, name), _FIELDS)
            records = pipe.execute()
        for name, record in zip(part, records, strict=True):
            task = Task(*record)
            stored.tasks[name] = task
            stored.by_state.setdefault(task.state or "", set()).add(name)
        locks = store.client.mget([f"{store.keys.task(goal, name)}:lock" for name in part])
        stored.locks.update({name: lock for name, lock in zip(part, locks, strict=True) if lock})
