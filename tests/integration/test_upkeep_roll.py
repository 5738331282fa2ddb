"""The roll of workers, as `scan` calls it; and samples of Redis."""

from __future__ import annotations

import json

from orchestrator.engine.upkeep.pulse import BEAT_GONE_MS
from orchestrator.engine.upkeep.roll import KEPT_MS, Roll
from orchestrator.store.fleet import Heartbeat, Worker
from orchestrator.store.store import Store
from orchestrator.store.upkeep import SAMPLES_KEPT, Beat, Sample
from support.crew import Crew

WORKER = Worker("w@host", 7, 2, ("default",), "prefork", 0.0)


def states(store: Store) -> dict[str, str]:
    return {one.name: one.state for one in store.upkeep.roll()}


def test_a_worker_is_alive_late_dead_and_forgotten_after_an_hour(store: Store) -> None:
    roll = Roll(store, 5.0)
    met = []
    for silent in (0, 2_000, 2_600, 5_000, 5_001):
        living, _ = roll.call(silent, [Heartbeat(WORKER, 0)])
        met.append((states(store)["w@host"], len(living)))
    assert met == [("alive", 1), ("alive", 1), ("late", 1), ("late", 1), ("dead", 0)]
    (dead,) = store.upkeep.roll()
    assert (dead.since_ms, dead.first_ms, dead.pid, dead.queues) == (5_001, 0, 7, ("default",))
    roll.call(5_001 + KEPT_MS, [])
    assert states(store) == {"w@host": "dead"}
    roll.call(5_002 + KEPT_MS, [])
    assert states(store) == {}


def test_a_worker_that_stops_in_good_order_left_and_comes_back(store: Store) -> None:
    roll = Roll(store, 5.0)
    roll.call(0, [Heartbeat(WORKER, 0)])
    roll.call(1_000, [])
    assert states(store) == {"w@host": "left"}
    again = Roll(store, 5.0)  # another beat
    again.call(2_000, [Heartbeat(WORKER, 2_000)])
    (one,) = store.upkeep.roll()
    assert (one.state, one.first_ms) == ("alive", 2_000)


def test_a_dead_worker_leaves_the_fleet_and_nothing_is_written_where_nothing_changes(crew: Crew) -> None:
    store = crew.store
    store.fleet.beat(WORKER)
    assert "1 workers, 0 late, 0 dead" in crew.duties.scan()
    raw = store.client.hget(store.keys.beat("roll"), "w@host")
    store.fleet.beat(WORKER)
    crew.duties.scan()
    assert store.client.hget(store.keys.beat("roll"), "w@host") == raw
    record = json.loads(store.client.hget(store.keys.workers, "w@host"))
    record["at_ms"] -= 60_000
    store.client.hset(store.keys.workers, "w@host", json.dumps(record))
    assert "0 workers, 0 late, 1 dead" in crew.duties.scan()
    assert store.fleet.workers() == []


def test_samples_are_kept_in_order_and_bounded(crew: Crew) -> None:
    store = crew.store
    crew.upkeep.pulse.tick()
    (sample,) = store.upkeep.samples()
    assert sample.used_bytes > 100_000
    assert 0 < sample.ping_ms < 10_000
    assert sample.behind_ms == 0
    crew.submit([{"id": "a", "kind": "approval"}])
    store.client.zadd(store.keys.due, {"g": store.goals.clock_ms() - 7_000})
    assert "7." in crew.upkeep.pulse.tick()
    assert 7_000 <= store.upkeep.samples()[-1].behind_ms < 60_000
    for at in range(SAMPLES_KEPT + 5):
        store.upkeep.sample(Sample(at, 1, 0, 0.1, 0))
    kept = store.upkeep.samples()
    assert (len(kept), kept[0].at_ms, kept[-1].at_ms) == (SAMPLES_KEPT, 5, SAMPLES_KEPT + 4)


def test_a_beat_that_is_gone_is_forgotten(crew: Crew) -> None:
    now = crew.store.goals.clock_ms()
    crew.store.upkeep.say(Beat("old:1", now - BEAT_GONE_MS - 1000, True, 0))
    crew.store.upkeep.say(Beat("new:1", now, True, 0))
    crew.upkeep.pulse.tick()
    assert [beat.name for beat in crew.store.upkeep.beats()] == ["new:1"]
