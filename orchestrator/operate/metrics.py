"""Metrics: one table of what is measured, and one reading of it. How it is written down is another's business."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from orchestrator.engine.upkeep.meter import READY
from orchestrator.store.store import Store

if TYPE_CHECKING:
    from orchestrator.operate.operator import Operator

Kind = Literal["counter", "gauge"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One family of values."""

    name: str
    """As Prometheus shows it; a counter's ends with `_total`."""
    kind: Kind
    labels: tuple[str, ...]
    meaning: str


@dataclass(frozen=True, slots=True)
class Reading:
    """One value of a metric."""

    name: str
    value: float
    labels: tuple[str, ...] = ()
    """The values of its labels, in their order."""


METRICS: Final = (
    Metric("chordal_goals_begun_total", "counter", (), "Goals that beat has looked at for the first time."),
    Metric("chordal_goals_ended_total", "counter", ("state",), "Ends of goals: done, failed, cancelled. A goal that is retried ends again."),
    Metric("chordal_goal_seconds_total", "counter", (), "How long goals that ended had lasted, added up; divided by the ends it is the mean."),
    Metric("chordal_goals_removed_total", "counter", (), "Goals that were removed after their time to live."),
    Metric("chordal_goals_entered_total", "counter", (), "Goals that the index had lost, and hygiene entered again."),
    Metric("chordal_nodes_ended_total", "counter", ("state",), "Nodes that were done or failed."),
    Metric("chordal_leases_lost_total", "counter", (), "Leases that ran out: a worker died or stood still."),
    Metric("chordal_keys_purged_total", "counter", (), "Keys of goals that are gone, removed by hygiene."),
    Metric("chordal_beat_ticks_failed_total", "counter", (), "Ticks of duties that raised an error."),
    Metric("chordal_goals_open", "gauge", (), "Goals that have not ended."),
    Metric("chordal_goals_stored", "gauge", (), "Goals in the index, those that have ended too."),
    Metric("chordal_goals_kept", "gauge", (), "Goals whose removal was put off: the archive hook failed, or their word is not told. At most 100 are counted."),
    Metric("chordal_nodes", "gauge", ("state",), "Nodes of open goals that are ready, running or waiting."),
    Metric("chordal_ready_nodes", "gauge", ("queue",), "Nodes that could be claimed, of the 50 fullest queues."),
    Metric("chordal_last_activity_timestamp_seconds", "gauge", (), "When a node last ended or a goal began, within 10 s; Redis time."),
    Metric("chordal_keys", "gauge", (), "Keys on the server, ours or not, at the last round of hygiene."),
    Metric("chordal_unknown_keys", "gauge", (), "Keys that begin like ours and are not in the catalogue. Should be 0."),
    Metric("chordal_workers", "gauge", ("state",), "Workers: alive, late, and those that died or left within the hour."),
    Metric("chordal_worker_slots", "gauge", ("queue",), "Nodes that live workers can run at once."),
    Metric("chordal_broker_messages", "gauge", ("queue",), "Messages that wait in the broker."),
    Metric("chordal_broker_oldest_seconds", "gauge", ("queue",), "How long the oldest invitation has waited there, where that is known."),
    Metric("chordal_poison_messages", "gauge", (), "Messages that could not be read and were set aside; at most 100 are kept."),
    Metric("chordal_commands_open", "gauge", (), "Commands that were taken in and are not answered yet."),
    Metric("chordal_holds", "gauge", (), "Queues, agents and fleets that are held."),
    Metric("chordal_beats", "gauge", ("role",), "Beats that were heard within a minute: `ticks`, `stands_by`."),
    Metric("chordal_beat_tick_age_seconds", "gauge", ("duty",), "Since the duty's last tick."),
    Metric("chordal_beat_tick_interval_seconds", "gauge", ("duty",), "How often it should tick."),
    Metric("chordal_beat_tick_late_seconds", "gauge", ("duty",), "How late it is: by how much its last tick was, or its next one is overdue by now."),
    Metric("chordal_beat_tick_seconds", "gauge", ("duty",), "How long its last tick took. Duties share one thread."),
    Metric("chordal_looks_behind_seconds", "gauge", (), "How long the most overdue goal has waited for beat's look, at the last sample."),
    Metric("chordal_redis_used_bytes", "gauge", (), "Memory that Redis uses, at the last sample."),
    Metric("chordal_redis_limit_bytes", "gauge", (), "Its `maxmemory`; 0 if none is set."),
    Metric("chordal_redis_ping_seconds", "gauge", (), "The slowest of five round trips from beat's machine."),
)  # fmt: skip
"""Everything that `chordal metrics` prints, in its order."""

