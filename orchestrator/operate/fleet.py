"""The fleet as one looks at it: workers with what they hold, beats, holds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from orchestrator.operate.facts import FleetFacts, WorkerFacts
from orchestrator.operate.gather import said
from orchestrator.settings import Settings
from orchestrator.store.looking import Holding
from orchestrator.store.store import Store

GOALS: Final = 500
"""Open goals whose leases are looked at."""
LEASES: Final = 200
"""Of each of them."""
LATE_TICKS: Final = 5
"""Intervals without a tick after which a duty of beat counts as late."""


def read_fleet(store: Store, settings: Settings, goals: Iterable[str] | None = None) -> FleetFacts:
    """The fleet now; what workers hold is read from these goals, or from the open ones that are looked at first."""
    now = store.fleet.clock_ms()
    names = list(store.look.open_goals(now, GOALS)) if goals is None else list(goals)
    ticks = store.fleet.ticks()
    age = (now - int(ticks["reap"]["at_ms"])) / 1000 if "reap" in ticks else None
    memory = store.fleet.info("memory")
    return FleetFacts(
        now_ms=now,
        workers=read_workers(store, settings, store.look.holdings(names, LEASES), now),
        holds={name: said(note) for name, note in store.control.holds().items()},
        beat_age=age,
        beat_late=age is None or is_late(age, settings.reap_seconds),
        full=0 < int(memory.get("maxmemory", 0)) <= int(memory.get("used_memory", 0)),
    )


def alive_workers(store: Store, settings: Settings) -> int:
    """Workers heard of within `worker_stale_seconds`."""
    now, limit = store.fleet.clock_ms(), settings.worker_stale_seconds * 1000
    return sum(now - heartbeat.at_ms <= limit for heartbeat in store.fleet.workers())


def is_late(age: float, interval: float) -> bool:
    """Whether a duty of beat should have ticked long ago."""
    return age > LATE_TICKS * interval + 1


def read_workers(
    store: Store, settings: Settings, holdings: Iterable[Holding], now_ms: int
) -> tuple[WorkerFacts, ...]:  # fmt: skip
    """The workers by name: those that beat, and those that died within the hour; with what they hold."""
    held: dict[str, list[tuple[str, str]]] = {}
    for one in holdings:
        held.setdefault(one.worker.partition("/")[0], []).append((one.goal, one.node))
    found = {
        beat.worker.name: WorkerFacts(
            beat.worker.name, beat.worker.pid, beat.worker.slots, beat.worker.queues, beat.worker.pool, beat.at_ms,
            now_ms - beat.at_ms <= settings.worker_stale_seconds * 1000,
            tuple(sorted(held.get(beat.worker.name, ()))), beat.worker.faults, beat.worker.draining,
        )
        for beat in store.fleet.workers()
    }  # fmt: skip
    for gone in store.upkeep.roll():
        if gone.name not in found and gone.state == "dead":
            holds = tuple(sorted(held.get(gone.name, ())))
            found[gone.name] = WorkerFacts(
                gone.name, 0, gone.slots, gone.queues, "", gone.heard_ms, alive=False, holds=holds
            )
    return tuple(found[name] for name in sorted(found))
