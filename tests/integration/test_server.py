"""The scripts and the server under them: forgotten scripts, full memory, kill -9 and restart, a prefix for the keys."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import orchestrator.store
from orchestrator.domain.validate import read_goal
from orchestrator.engine import encode
from orchestrator.events.stored import read_state
from orchestrator.store.goals import PIECE
from orchestrator.store.keys import Keys
from orchestrator.store.records import Verdict
from orchestrator.store.scripts import OPERATIONS, RELIEVING, Scripts, source
from orchestrator.store.store import Store
from support.crew import Crew
from support.invariants import broken, unknown_keys
from support.servers import Server, server
from support.sim import LEASE_MS, Sim, document


@pytest.fixture
def own_server() -> Iterator[Server]:
    """A server that the test may fill, kill and restart."""
    with server() as one:
        yield one


# -- scripts ------------------------------------------------------------------------------------------------------------


def test_every_operation_is_a_script_and_no_other() -> None:
    folder = Path(orchestrator.store.__path__[0]) / "lua"
    assert {path.stem for path in folder.glob("*.lua")} == set(OPERATIONS)
    assert set(OPERATIONS) >= RELIEVING
    for name in OPERATIONS:
        assert "--@include" not in source(name, True)
        assert source(name, True).startswith("#!lua flags=allow-oom\n" if name in RELIEVING else "#!lua\n")
        assert not source(name, False).startswith("#!")


def test_scripts_that_the_server_forgot_are_sent_again(sim: Sim) -> None:
    def forget() -> None:
        sim.store.client.script_flush()

    forget()
    sim.submit([f"n{index}" for index in range(10)], [("n0", "n1")])
    forget()
    leases = [claimed.lease for claimed in sim.claim(most=4)]
    forget()
    assert sim.renew(*leases) == []
    forget()
    assert sim.end(leases[0], "done") is Verdict.ACCEPTED
    forget()
    sim.park(leases[1], "approval")
    forget()
    assert sim.wake(leases[1].node, "approval", "done") == "woken"
    for step in (sim.pause, sim.resume, sim.reap, sim.settle, sim.cancel):
        forget()
        step()
    forget()
    assert sim.store.goals.remove("g", now_ms=sim.now) == "removed"


def test_a_batch_of_scripts_that_the_server_forgot_keeps_its_order(store: Store) -> None:
    sims = [Sim(store, f"g{index}") for index in range(5)]
    held = {}
    for one in sims:
        one.submit(["a", "b"])
        held[one.goal] = [(one.take("a"), LEASE_MS)]
    sims[2].tick(LEASE_MS)
    sims[2].reap()
    store.client.script_flush()
    assert store.nodes.renew(held, now_ms=sims[0].now) == [held["g2"][0][0]]


def test_a_large_goal_is_stored_although_the_server_forgets_between_its_pieces(sim: Sim) -> None:
    def rows() -> Iterator[Any]:
        for index, one in enumerate(encode.rows(read_goal(document([f"n{index}" for index in range(5 * PIECE)])))):
            if index % 700 == 0:
                sim.store.client.script_flush()
            yield one

    sim.submit_rows(rows())
    assert sim.record()["n:READY"] == str(5 * PIECE)


def test_an_error_in_one_script_of_a_batch_is_raised(store: Store) -> None:
    keys = store.keys.pair("g")
    calls = [("renew", keys, ("",)), ("renew", keys, ("", "n", "1", "x", "not a number"))]
    store.client.set(f"{store.keys.task('g', 'n')}:lock", "1 x w")
    with pytest.raises(Exception, match="script"):
        Scripts(store.client).batch(calls)


# -- restart ------------------------------------------------------------------------------------------------------------


def test_a_killed_server_comes_back_with_everything(own_server: Server) -> None:
    store = Store(own_server.url, Keys(), 2000)
    sim = Sim(store)
    sim.submit(
        ["done", "failed", "runs", "parked", "timer", "ready", {"id": "lane", "lane": "l"}, "blocked", "skipped"],
        [("runs", "blocked"), ("failed", "skipped")],
    )
    sim.done("done", output='{"x":1}')
    sim.fail("failed")
    lease, dying = sim.take("runs"), sim.take("ready")
    sim.park(sim.take("parked"), "approval")
    sim.park(sim.take("timer"), "timer", "done", 100)
    sim.wake("", "signal:s", "done", "1", keep=True)
    before, history, keys = read_state(store, "g"), sim.events(), sorted(store.client.scan_iter("*"))

    own_server.stop(signal.SIGKILL)
    own_server.start()
    store = Store(own_server.url, Keys(), 2000)
    sim.store = store
    assert read_state(store, "g") == before
    assert sim.events() == history
    assert sorted(store.client.scan_iter("*")) == keys
    assert broken(store, "g") == []

    assert sim.renew(lease) == [], "leases outlive the server"
    assert sim.end(lease, "done") is Verdict.ACCEPTED
    sim.tick(LEASE_MS)
    assert list(sim.reap().lost) == ["ready"]
    assert sim.states()["timer"] == "DONE"
    assert sim.end(dying, "done") is Verdict.FENCED
    assert sim.take("ready").token > dying.token, "tokens rise across the restart"
    assert broken(store, "g") == []
    store.close()


def test_the_operations_go_on_after_the_server_was_away(own_server: Server) -> None:
    """One client, whose connection breaks under it."""
    store = Store(own_server.url, Keys(), 2000)
    sim = Sim(store)
    sim.submit(["a", "b"], [("a", "b")])
    own_server.stop(signal.SIGKILL)
    own_server.start()
    sim.done("a", "b")
    assert sim.state == "DONE"
    store.close()


# -- prefix -------------------------------------------------------------------------------------------------------------


def test_two_prefixes_do_not_see_each_other(redis_server: Server, store: Store, tmp_path: Path) -> None:
    theirs = Store(redis_server.url, Keys("team-a:"), 2000)
    here, there = Crew(store, tmp_path), Crew(theirs, tmp_path)
    for crew in (here, there):
        crew.function(lambda item: item, "same")
        crew.submit(
            [{"id": "m", "kind": "map", "call": "same", "inputs": {"items": [1, 2]}}, {"id": "fails", "call": "ghost"}],
            idempotency_key="k",
        )
    here.work()
    assert (here.state(), there.state()) == ("FAILED", "RUNNING")
    there.work()
    assert there.state() == "FAILED"
    keys = list(store.client.scan_iter("*"))
    assert len([key for key in keys if key.startswith("team-a:")]) == len(keys) / 2
    assert all(key in keys or key.startswith("team-a:") for key in keys)
    assert [key for key in unknown_keys(theirs) if key.startswith("team-a:")] == []
    assert broken(theirs, "g") == []
    while theirs.goals.remove("g") == "more":
        pass
    assert here.states()["m"] == "DONE"
    theirs.client.delete(*theirs.client.keys("team-a:*"))
    theirs.close()
