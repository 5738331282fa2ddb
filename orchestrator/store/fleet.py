"""Who is alive: workers and beat, by their heartbeats in Redis time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from redis.lock import Lock

from orchestrator.store.keys import Keys
from orchestrator.store.scripts import Scripts

POISON_KEPT: Final = 100
"""Unreadable messages that are kept; older ones go."""


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker process that serves queues."""

    name: str
    pid: int
    slots: int
    queues: tuple[str, ...]
    pool: str
    started: float
    """Seconds since the epoch, by the worker's clock; for people only."""
    faults: tuple[str, ...] = ()
    """Celery settings of it that break a promise, each with what breaks."""
    draining: bool = False
    """It takes no new node, by `celery control chordal_drain`; its slots are 0 meanwhile."""


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A worker and when it was last heard, in Redis time."""

    worker: Worker
    at_ms: int


@dataclass(frozen=True, slots=True)
class Tick:
    """One run of a beat duty."""

    seconds: float
    """How long it took."""
    interval_seconds: float
    """How often it should run."""
    note: str
    late_seconds: float = 0.0
    """How long after it was due it began."""
    beat: str = ""
    """Who carried it out, `host:pid`."""


class FleetStore:
    """Heartbeats of workers, the slots that follow from them, and the ticks of beat."""

    def __init__(self, client: Any, keys: Keys, scripts: Scripts) -> None:
        self._client = client
        self._keys = keys
        self._scripts = scripts

    def ping(self) -> None:
        """Raise what the connection raises if Redis is away."""
        self._client.ping()

    def info(self, section: str) -> Mapping[str, Any]:
        """A section of Redis's INFO."""
        return dict(self._client.info(section))

    def config(self, name: str) -> str | None:
        """One of Redis's settings, if the server lets us read it."""
        try:
            value = self._client.config_get(name).get(name)
        except Exception:
            return None
        return None if value is None else str(value)

    def clock_ms(self) -> int:
        """Redis time in milliseconds."""
        seconds, micros = self._client.time()
        return int(seconds) * 1000 + int(micros) // 1000

    def beat(self, worker: Worker) -> None:
        """Record a worker's heartbeat."""
        record = asdict(worker) | {"at_ms": self.clock_ms()}
        self._scripts.put("HSET", self._keys.workers, worker.name, json.dumps(record))

    def leave(self, name: str) -> None:
        """Take a worker out that stops in good order."""
        self._client.hdel(self._keys.workers, name)

    def workers(self) -> list[Heartbeat]:
        """Every known worker."""
        found = []
        for raw in self._client.hgetall(self._keys.workers).values():
            record = json.loads(raw)
            at = int(record.pop("at_ms"))
            lists = {name: tuple(record.get(name, ())) for name in ("queues", "faults")}
            found.append(Heartbeat(Worker(**(record | lists)), at))
        return sorted(found, key=lambda heartbeat: heartbeat.worker.name)

    def set_aside(self, reason: str, message: Mapping[str, str]) -> None:
        """Keep a broker message that cannot be read, with the reason, where a person finds it."""
        record = json.dumps({"at_ms": self.clock_ms(), "reason": reason, **message})
        self._scripts.put("LPUSH", self._keys.poison, record)
        self._client.ltrim(self._keys.poison, 0, POISON_KEPT - 1)

    def poison(self) -> list[dict[str, Any]]:
        """The messages that were set aside, the newest first."""
        return [json.loads(raw) for raw in self.poison_raw()]

    def poison_raw(self) -> list[str]:
        """The same as they are stored."""
        return list(self._client.lrange(self._keys.poison, 0, -1))

    def forget_poison(self, raw: str) -> bool:
        """Take one of them out; whether it was there."""
        return bool(self._client.lrem(self._keys.poison, 1, raw))

    def lock_class(self) -> type[Lock]:
        """A lock that can be taken even when Redis is full: else nobody would make room after the beat that had it."""
        scripts = self._scripts

        class Always(Lock):
            def do_acquire(self, token: str) -> bool:
                expiry = ("PX", int(self.timeout * 1000)) if self.timeout else ()
                return bool(scripts.put("SET", self.name, token, "NX", *expiry))

        return Always

    def publish_slots(self, slots: Mapping[str, Any]) -> None:
        """Let every process know how many nodes can run at once, by queue."""
        self._scripts.put("SET", self._keys.slots, json.dumps(dict(slots), sort_keys=True), "EX", 60)

    def slots(self) -> str | None:
        """The published slots, JSON by queue."""
        value = self._client.get(self._keys.slots)
        return None if value is None else str(value)

    def record_ticks(self, ticks: Mapping[str, Tick], at_ms: int | None = None) -> None:
        """Record that beat duties ran at that time; None: now."""
        at_ms = self.clock_ms() if at_ms is None else at_ms
        records = {
            duty: {
                "at_ms": at_ms,
                "seconds": round(tick.seconds, 6),
                "interval": tick.interval_seconds,
                "note": tick.note,
                "late": round(tick.late_seconds, 6),
                "beat": tick.beat,
            }
            for duty, tick in ticks.items()
        }
        flat = [part for duty, record in records.items() for part in (duty, json.dumps(record))]
        self._scripts.put("HSET", self._keys.ticks, *flat)

    def ticks(self) -> dict[str, dict[str, Any]]:
        """The last tick of each duty."""
        return {duty: json.loads(raw) for duty, raw in self._client.hgetall(self._keys.ticks).items()}
