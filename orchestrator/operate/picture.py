"""The fleet at one glance, for `chordal top`: goals that are open, workers, queues, accounts of models, beat."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from orchestrator.domain.states import NODE_TERMINAL, NodeState
from orchestrator.llm.status import Snapshot
from orchestrator.operate.check_broker import Depth
from orchestrator.operate.facts import FleetFacts
from orchestrator.operate.fleet import GOALS, read_fleet
from orchestrator.operate.gather import snapshots

if TYPE_CHECKING:
    from orchestrator.operate.operator import Operator

SHOWN: Final = 50
"""Goals that are in the picture, those that have most running first."""


@dataclass(frozen=True, slots=True)
class GoalRow:
    """One open goal. Times are seconds."""

    goal: str
    title: str
    state: str
    owner: str
    ended: int
    total: int
    running: int
    ready: int
    waiting: int
    failed: int
    seconds: float
    reason: str

    @classmethod
    def of(cls, goal: str, record: Mapping[str, str], now_ms: int) -> GoalRow:
        """From its record."""
        counts = {state: int(record.get(f"n:{state}", 0)) for state in NodeState}
        since = int(record.get("started") or record["created"])
        return cls(
            goal, record.get("title", ""), record["state"], record.get("owner", "default"),
            sum(counts[state] for state in NODE_TERMINAL), int(record.get("total", 0)), counts[NodeState.RUNNING],
            counts[NodeState.READY], counts[NodeState.WAITING], counts[NodeState.FAILED], (now_ms - since) / 1000,
            record.get("reason", ""),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Picture:
    """Everything at one moment."""

    at: float
    """Redis time, seconds."""
    fleet: FleetFacts
    goals: tuple[GoalRow, ...]
    open: int
    """All open goals, up to 500."""
    queues: tuple[Depth, ...]
    accounts: Mapping[str, Snapshot]
    memory_bytes: int
    poison: int

    def as_json(self) -> dict[str, Any]:
        """As `chordal top --json` prints it."""
        return {
            "at": self.at,
            "beat_seconds_ago": self.fleet.beat_age,
            "beat_late": self.fleet.beat_late,
            "memory_bytes": self.memory_bytes,
            "open_goals": self.open,
            "goals": [{name: getattr(row, name) for name in GoalRow.__slots__} for row in self.goals],
            "workers": [
                {"name": one.name, "alive": one.alive, "slots": one.slots, "queues": list(one.queues), "holds": len(one.holds)}
                for one in self.fleet.workers
            ],
            "queues": [
                {"queue": one.queue, "messages": one.messages, "oldest_seconds": one.oldest} for one in self.queues
            ],
            "accounts": [
                {"account": name, "waiting": one.waiting, "in_flight": one.usage["concurrent"].used, "breaker": one.breaker}
                for name, one in self.accounts.items()
            ],
            "holds": {name: {"by": who.by, "reason": who.reason} for name, who in self.fleet.holds.items()},
            "poison_messages": self.poison,
        }  # fmt: skip


def take(operator: Operator) -> Picture:
    """The picture now. Raises RedisNotReachable; a broker that is away only leaves its queues out."""
    store = operator.store
    with operator.reachable():
        now = store.fleet.clock_ms()
        records = store.look.open_goals(now, GOALS)
        fleet = read_fleet(store, operator.settings, records)
        rows = sorted(
            (GoalRow.of(goal, record, now) for goal, record in records.items()),
            key=lambda row: (-row.running, -row.ready, row.seconds),
        )
        queues: list[Depth] = []
        with suppress(Exception):  # each transport raises its own
            queues = operator.queues(fleet)
        return Picture(
            now / 1000, fleet, tuple(rows[:SHOWN]), len(rows), tuple(one for one in queues if one.messages or fleet.serving(one.queue)),
            snapshots(store, store.llm.accounts()), int(store.fleet.info("memory")["used_memory"]), len(store.fleet.poison_raw()),
        )  # fmt: skip
