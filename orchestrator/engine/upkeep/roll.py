"""The roll of workers: who is registered, alive, late, dead, or left. Part of duty `scan`."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from orchestrator.store.fleet import Heartbeat
from orchestrator.store.store import Store
from orchestrator.store.upkeep import Enrolled

log = logging.getLogger(__name__)

KEPT_MS: Final = 3_600_000
"""How long workers stay on the roll that died or left."""
GONE: Final = frozenset({"dead", "left"})


class Roll:
    """Keeps the roll; writes only where something has changed."""

    def __init__(self, store: Store, stale_seconds: float) -> None:
        """A worker that was silent for `stale_seconds` is dead, for half of it late."""
        self._store = store
        self._stale_ms = stale_seconds * 1000
        self._known: dict[str, Enrolled] | None = None

    def anew(self) -> None:
        """Read the roll before it is called again: another beat has kept it meanwhile."""
        self._known = None

    def call(self, now: int, heartbeats: Sequence[Heartbeat]) -> tuple[list[Heartbeat], Counter[str]]:
        """Call the roll: the workers that live, and how many there are of each state. The dead leave the fleet."""
        if self._known is None:
            self._known = {one.name: one for one in self._store.upkeep.roll()}
        heard = {one.worker.name: self._enrolled(now, one) for one in heartbeats}
        for name, one in self._known.items():
            if name not in heard and one.state not in GONE:
                heard[name] = replace(one, state="left", since_ms=now)
        changed = [one for name, one in heard.items() if self._known.get(name) != one]
        gone = [
            name for name, one in self._known.items()
            if one.state in GONE and now - one.since_ms > KEPT_MS and name not in heard
        ]  # fmt: skip
        self._store.upkeep.enrol(changed, gone)
        self._known = {name: one for name, one in (self._known | heard).items() if name not in gone}
        dead = {one.name for one in heard.values() if one.state == "dead"}
        self._bury([one for one in heartbeats if one.worker.name in dead], now)
        living = [one for one in heartbeats if one.worker.name not in dead]
        return living, Counter(one.state for one in self._known.values())

    def _enrolled(self, now: int, one: Heartbeat) -> Enrolled:
        worker, silent = one.worker, now - one.at_ms
        state = "dead" if silent > self._stale_ms else "late" if silent > self._stale_ms / 2 else "alive"
        before = (self._known or {}).get(worker.name)
        same = (worker.pid, worker.slots, worker.queues)
        if before and before.state == state and (before.pid, before.slots, before.queues) == same:
            return before
        first = before.first_ms if before and before.state not in GONE else now
        return Enrolled(worker.name, state, now, first, one.at_ms, *same)

    def _bury(self, dead: Sequence[Heartbeat], now: int) -> None:
        for one in dead:
            self._store.fleet.leave(one.worker.name)
            log.warning("worker %s was silent for %.1f s", one.worker.name, (now - one.at_ms) / 1000)
