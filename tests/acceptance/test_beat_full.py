"""Redis is full: beat lives and removes goals whose time has passed, workers stay on the roll, another beat can take over."""

from __future__ import annotations

import signal
from collections.abc import Callable

from orchestrator.store.fleet import Heartbeat
from orchestrator.wiring import Chordal
from support.servers import Fleet, until


def fill(chordal: Chordal) -> None:
    """Set the limit below what is used."""
    used = int(chordal.store.client.info("memory")["used_memory"])
    chordal.store.client.config_set("maxmemory", int(used * 0.9))


def heartbeats(chordal: Chordal) -> list[Heartbeat]:
    return chordal.store.fleet.workers()


def test_beat_and_workers_live_and_room_is_made(fleet: Callable[..., Fleet]) -> None:
    one = fleet(CHORDAL_DONE_TTL_SECONDS="4")
    chordal = one.chordal()
    first = one.beat()
    one.worker("w1", slots=1)
    goal = chordal.submit({"nodes": [{"id": "a"}, {"id": "b"}], "edges": [{"source": "a", "target": "b"}]})
    until(lambda: chordal.summary(goal).state == "DONE", 20, "it is done")
    fill(chordal)
    before = heartbeats(chordal)[0].at_ms
    until(lambda: chordal.store.goals.field(goal, "state") is None, 20, "it is removed although Redis is full")
    assert first.process.poll() is None, first.text()
    until(lambda: heartbeats(chordal)[0].at_ms > before + 3000, 20, "its heartbeats are taken")
    assert [worker.state for worker in chordal.store.upkeep.roll()] == ["alive"]
    second = one.start("beat", "-l", "INFO")
    first.process.send_signal(signal.SIGKILL)
    first.process.wait(10)
    until(lambda: f":{second.process.pid}" in chordal.store.fleet.ticks()["reap"]["beat"], 20, "the other takes over")
    chordal.store.client.config_set("maxmemory", 0)
    again = chordal.submit({"nodes": [{"id": "a"}]})
    until(lambda: chordal.summary(again).state == "DONE", 20, "all goes on")
    assert "Traceback" not in second.text()
