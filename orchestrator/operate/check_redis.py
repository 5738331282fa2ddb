"""Is Redis fit to be the truth: version, eviction, persistence, latency, memory and its forecast, rights, clock."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from orchestrator.domain.views import Check
from orchestrator.operate.reason import spell
from orchestrator.store.store import Store
from orchestrator.store.upkeep import Sample

PINGS: Final = 50
SLOW_SECONDS: Final = 0.05
TOO_SLOW_SECONDS: Final = 0.5
"""A lease of 3 s is renewed every second: with round trips this long it would be lost now and then."""
CLOCK_SECONDS: Final = 2.0
FULL: Final = 0.8
SOON_HOURS: Final = 24.0
FEWEST_SAMPLES: Final = 5
"""Of a forecast."""
_MIB: Final = 1_048_576
SAFE: Final[Mapping[str, Sequence[tuple[int, int, int]]]] = {
    "Redis": ((6, 2, 20), (7, 2, 11), (7, 4, 6), (8, 0, 4), (8, 2, 2)),
    "Valkey": ((7, 2, 11), (8, 0, 6), (8, 1, 4)),
}
"""The first version of each series without CVE-2025-49844 (a script can take the server over); later series have it mended."""


def redis_checks(store: Store) -> Iterator[Check]:
    """Every check of the server."""
    fleet = store.fleet
    if (refusal := store.look.write_refused()) is not None:
        yield writes_check(refusal)
    yield version_check(fleet.info("server"))
    memory = fleet.info("memory")
    policy = str(memory.get("maxmemory_policy", fleet.config("maxmemory-policy") or "unknown"))
    remedy = "set maxmemory-policy noeviction: any other policy deletes state when memory is short"
    yield Check("eviction policy", policy == "noeviction", policy, "" if policy == "noeviction" else remedy)
    yield persistence_check(fleet.info("persistence"))
    if spent := store.look.pings(PINGS):
        yield latency_check(spent)
    yield memory_check(memory, refused_writes(fleet.info("errorstats")))
    yield forecast_check(store.upkeep.samples(), int(memory.get("total_system_memory", 0)))
    yield rights_check(store.look.refused())
    yield clock_check(fleet.clock_ms() / 1000 - time.time())


_WRITES: Final[Mapping[str, str]] = {
    "MISCONF": "make room on Redis's disk, or let it write there (its log says which); it takes writes again after the next "
    "snapshot that goes well: redis-cli BGSAVE",
    "READONLY": "this is a replica: name the primary in CHORDAL_REDIS_URL, or Sentinels, which know it",
    "NOREPLICAS": "start its replicas, or CONFIG SET min-replicas-to-write 0",
}


def writes_check(refusal: str) -> Check:
    """Redis refuses every write: then beats and workers fall silent, whatever else is well."""
    remedy = _WRITES.get(refusal.split()[0], "look at Redis's log")
    return Check("writes", False, f"Redis takes none, so that beat and workers fall silent: {refusal}", remedy)


def version_check(server: Mapping[str, Any]) -> Check:
    """Too old, or with a hole through which a script takes the server over."""
    name = "Valkey" if "valkey_version" in server else "Redis"
    text = str(server.get("valkey_version") or server.get("redis_version"))
    version = tuple(int(part) if part.isdecimal() else 0 for part in text.split(".")[:3])
    known = SAFE[name]
    series = [floor for floor in known if floor[:2] == version[:2]]
    if series:
        safe: bool | None = version >= series[0]
    elif version[:2] > known[-1][:2]:
        safe = True
    else:
        safe = None if version >= (7, 0, 0) else False
    floors = ", ".join(".".join(map(str, floor)) for floor in known)
    if safe:
        return Check("Redis version", True, f"{name} {text}")
    holes = "has" if safe is False else "may have, unless its distribution mended it,"
    detail = f"{name} {text} {holes} CVE-2025-49844: whoever may run a script can take the server over"
    return Check("Redis version", safe, detail, f"update to one of {floors} or later")


def persistence_check(info: Mapping[str, Any]) -> Check:
    """Whether a restart loses goals, and whether the last writes went well."""
    if not int(info.get("aof_enabled", 0)):
        remedy = "set appendonly yes: without it a restart of Redis loses every goal"
        return Check("persistence", False, "append-only file is off", remedy)
    for field, what in (
        ("aof_last_write_status", "the last write to the append-only file"),
        ("aof_last_bgrewrite_status", "the last rewrite of the append-only file"),
        ("rdb_last_bgsave_status", "the last snapshot"),
    ):
        if str(info.get(field, "ok")) != "ok":
            return Check(
                "persistence", False, f"{what} failed", "look at Redis's log; is its disk full, or not writable?"
            )
    delayed = int(info.get("aof_delayed_fsync", 0))
    late = f"; {delayed:,} times a write waited for the disk" if delayed else ""
    return Check("persistence", True, f"append-only file is on{late}")


def latency_check(spent: Sequence[float]) -> Check:
    """Round trips."""
    ordered = sorted(spent)
    half, most = ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    fine = True if most < SLOW_SECONDS else None if most < TOO_SLOW_SECONDS else False
    detail = f"p50 {half * 1000:.1f} ms, p99 {most * 1000:.1f} ms of {len(ordered)} round trips"
    remedy = "" if fine else "look for slow commands (SLOWLOG GET), a busy machine, or a network that is far"
    return Check("latency", fine, detail, remedy)


def refused_writes(stats: Mapping[str, Any]) -> int:
    """How often Redis refused a write because its memory was full, since it started."""
    found = stats.get("errorstat_OOM", {})
    return int(found.get("count", 0)) if isinstance(found, Mapping) else 0


def memory_check(memory: Mapping[str, Any], refused: int) -> Check:
    """How much of what it may have."""
    limit, used = int(memory.get("maxmemory", 0)), int(memory["used_memory"])
    detail = f"{used / _MIB:.0f} MiB" + (f" of {limit / _MIB:.0f} MiB" if limit else ", no limit set")
    if refused:
        detail += f"; writes refused since it started: {refused:,}"
    share = used / limit if limit else 0.0
    if share >= 1:
        text = f"{detail}: Redis is full. What runs can end, but nothing can be submitted, claimed or parked"
        return Check("memory", False, text, "raise maxmemory now (CONFIG SET maxmemory), then shorten the TTLs")
    remedy = "raise maxmemory or shorten the TTLs" if share >= FULL else ""
    return Check("memory", share < FULL, detail, remedy)


def forecast_check(samples: Sequence[Sample], machine: int) -> Check:
    """When memory will be full if it goes on as in the samples, the oldest first."""
    name = "memory forecast"
    if len(samples) < FEWEST_SAMPLES:
        return Check(name, None, f"{len(samples)} samples so far; beat takes them")
    hours, slope = hours_left(samples, machine)
    over = spell((samples[-1].at_ms - samples[0].at_ms) / 1000)
    if hours is None:
        return Check(name, True, f"it does not grow, over the last {over}")
    detail = f"{slope / _MIB * 3600:+.1f} MiB an hour over the last {over}: full in {spell(hours * 3600)}"
    if hours >= SOON_HOURS:
        return Check(name, True, detail)
    return Check(
        name, hours >= 1 and None, detail, "raise maxmemory or shorten the TTLs; `chordal list` shows what is kept"
    )


def hours_left(samples: Sequence[Sample], machine: int) -> tuple[float | None, float]:
    """Hours until memory is full, None if it does not grow; and bytes a second, by least squares."""
    times = [sample.at_ms / 1000 for sample in samples]
    used = [float(sample.used_bytes) for sample in samples]
    middle, mean = sum(times) / len(times), sum(used) / len(used)
    spread = sum((at - middle) ** 2 for at in times)
    slope = sum((at - middle) * (one - mean) for at, one in zip(times, used, strict=True)) / spread if spread else 0.0
    limit = samples[-1].limit_bytes or machine
    if slope <= 0 or not limit:
        return None, slope
    return max(0.0, limit - used[-1]) / slope / 3600, slope


def rights_check(refused: Sequence[str]) -> Check:
    """What this connection's user may not do."""
    if not refused:
        return Check("rights", True, "this user may do all that Chordal does")
    remedy = "give the user of CHORDAL_REDIS_URL these commands on Chordal's keys: docs/how-to/redis-connections.md"
    return Check("rights", False, f"this user may not: {'; '.join(refused)}", remedy)


def clock_check(ahead: float) -> Check:
    """This machine's clock against Redis's."""
    fine = abs(ahead) <= CLOCK_SECONDS
    detail = f"Redis is {abs(ahead):.1f} s {'ahead of' if ahead > 0 else 'behind'} this machine"
    remedy = "run NTP on both: Chordal goes by Redis's time, but countdowns of Celery and people go by this machine's"
    return Check("clock", True if fine else None, detail, "" if fine else remedy)
