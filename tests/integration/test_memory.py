"""Full memory: what would grow is refused before its first write, what ends work or frees room goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import OutOfMemoryError

from orchestrator.domain.lease import Lease
from orchestrator.store.keys import Keys
from orchestrator.store.records import Verdict
from orchestrator.store.scripts import OPERATIONS, RELIEVING
from orchestrator.store.store import Store
from orchestrator.store.tell import Cursor
from support.crew import Crew
from support.servers import Server, server
from support.sim import LEASE_MS, SLOTS, Sim


@pytest.fixture
def own_server() -> Iterator[Server]:
    """A server that the test may fill."""
    with server() as one:
        yield one


def refused_operations(sim: Sim, crew: Crew, lease: Lease) -> dict[str, Callable[[], Any]]:
    """A call of each operation that may not run when memory is full."""
    run, pair = crew.store.goals._scripts.run, crew.store.keys.pair
    return {
        "submit_open": lambda: run("submit_open", pair("new"), (sim.now, "d", 60_000)),
        "submit_piece": lambda: run(
            "submit_piece", pair("half"), (sim.now, "d", "a", "{}", "", "", 0, "", 0, "", "", "")
        ),
        "submit_seal": lambda: run("submit_seal", pair("half"), (sim.now, "d", 0, 0, SLOTS, 2000, "", "RUNNING")),
        "claim": sim.claim,
        "begin": lambda: sim.begin("task"),
        "expand": lambda: sim.expand(lease, ["map.0"]),
        "wake": lambda: sim.wake("asks", "approval", "done", "1"),
        "retry": lambda: run("retry", pair("failed"), (sim.now, "1", SLOTS, 2000, "", "a", "FAILED", 0, 0, "", "")),
        "acknowledge": lambda: run("acknowledge", pair("failed"), (sim.now, "ann", "", "a")),
        "use": lambda: run("use", pair("g"), (sim.now, "account")),
        "complete": lambda: run("complete", pair("g"), (sim.now, "later", "s", "done", "1", SLOTS, 2000)),
        "cards": lambda: run("cards", pair("g"), (sim.now, "", "writer", "{}")),
        "steer": lambda: run("steer", pair("g"), (sim.now, "agent", 10, "id", "{}")),
        "reassign": lambda: run("reassign", pair("g"), (sim.now, SLOTS, 2000, "agent", "default", "gpu", "{}", "{}")),
        "hold": lambda: run("hold", pair("g"), (sim.now, "hold", "node", "idle", "", "", SLOTS, 2000, "1")),
        "priority": lambda: run("priority", pair("g"), (sim.now, "idle", 3, 16_384)),
        "budget": lambda: run("budget", pair("g"), (sim.now, "", "{}", "{}")),
        "refuse": lambda: run("refuse", pair("g"), (f'{sim.now} {{"id":"c"}}', "", "PAUSE", "why")),
        "edit": lambda: run("edit", pair("g"), (sim.now, "idle", "{}", "{}", "[]")),
        "reopen": lambda: run("reopen", pair("g"), (sim.now, "1", SLOTS, 2000, "", "[]")),
        "patch": lambda: crew.store.goals.patch(
            "g", 1, '{"reason":"","drop":["idle"],"edges":{},"targets":[]}', [], slots=SLOTS, now_ms=sim.now
        ),
    }


def test_when_memory_is_full_what_grows_is_refused_whole_and_what_relieves_goes_on(
    own_server: Server, tmp_path: Path
) -> None:
    store = Store(own_server.url, Keys(), 2000)
    sim, crew, failed = Sim(store), Crew(store, tmp_path), Sim(store, "failed")
    chain = [f"c{index}" for index in range(3)]
    sim.submit(
        ["map", "asks", "task", "runs", "lost", "idle", {"id": "agent", "kind": "agent", "agent": "x"}, "later", *chain], [("runs", "c0"), ("c0", "c1"), ("c1", "c2")]
    )  # fmt: skip
    failed.submit(["a", "b"])
    failed.fail("a", "b")
    expanding = sim.take("map")
    sim.park(sim.take("asks"), "approval")
    sim.park(sim.take("task"), "task")
    runs, _ = sim.take("runs"), sim.take("lost")
    store.goals._scripts.run("submit_open", store.keys.pair("half"), (sim.now, "d", 60_000))

    calls = refused_operations(sim, crew, expanding)
    assert set(calls) == set(OPERATIONS) - RELIEVING, "every operation is in this test"
    store.client.config_set("maxmemory", 1)
    before = sim.dump()
    for name, call in calls.items():
        with pytest.raises(OutOfMemoryError):
            call()
        assert sim.dump() == before, f"{name} was refused before its first write"

    assert sim.renew(runs) == []
    assert sim.end(runs, "done", '"the work is not lost"') is Verdict.ACCEPTED
    assert sim.states()["c0"] == "READY"
    sim.tick(LEASE_MS)
    assert "lost" in sim.reap().lost
    assert sim.settle() == 1
    assert failed.store.goals.remove("failed", now_ms=sim.now) == "removed"
    assert store.tell.take("g", "nonce", 1000, sim.now) == {}
    assert store.tell.note("g", "nonce", 1000, "webhook", Cursor("1-0"), sim.now) == "noted"
    assert sim.pause("until there is room") == "paused"
    assert sim.cancel("to make room") == "cancelled"
    assert store.goals.remove("g", now_ms=sim.now) == "removed"
    store.client.config_set("maxmemory", 0)
    assert not list(store.client.scan_iter("*{g}*"))
    store.close()


def test_a_goal_refused_for_memory_is_stored_once_there_is_room(own_server: Server, tmp_path: Path) -> None:
    store = Store(own_server.url, Keys(), 2000)
    crew = Crew(store, tmp_path)
    store.client.config_set("maxmemory", 1)
    with pytest.raises(OutOfMemoryError):
        crew.submit(["a"])
    assert list(store.client.scan_iter("*")) == []
    store.client.config_set("maxmemory", 0)
    crew.submit(["a"])
    crew.work()
    assert crew.state() == "DONE"
    store.close()
