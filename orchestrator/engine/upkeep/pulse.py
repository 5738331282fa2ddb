"""Duty `health`: samples of Redis, from which the operator's tools tell where it is going; and which beats are there."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

from orchestrator.engine.duty import Duty
from orchestrator.store.store import Store
from orchestrator.store.upkeep import Sample

PINGS: Final = 5
BEAT_GONE_MS: Final = 60_000
"""A beat that has said nothing for this long is forgotten."""


class Pulse:
    """Takes a sample now and then."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def duty(self, seconds: float) -> Duty:
        """The line of beat's table."""
        return Duty("health", seconds, self.tick)

    def tick(self) -> str:
        """Keep one sample, and forget beats that are gone."""
        upkeep, now = self._store.upkeep, self._store.goals.clock_ms()
        memory = _worst(self._store.fleet.info("memory"))
        sample = Sample(
            at_ms=now,
            used_bytes=int(memory["used_memory"]),
            limit_bytes=int(memory.get("maxmemory", 0)),
            ping_ms=round(max(self._ping() for _ in range(PINGS)), 3),
            behind_ms=upkeep.most_overdue_ms(now),
        )
        upkeep.sample(sample)
        upkeep.unsay([beat.name for beat in upkeep.beats() if now - beat.at_ms > BEAT_GONE_MS])
        return f"{sample.used_bytes / 1048576:.1f} MiB, ping {sample.ping_ms:.1f} ms, {sample.behind_ms / 1000:.1f} s behind"

    def _ping(self) -> float:
        begun = time.monotonic()
        self._store.fleet.ping()
        return (time.monotonic() - begun) * 1000


def _worst(memory: Mapping[str, Any]) -> Mapping[str, Any]:
    """The fullest server; a cluster answers for each of its servers."""
    if "used_memory" in memory:
        return memory
    return max(memory.values(), key=lambda one: int(one["used_memory"]))
