"""What a run's events say: who ran which attempt when, what was lost and done again, and which path set its length.

Everything here takes plain facts, so that it works on a recorded run as well as on a live one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from audit_calls import Call, Gauge

_CHILD: Final = re.compile(r"^(?P<map>.+)\.\d+$")


@dataclass(frozen=True, slots=True)
class RunEvent:
    """One event of a goal; `at` is Redis time in seconds."""

    type: str
    at: float
    node: str = ""
    attempt: int = 0
    worker: str = ""


@dataclass(frozen=True, slots=True)
class Kill:
    """A worker that was killed on purpose, when, and what its supervisor calls it."""

    at: float
    name: str
    pids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A goal that has ended: its events in order, its nodes' states and titles, its edges, the kills it lived through,
    the model calls it made."""

    goal: str
    state: str
    events: Sequence[RunEvent]
    states: Mapping[str, str]
    edges: Sequence[tuple[str, str]]
    titles: Mapping[str, str] = field(default_factory=dict)
    kills: Sequence[Kill] = ()
    calls: Sequence[Call] = ()
    gauges: Sequence[Gauge] = ()


class Outcome(StrEnum):
    """How an attempt ended."""

    DONE = "done"
    PARKED = "parked"  # the node waits (a map for its items) and its worker is free
    FAILED = "failed"
    LOST = "lost"  # its worker vanished and the lease ran out
    OPEN = "open"  # the record ends before it does


_ENDS: Final[Mapping[str, Outcome]] = {
    "node.done": Outcome.DONE,
    "node.waiting": Outcome.PARKED,
    "node.expanded": Outcome.PARKED,
    "node.released": Outcome.PARKED,
    "node.failed": Outcome.FAILED,
    "node.retry": Outcome.FAILED,
    "node.cancelled": Outcome.FAILED,
    "node.lost": Outcome.LOST,
}


@dataclass(frozen=True, slots=True)
class Attempt:
    """One stretch of a node on a worker, in Redis time."""

    node: str
    number: int
    worker: str
    start: float
    end: float
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Step:
    """One node of the critical path: it was ready at `ready`, ran from `start` to `end`."""

    node: str
    ready: float
    start: float
    end: float

    @property
    def waited(self) -> float:
        """Seconds between being ready and being started."""
        return max(0.0, self.start - self.ready)

    @property
    def ran(self) -> float:
        """Seconds from start to end."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Facts:
    """The figures of a run; times are seconds."""

    nodes: int
    done: int
    workers: int
    attempts: int
    lost: int
    retries: int
    kills: int
    seconds: float
    busy_seconds: float
    """Sum over all attempts, without those that were lost."""


def attempts(record: RunRecord) -> list[Attempt]:
    """Every claim up to the event that ended it, in start order. A commit that was fenced ended nothing."""
    open_claims: dict[str, RunEvent] = {}
    found: list[Attempt] = []
    for event in record.events:
        if event.type == "node.claimed":
            open_claims[event.node] = event
        elif event.type in _ENDS and (claim := open_claims.pop(event.node, None)):
            outcome = _ENDS[event.type]
            found.append(Attempt(claim.node, claim.attempt, claim.worker, claim.at, event.at, outcome))
    last = record.events[-1].at if record.events else 0.0
    for claim in open_claims.values():
        found.append(Attempt(claim.node, claim.attempt, claim.worker, claim.at, last, Outcome.OPEN))
    return sorted(_unpacked(found), key=lambda attempt: (attempt.start, attempt.end))


def _unpacked(claims: Sequence[Attempt]) -> Iterator[Attempt]:
    """Nodes that one script claimed together run one after the other: each begins where the one before it ended."""
    packs: dict[tuple[str, float], list[Attempt]] = {}
    for attempt in claims:
        packs.setdefault((attempt.worker, attempt.start), []).append(attempt)
    for pack in packs.values():
        at = pack[0].start
        for attempt in sorted(pack, key=lambda one: (one.outcome in (Outcome.LOST, Outcome.OPEN), one.end)):
            yield replace(attempt, start=min(at, attempt.end))
            at = max(at, attempt.end)


def map_of(node: str, nodes: Iterable[str] | Mapping[str, object]) -> str | None:
    """The map that a node is an item of, or None."""
    match = _CHILD.match(node)
    return match["map"] if match and match["map"] in nodes else None


def process_of(worker: str) -> str:
    """The process of a worker; one that runs nodes in threads names the thread too."""
    return "/".join(worker.split("/")[:2])


def span(record: RunRecord) -> tuple[float, float]:
    """First and last moment of the run: goal.started (or the first event) and the last event."""
    if not record.events:
        return 0.0, 0.0
    started = next((event.at for event in record.events if event.type == "goal.started"), record.events[0].at)
    return started, max(started, record.events[-1].at)


def facts(record: RunRecord) -> Facts:
    """The run in figures."""
    runs = attempts(record)
    types = Counter(event.type for event in record.events)
    start, end = span(record)
    return Facts(
        nodes=len(record.states),
        done=sum(state == "DONE" for state in record.states.values()),
        workers=len({process_of(attempt.worker) for attempt in runs if attempt.worker}),
        attempts=types["node.claimed"],
        lost=types["node.lost"],
        retries=types["node.retry"],
        kills=len(record.kills),
        seconds=end - start,
        busy_seconds=sum(attempt.end - attempt.start for attempt in runs if attempt.outcome is not Outcome.LOST),
    )


def critical_path(record: RunRecord) -> list[Step]:
    """The chain of nodes that set the run's length: from the last end back through whatever was waited for last."""
    runs = attempts(record)
    ends: dict[str, float] = {}
    for event in record.events:
        if event.type in ("node.done", "node.failed", "node.skipped"):
            ends[event.node] = event.at
    if not ends:
        return []
    parents = _parents(record)
    begins = _starts(runs)
    path: list[Step] = []
    node: str | None = max(ends, key=lambda name: (ends[name], name))
    while node is not None:
        waited_for = [name for name in parents.get(node, ()) if name in ends]
        before = max(waited_for, key=lambda name: (ends[name], name), default=None)
        ready = ends[before] if before else span(record)[0]
        start = max(begins.get(node, ends[node]), ready)
        path.append(Step(node, ready, min(start, ends[node]), ends[node]))
        node = before
    return path[::-1]


def _parents(record: RunRecord) -> dict[str, list[str]]:
    """What each node waited for. A map waits for its items, and these for what the map's edges say."""
    direct: dict[str, list[str]] = {}
    for source, target in record.edges:
        direct.setdefault(target, []).append(source)
    out = {node: list(parents) for node, parents in direct.items()}
    items: dict[str, list[str]] = {}
    for node in record.states:
        if parent := map_of(node, record.states):
            items.setdefault(parent, []).append(node)
            out[node] = [name for name in direct.get(parent, ()) if map_of(name, record.states) != parent]
    for parent, children in items.items():
        out[parent] = children
    return out


def _starts(runs: Sequence[Attempt]) -> dict[str, float]:
    """When each node's last attempt began: what came before it on the node was lost or parked."""
    return {attempt.node: attempt.start for attempt in runs}
