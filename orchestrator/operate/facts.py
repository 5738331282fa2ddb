"""What is known when it is asked why: frozen copies of what is stored. Times are Redis time, ms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.domain.states import GoalState, NodeState
from orchestrator.llm.status import Snapshot


@dataclass(frozen=True, slots=True)
class Said:
    """Who did something, why and when."""

    by: str = ""
    """Door and sender; empty where nobody is known."""
    reason: str = ""
    at_ms: int = 0
    command: str = ""
    """The id of the command."""


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """One node and what bears on it."""

    id: str
    state: NodeState
    spec: Mapping[str, Any]
    queue: str = "default"
    attempt: int = 0
    failures: int = 0
    lost: int = 0
    open_items: int = 0
    """Nodes that it added and that have not ended."""
    parents: Mapping[str, str] = field(default_factory=dict)
    """Its parents, or the first some hundred, with their states."""
    need: int = 0
    """Edges that must fire yet."""
    roots: tuple[NodeFacts, ...] = ()
    """What it waits for in the end: the first nodes above it that are not blocked themselves."""
    lane: str = ""
    before: int = 0
    """Nodes before it in its lane."""
    behind: int = 0
    """Nodes behind it in its lane."""
    ahead: NodeFacts | None = None
    """The first of its lane, where that is another."""
    parked: Mapping[str, Any] | None = None
    due_ms: int | None = None
    worker: str = ""
    lease_ms: int | None = None
    since_ms: int | None = None
    """When it came into its state, if the events still tell."""
    stuck: str = ""
    """Why nobody may do it, as beat found."""
    failure: Mapping[str, Any] | None = None
    before_error: str = ""
    """What went wrong with the attempt before, if the events still tell."""
    child: GoalFacts | None = None
    """Its sub-goal."""

    @property
    def agent(self) -> str:
        """Whose node it is; empty for other kinds."""
        return str(self.spec.get("agent", ""))

    @property
    def waits_for(self) -> str:
        """Why it is parked: approval, signal:<name>, llm:<line>, ..."""
        return str((self.parked or {}).get("reason", ""))


@dataclass(frozen=True, slots=True)
class Invited:
    """The messages of one queue of a goal."""

    out: int = 0
    due_ms: int = 0
    """When they count as lost."""
    unanswered: int = 0
    """How often they did, one after the other."""


@dataclass(frozen=True, slots=True)
class GoalFacts:
    """One goal without its nodes."""

    id: str
    state: GoalState
    owner: str = "default"
    reason: str = ""
    cancelling: bool = False
    counts: Mapping[NodeState, int] = field(default_factory=dict)
    paused: Said | None = None
    held: Mapping[str, Said] = field(default_factory=dict)
    """`n:<node>` or `a:<agent>`."""
    invited: Mapping[str, Invited] = field(default_factory=dict)
    """By queue."""
    budget: Mapping[str, Any] = field(default_factory=dict)
    spent: Mapping[str, int] = field(default_factory=dict)
    """Tokens and micro_usd that its accounts reserved and spent."""


@dataclass(frozen=True, slots=True)
class WorkerFacts:
    """One worker of the fleet."""

    name: str
    pid: int
    slots: int
    queues: tuple[str, ...]
    pool: str
    heard_ms: int
    """When it was last heard of."""
    alive: bool
    holds: tuple[tuple[str, str], ...] = ()
    """(goal, node) of what it has leased, of the goals that were looked at."""
    faults: tuple[str, ...] = ()
    """Celery settings of it that break a promise."""
    draining: bool = False
    """It takes no new node."""


@dataclass(frozen=True, slots=True)
class FleetFacts:
    """The fleet at one moment."""

    now_ms: int
    workers: tuple[WorkerFacts, ...] = ()
    holds: Mapping[str, Said] = field(default_factory=dict)
    """`queue:<name>`, `agent:<owner or *>/<name>`, `fleet`."""
    beat_age: float | None = None
    """Seconds since beat last looked at goals; None: it never did."""
    beat_late: bool = False
    full: bool = False
    """Redis has no memory left."""
    lines: Mapping[str, Snapshot] = field(default_factory=dict)
    """Lines of model calls that nodes wait in."""

    @property
    def alive(self) -> tuple[WorkerFacts, ...]:
        """The workers that were heard of lately."""
        return tuple(worker for worker in self.workers if worker.alive)

    def serving(self, queue: str) -> tuple[WorkerFacts, ...]:
        """The live workers of a queue that take new nodes."""
        return tuple(worker for worker in self.alive if queue in worker.queues and not worker.draining)

    def draining(self, queue: str) -> tuple[WorkerFacts, ...]:
        """The live workers of a queue that take no new nodes."""
        return tuple(worker for worker in self.alive if queue in worker.queues and worker.draining)

    def worker(self, name: str) -> WorkerFacts | None:
        """The worker of that name, as leases write it."""
        return next((one for one in self.workers if one.name == name), None)
