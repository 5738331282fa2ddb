"""Duty `metrics`: counts what beat sees, and writes it into timelines by minute and by hour."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import Final, Literal

from orchestrator.engine.duty import Duty
from orchestrator.store.records import Tally
from orchestrator.store.store import Store
from orchestrator.store.upkeep import Ring

RINGS: Final[tuple[tuple[Ring, int, int], ...]] = (("minutes", 60_000, 120), ("hours", 3_600_000, 336))
"""Timelines: name, milliseconds a bucket, buckets. Two hours, and two weeks."""
Count = Literal[
    "goals_begun", "goals_done", "goals_failed", "goals_cancelled", "goal_ms", "nodes_done", "nodes_failed",
    "leases_lost", "goals_removed", "keys_purged", "goals_entered", "ticks_failed",
]  # fmt: skip
"""What is added up. `goal_ms`: how long goals that ended had lasted."""
Level = Literal[
    "goals_open", "nodes_running", "nodes_waiting", "nodes_ready", "unknown_keys", "keys", "last_activity_ms"
]
"""What is measured."""
READY: Final = "ready:"
"""Levels of single queues: nodes of the queue of that name that could be claimed."""
QUEUES_KEPT: Final = 50
UNCHANGED_SECONDS: Final = 60.0
"""How often levels are written that have not changed, when nothing was counted either: an idle fleet is quiet."""
SEEN_SECONDS: Final = 70.0
"""By then beat has looked at every open goal; before, it does not know how many there are."""
STALE_SECONDS: Final = 180.0
"""An open goal is looked at more often; one that was not is another beat's, or gone."""


@dataclass(frozen=True, slots=True)
class _Open:
    """An open goal as it was at its last look."""

    running: int
    waiting: int
    ready: tuple[tuple[str, int], ...]
    seen: float
    """By the monotonic clock."""


class Meter:
    """Counts what the looks at goals tell. A beat that is killed takes what it counted since its last tick with it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._sums: Counter[str] = Counter()
        self._levels: dict[str, int] = {}
        self._open: dict[str, _Open] = {}
        self._written: tuple[dict[str, int], float] = ({}, 0.0)
        self._before: dict[str, int] | None = None
        """What was measured before this beat began to tick."""
        self._since = 0.0

    def duty(self, seconds: float) -> Duty:
        """The line of beat's table."""
        return Duty("metrics", seconds, self.tick)

    def anew(self) -> None:
        """Another beat has ticked meanwhile, and knows of other goals."""
        self._open.clear()
        self._before = None

    def add(self, name: Count, by: int = 1) -> None:
        """Count something."""
        if by:
            self._sums[name] += by

    def level(self, name: Level, value: int) -> None:
        """Something was measured."""
        self._levels[name] = value

    def note(self, goal: str, tally: Tally) -> None:
        """What a look at a goal told."""
        self.add("goals_begun", int(tally.first))
        self.add("nodes_done", tally.done)
        self.add("nodes_failed", tally.failed)
        if tally.ended:
            ends: dict[str, Count] = {
                "DONE": "goals_done",
                "FAILED": "goals_failed",
                "CANCELLED": "goals_cancelled",
            }
            self.add(ends[tally.ended])
            self.add("goal_ms", tally.lasted_ms)
        if tally.over:
            self._open.pop(goal, None)
        else:
            self._open[goal] = _Open(tally.running, tally.waiting, tally.ready, time.monotonic())

    def tick(self) -> str:
        """Write what was counted since the last tick."""
        now = self._store.goals.clock_ms()
        levels = self._measure()
        sums = dict(self._sums)
        if any(sums.get(name) for name in ("nodes_done", "nodes_failed", "goals_begun")):
            self._levels["last_activity_ms"] = levels["last_activity_ms"] = now
        before, at = self._written
        if sums or levels != before or time.monotonic() - at >= UNCHANGED_SECONDS:
            for ring, width, places in RINGS:
                self._store.upkeep.add(ring, now // width % places, now - now % width, sums, levels)
            self._store.upkeep.count(sums, levels)
            self._sums.clear()
            self._written = levels, time.monotonic()
        return f"{sums.get('nodes_done', 0)} nodes done, {levels['goals_open']} goals open, {levels['nodes_ready']} nodes ready"

    def _earlier(self) -> dict[str, int]:
        """What another beat, or this one before it was restarted, measured last, until every open goal was looked at."""
        if self._before is None:
            self._before, self._since = self._store.upkeep.levels(), time.monotonic()
        return self._before if time.monotonic() - self._since < SEEN_SECONDS else {}

    def _measure(self) -> dict[str, int]:
        if earlier := self._earlier():
            return earlier | self._levels
        oldest = time.monotonic() - STALE_SECONDS
        self._open = {goal: one for goal, one in self._open.items() if one.seen >= oldest}
        queues: Counter[str] = Counter()
        for one in self._open.values():
            queues.update(dict(one.ready))
        levels = self._levels | {
            "goals_open": len(self._open),
            "nodes_running": sum(one.running for one in self._open.values()),
            "nodes_waiting": sum(one.waiting for one in self._open.values()),
            "nodes_ready": sum(queues.values()),
        }
        return levels | {f"{READY}{queue}": count for queue, count in queues.most_common(QUEUES_KEPT)}
