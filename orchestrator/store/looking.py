"""What an operator asks of the store: single nodes with all that bears on them, leases, queues of Redis. Reads only."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis.exceptions import NoPermissionError, NoScriptError, ReadOnlyError

from orchestrator.store.connection import Refused, takes_no_writes
from orchestrator.store.keys import Keys

OPEN_WITHIN_MS: Final = 65_000
"""Every open goal is looked at again within a minute, so those that are due later have ended."""
_ENDED: Final = frozenset({"DONE", "FAILED", "CANCELLED"})


@dataclass(frozen=True, slots=True)
class RawNode:
    """One node as it is stored; empty where there is nothing. Times are Redis time, ms."""

    id: str
    record: Mapping[str, str]
    spec: Mapping[str, Any]
    parents: tuple[str, ...]
    parked: Mapping[str, Any] | None
    due_ms: int | None
    """When its timer goes off."""
    lease_ms: int | None
    """When its lease runs out."""
    worker: str
    """Who holds the lease."""
    failure: Mapping[str, Any] | None
    """Its dead letter."""
    aside: bool
    """It is held and was set aside by a claim."""


@dataclass(frozen=True, slots=True)
class Front:
    """The nodes of a goal with which something is happening, or could: a few of each kind, and how many there are."""

    running: tuple[str, ...]
    waiting: tuple[str, ...]
    ready: tuple[str, ...]
    """The best of each queue."""
    aside: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Holding:
    """A node that a worker has leased."""

    goal: str
    node: str
    worker: str
    token: int
    until_ms: int
    """When the lease runs out, should it not be renewed."""


class LookStore:
    """Questions. Nothing here changes anything."""

    def __init__(self, client: Any, keys: Keys) -> None:
        self._client = client
        self._keys = keys

    # -- goals --------------------------------------------------------------------------------------------------------

    def open_goals(self, now_ms: int, most: int) -> dict[str, dict[str, str]]:
        """Goals that have not ended, at most so many, with their records; those that beat must look at first come first."""
        due = self._client.zrange(self._keys.due, "-inf", now_ms + OPEN_WITHIN_MS, byscore=True, offset=0, num=most)
        names = [str(name) for name in due]
        with self._client.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.hgetall(self._keys.goal(name))
            records = pipe.execute()
        return {
            name: dict(record)
            for name, record in zip(names, records, strict=True)
            if record.get("state", "DONE") not in _ENDED and "building" not in record
        }

    def front(self, goal: str, most: int) -> Front:
        """Up to so many nodes of each kind."""
        part = self._keys.part
        with self._client.pipeline(transaction=False) as pipe:
            pipe.zrange(part(goal, "leases"), 0, most - 1)
            pipe.hscan(part(goal, "parked"), count=most)
            pipe.hkeys(part(goal, "dispatch"))
            pipe.zrange(part(goal, "aside"), 0, most - 1)
            running, parked, fields, aside = pipe.execute()
        queues = [field.removeprefix("out:") for field in fields if field.startswith("out:")]
        with self._client.pipeline(transaction=False) as pipe:
            for queue in queues:
                pipe.zrange(part(goal, f"ready:{queue}"), 0, most - 1)
            ready = [node for names in (pipe.execute() if queues else []) for node in names]
        return Front(tuple(running), tuple(sorted(parked[1])[:most]), tuple(ready), tuple(aside))

    def dispatch(self, goal: str) -> dict[str, str]:
        """The invitations of the goal by queue, as `invite.lua` keeps them."""
        return dict(self._client.hgetall(self._keys.part(goal, "dispatch")))

    def queues(self, goals: Sequence[str]) -> set[str]:
        """The queues for which messages of these goals were sent."""
        with self._client.pipeline(transaction=False) as pipe:
            for goal in goals:
                pipe.hkeys(self._keys.part(goal, "dispatch"))
            fields = [field for names in (pipe.execute() if goals else []) for field in names]
        return {str(field).removeprefix("out:") for field in fields if field.startswith("out:")}

    def held(self, goal: str) -> dict[str, dict[str, Any]]:
        """What is held inside the goal: `n:<node>` or `a:<agent>`, to by, reason, at, command."""
        found = self._client.hgetall(self._keys.part(goal, "held"))
        return {name: json.loads(note) for name, note in found.items()}

    def lately(self, goal: str, most: int) -> list[tuple[str, dict[str, str]]]:
        """The goal's latest events, the newest first."""
        found = self._client.xrevrange(self._keys.part(goal, "events"), count=most)
        return [(str(name), dict(fields)) for name, fields in found]

    def dead(self, goal: str, most: int) -> dict[str, dict[str, Any]]:
        """The dead letters of a goal, some of them if there are more."""
        found: dict[str, dict[str, Any]] = {}
        for node, text in self._client.hscan_iter(self._keys.part(goal, "dead"), count=1000):
            found[str(node)] = json.loads(text)
            if len(found) >= most:
                break
        return found

    # -- nodes --------------------------------------------------------------------------------------------------------

    def nodes(self, goal: str, names: Sequence[str]) -> list[RawNode]:
        """Nodes, in their order; one that is not there has no record."""
        keys, part = self._keys, self._keys.part
        with self._client.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.hgetall(keys.task(goal, name))
                pipe.hget(part(goal, "nodes"), name)
                pipe.hget(part(goal, "deps"), name)
                pipe.hget(part(goal, "parked"), name)
                pipe.zscore(part(goal, "timers"), name)
                pipe.zscore(part(goal, "leases"), name)
                pipe.get(f"{keys.task(goal, name)}:lock")
                pipe.hget(part(goal, "dead"), name)
                pipe.zscore(part(goal, "aside"), name)
            flat = pipe.execute() if names else []
        return [_node(name, flat[at : at + 9]) for name, at in zip(names, range(0, len(flat), 9), strict=True)]

    def states(self, goal: str, names: Sequence[str]) -> dict[str, str]:
        """The states of nodes."""
        with self._client.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.hget(self._keys.task(goal, name), "state")
            return {name: state for name, state in zip(names, pipe.execute() if names else [], strict=True) if state}

    def lane(self, goal: str, lane: str, node: str) -> tuple[str, int, int]:
        """A lane of the goal: (who is first, how many stand before the node, how many stand in it)."""
        key = self._keys.part(goal, f"lane:{lane}")
        with self._client.pipeline(transaction=False) as pipe:
            pipe.zrange(key, 0, 0)
            pipe.zrank(key, node)
            pipe.zcard(key)
            first, place, length = pipe.execute()
        return (str(first[0]) if first else ""), int(place or 0), int(length)

    def holdings(self, goals: Iterable[str], most: int) -> list[Holding]:
        """What the workers hold of these goals, at most so many nodes of each."""
        names = list(goals)
        with self._client.pipeline(transaction=False) as pipe:
            for goal in names:
                pipe.zrange(self._keys.part(goal, "leases"), 0, most - 1, withscores=True)
            leased = pipe.execute() if names else []
        flat = [
            (goal, str(node), int(until)) for goal, pairs in zip(names, leased, strict=True) for node, until in pairs
        ]
        with self._client.pipeline(transaction=False) as pipe:
            for goal, node, _ in flat:
                pipe.get(f"{self._keys.task(goal, node)}:lock")
            locks = pipe.execute() if flat else []
        found = []
        for (goal, node, until), lock in zip(flat, locks, strict=True):
            if lock:
                token, _, worker = lock.split(" ", 2)
                found.append(Holding(goal, node, worker, int(token), until))
        return found

    # -- Redis itself -------------------------------------------------------------------------------------------------

    def pings(self, count: int) -> list[float]:
        """Seconds that so many round trips took; none where Redis refuses even these, as it does when it cannot save."""
        spent: list[float] = []
        for _ in range(count):
            begun = time.perf_counter()
            try:
                self._client.ping()
            except Refused:
                break
            spent.append(time.perf_counter() - begun)
        return spent

    def write_refused(self) -> str | None:
        """What Redis says to any write, where it takes none for now."""
        for _ in range(2):  # the first answer may be for the ping of a connection that was opened for it
            try:
                self._client.hdel(self._keys.workers, "chordal-doctor")
            except NoPermissionError:
                return None
            except Refused as error:
                code = "READONLY " if isinstance(error, ReadOnlyError) else ""  # the client takes this one off
                found = f"{code}{error}" if takes_no_writes(error) else None
            else:
                found = None
        return found

    def refused(self) -> list[str]:
        """What this connection's user may not do, in Redis's words. Asked by writes that find nothing to change."""
        none, keys = "chordal-doctor", self._keys
        probes: tuple[tuple[str, ...], ...] = (
            ("EVALSHA", "0" * 40, "1", keys.index),
            ("HDEL", keys.workers, none),
            ("ZREM", keys.index, none),
            ("ZREM", keys.due, none),
            ("LREM", keys.poison, "0", none),
            ("XTRIM", keys.control("audit"), "MAXLEN", "=", "1000000000"),
            ("HDEL", keys.ticks, none),
            ("GET", keys.slots),
            ("SCAN", "0", "COUNT", "1"),
            ("INFO", "memory"),
            ("TIME",),
        )
        found = []
        for words in probes:
            try:
                self._client.execute_command(*words)
            except NoPermissionError as error:
                found.append(f"{words[0]} {words[1] if len(words) > 1 else ''}".strip() + f" ({error})")
            except NoScriptError:
                continue  # allowed; there is no such script
            except Refused as error:
                if not takes_no_writes(error):
                    raise
        return found


def _node(name: str, raw: Sequence[Any]) -> RawNode:
    record, spec, parents, parked, due, lease, lock, dead, aside = raw
    return RawNode(
        name,
        record,
        json.loads(spec or "{}"),
        tuple(json.loads(parents or "[]")),
        json.loads(parked) if parked else None,
        None if due is None else int(due),
        None if lease is None else int(lease),
        lock.split(" ", 2)[2] if lock else "",
        json.loads(dead) if dead else None,
        aside is not None,
    )