_SUMS: Final[Mapping[str, tuple[str, tuple[str, ...], float]]] = {
    "goals_begun": ("chordal_goals_begun_total", (), 1),
    "goals_done": ("chordal_goals_ended_total", ("done",), 1),
    "goals_failed": ("chordal_goals_ended_total", ("failed",), 1),
    "goals_cancelled": ("chordal_goals_ended_total", ("cancelled",), 1),
    "goal_ms": ("chordal_goal_seconds_total", (), 0.001),
    "goals_removed": ("chordal_goals_removed_total", (), 1),
    "goals_entered": ("chordal_goals_entered_total", (), 1),
    "nodes_done": ("chordal_nodes_ended_total", ("done",), 1),
    "nodes_failed": ("chordal_nodes_ended_total", ("failed",), 1),
    "leases_lost": ("chordal_leases_lost_total", (), 1),
    "keys_purged": ("chordal_keys_purged_total", (), 1),
    "ticks_failed": ("chordal_beat_ticks_failed_total", (), 1),
}
"""Totals that beat keeps: metric, labels, what one is worth."""
_LEVELS: Final[Mapping[str, tuple[str, tuple[str, ...], float]]] = {
    "goals_open": ("chordal_goals_open", (), 1),
    "nodes_ready": ("chordal_nodes", ("ready",), 1),
    "nodes_running": ("chordal_nodes", ("running",), 1),
    "nodes_waiting": ("chordal_nodes", ("waiting",), 1),
    "last_activity_ms": ("chordal_last_activity_timestamp_seconds", (), 0.001),
    "keys": ("chordal_keys", (), 1),
    "unknown_keys": ("chordal_unknown_keys", (), 1),
}


def read(operator: Operator) -> list[Reading]:
    """Every metric as it is now; those of which nothing is known are left out. Raises RedisNotReachable."""
    store = operator.store
    with operator.reachable():
        now = store.fleet.clock_ms()
        parts: tuple[Iterator[Reading], ...] = (
            _counted(store), _stored(store), _workers(store), _broker(operator), _beats(store, now),
            _ticks(store, operator.intervals, now), _sampled(store),
        )  # fmt: skip
        return [reading for part in parts for reading in part]


def _counted(store: Store) -> Iterator[Reading]:
    totals, levels = store.upkeep.totals(), store.upkeep.levels()
    for name, (metric, labels, worth) in _SUMS.items():
        yield Reading(metric, totals.get(name, 0) * worth, labels)
    for name, (metric, labels, worth) in _LEVELS.items():
        if name in levels:
            yield Reading(metric, levels[name] * worth, labels)
    for name, value in levels.items():
        if name.startswith(READY):
            yield Reading("chordal_ready_nodes", value, (name.removeprefix(READY),))


def _stored(store: Store) -> Iterator[Reading]:
    yield Reading("chordal_goals_stored", store.upkeep.goals_stored())
    yield Reading("chordal_goals_kept", len(store.upkeep.put_offs()))
    yield Reading("chordal_poison_messages", len(store.fleet.poison()))
    yield Reading("chordal_commands_open", store.upkeep.commands_open())
    yield Reading("chordal_holds", len(store.control.holds()))


def _workers(store: Store) -> Iterator[Reading]:
    states: Counter[str] = Counter({"alive": 0, "late": 0, "dead": 0, "left": 0})
    slots: Counter[str] = Counter()
    for one in store.upkeep.roll():
        states[one.state] += 1
        if one.state in ("alive", "late"):
            for queue in one.queues:
                slots[queue] += one.slots
    for state, count in states.items():
        yield Reading("chordal_workers", count, (state,))
    for queue, count in slots.items():
        yield Reading("chordal_worker_slots", count, (queue,))


def _broker(operator: Operator) -> Iterator[Reading]:
    found = []
    with suppress(Exception):  # each transport raises its own, and a broker that is away must not hide the rest
        found = operator.queues(operator.fleet())
    for depth in found:
        yield Reading("chordal_broker_messages", depth.messages, (depth.queue,))
        if depth.oldest is not None:
            yield Reading("chordal_broker_oldest_seconds", depth.oldest, (depth.queue,))


def _beats(store: Store, now: int) -> Iterator[Reading]:
    heard = [beat for beat in store.upkeep.beats() if now - beat.at_ms <= 60_000]
    ticking = sum(beat.ticks for beat in heard)
    yield Reading("chordal_beats", ticking, ("ticks",))
    yield Reading("chordal_beats", len(heard) - ticking, ("stands_by",))


def _ticks(store: Store, intervals: Callable[[], Mapping[str, float]], now: int) -> Iterator[Reading]:
    ticks = store.fleet.ticks()
    for duty in intervals():
        if (tick := ticks.get(duty)) is None:
            continue
        age, interval = (now - int(tick["at_ms"])) / 1000, float(tick["interval"])
        overdue = max(0.0, age - interval)
        yield Reading("chordal_beat_tick_age_seconds", age, (duty,))
        yield Reading("chordal_beat_tick_interval_seconds", interval, (duty,))
        yield Reading("chordal_beat_tick_late_seconds", max(overdue, float(tick.get("late", 0.0))), (duty,))
        yield Reading("chordal_beat_tick_seconds", float(tick["seconds"]), (duty,))


def _sampled(store: Store) -> Iterator[Reading]:
    samples = store.upkeep.samples()
    if samples:
        last = samples[-1]
        yield Reading("chordal_looks_behind_seconds", last.behind_ms / 1000)
        yield Reading("chordal_redis_used_bytes", last.used_bytes)
        yield Reading("chordal_redis_limit_bytes", last.limit_bytes)
        yield Reading("chordal_redis_ping_seconds", last.ping_ms / 1000)
