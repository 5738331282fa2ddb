"""Is everything well: what `chordal doctor` checks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from orchestrator.domain.views import Check
from orchestrator.settings import Settings
from orchestrator.store.store import Store

LATE_TICKS: Final = 5


class Health:
    """Looks at Redis, beat and the workers."""

    def __init__(self, store: Store, settings: Settings, intervals: Mapping[str, float]) -> None:
        self._store = store
        self._settings = settings
        self._intervals = intervals

    def live_workers(self) -> int:
        """Workers heard of within `worker_stale_seconds`."""
        now, limit = self._store.fleet.clock_ms(), self._settings.worker_stale_seconds * 1000
        return sum(now - heartbeat.at_ms <= limit for heartbeat in self._store.fleet.workers())

    def checks(self) -> list[Check]:
        """Every check, in the order in which one would look."""
        return [*self._redis(), *self._beat(), *self._workers(), *self._poison()]

    def _redis(self) -> Iterator[Check]:
        fleet = self._store.fleet
        server, memory, persistence = fleet.info("server"), fleet.info("memory"), fleet.info("persistence")
        name = "Valkey" if "valkey_version" in server else "Redis"
        version = str(server.get("valkey_version") or server.get("redis_version"))
        yield Check("Redis version", True, f"{name} {version}")
        policy = str(memory.get("maxmemory_policy", fleet.config("maxmemory-policy") or "unknown"))
        remedy = "set maxmemory-policy noeviction: any other policy deletes state when memory is short"
        yield Check("eviction policy", policy == "noeviction", policy, "" if policy == "noeviction" else remedy)
        aof = bool(int(persistence.get("aof_enabled", 0)))
        yield Check(
            "persistence", aof, "append-only file is on" if aof else "append-only file is off",
            "" if aof else "set appendonly yes: without it a restart of Redis loses every goal",
        )  # fmt: skip
        limit, used = int(memory.get("maxmemory", 0)), int(memory["used_memory"])
        share = used / limit if limit else 0.0
        detail = f"{used / 1048576:.0f} MiB" + (f" of {limit / 1048576:.0f} MiB" if limit else ", no limit set")
        yield Check("memory", share < 0.8, detail, "raise maxmemory or shorten the TTLs" if share >= 0.8 else "")

    def _beat(self) -> Iterator[Check]:
        ticks, now = self._store.fleet.ticks(), self._store.fleet.clock_ms()
        for duty, interval in self._intervals.items():
            tick = ticks.get(duty)
            if tick is None:
                # The slower duties come later: while another ticks, beat is there.
                ok = None if ticks else False
                yield Check(
                    f"beat: {duty}", ok, "has not run yet", "" if ticks else "start `celery -A orchestrator beat`"
                )
                continue
            age = (now - int(tick["at_ms"])) / 1000
            fine = age <= LATE_TICKS * interval + 1
            remedy = "" if fine else "start `celery -A orchestrator beat`, or look at its log"
            yield Check(f"beat: {duty}", fine, f"{age:.1f} s ago, every {interval:g} s; {tick['note']}", remedy)

    def _workers(self) -> Iterator[Check]:
        now = self._store.fleet.clock_ms()
        live = 0
        for heartbeat in self._store.fleet.workers():
            age = (now - heartbeat.at_ms) / 1000
            worker = heartbeat.worker
            fine = age <= self._settings.worker_stale_seconds
            live += fine
            detail = f"pid {worker.pid}, {worker.pool} x {worker.slots}, queues {', '.join(worker.queues)}, heard {age:.1f} s ago"
            yield Check(f"worker {worker.name}", fine, detail, "" if fine else "it is dead or stands still")
        remedy = "" if live else "start `celery -A orchestrator worker`, or `chordal up`"
        yield Check("workers", live > 0, f"{live} alive", remedy)

    def _poison(self) -> Iterator[Check]:
        found = self._store.fleet.poison()
        if not found:
            return
        newest = found[0]
        age = (self._store.fleet.clock_ms() - int(newest["at_ms"])) / 1000
        yield Check(
            "poison messages", None, f"{len(found)} set aside, the newest {age:.0f} s ago: {newest['reason']}",
            f"look at them with LRANGE {self._store.keys.poison} 0 -1, find who sent them, then DEL the list",
        )  # fmt: skip
