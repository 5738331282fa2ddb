"""The checker is itself tested: for each invariant something is broken on purpose, and has to be noticed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from orchestrator.store.store import Store
from support.invariants import broken, unknown_keys
from support.sim import Sim


def goal(store: Store) -> Sim:
    sim = Sim(store)
    sim.submit(
        ["done", "runs", "ready", "parked", "failed", "blocked", {"id": "l1", "lane": "l"}, {"id": "l2", "lane": "l"}],
        [("runs", "blocked"), ("done", "blocked")],
    )
    sim.done("done", output="1")
    sim.fail("failed")
    sim.take("runs")
    sim.park(sim.take("parked"), "timer", "done", 1000)
    return sim


def event(client: Any, kind: str, node: str = "", token: str = "", worker: str = "") -> Any:
    fields = {"type": kind, "node": node, "attempt": "1", "token": token, "worker": worker, "data": ""}
    return client.xadd("dag:{g}:events", fields)


PLANTED: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "a counter that drifted": ("I12", lambda c: c.hincrby("dag:{g}", "n:READY", 1)),
    "a count of what is left": ("I12", lambda c: c.hincrby("dag:{g}", "left", -1)),
    "a node too many": ("I12", lambda c: c.hincrby("dag:{g}", "total", 1)),
    "an end too early": ("nodes have not ended", lambda c: c.hset("dag:{g}", mapping={"state": "DONE", "ended": 1})),
    "a lease without its lock": ("I4", lambda c: c.delete("task:{g}:runs:lock")),
    "a lock without its lease": ("I4", lambda c: c.zrem("dag:{g}:leases", "runs")),
    "a lease of a node that does not run": ("I4", lambda c: c.zadd("dag:{g}:leases", {"ready": 1})),
    "another token in the lock": ("I5", lambda c: c.set("task:{g}:runs:lock", "77 n w")),
    "a token held twice": ("I5", lambda c: c.set("task:{g}:ready:lock", c.get("task:{g}:runs:lock"))),
    "a ready node that nobody can find": ("I4", lambda c: c.zrem("dag:{g}:ready:default", "ready")),
    "a ready node in two queues": (
        "I4",
        lambda c: (c.hset("task:{g}:done", "queue", "x"), c.zadd("dag:{g}:ready:x", {"ready": 1})),
    ),
    "an ended node that can be claimed": ("not READY", lambda c: c.zadd("dag:{g}:ready:default", {"done": 1})),
    "the second of a lane that can be claimed": ("I6", lambda c: c.zadd("dag:{g}:ready:default", {"l2": 1})),
    "a lane that forgot its head": ("I4", lambda c: c.zrem("dag:{g}:lane:l", "l1")),
    "a parked node without a note": ("I4", lambda c: c.hdel("dag:{g}:parked", "parked")),
    "a timer of nobody": ("timers", lambda c: c.zadd("dag:{g}:timers", {"ready": 1})),
    "a join that cannot fire": ("for ever", lambda c: c.hset("task:{g}:blocked", "need", 2)),
    "a dead letter that is lost": ("I13", lambda c: c.hdel("dag:{g}:dead", "failed")),
    "an output of a node that is not DONE": ("I14", lambda c: c.hset("dag:{g}:outputs", "runs", "1")),
    "a commit without the claim": ("I1", lambda c: event(c, "node.done", "runs", "1", "w")),
    "a second commit": ("I1", lambda c: event(c, "node.done", "done", "1", "w")),
    "a claim of what is done": ("I1", lambda c: event(c, "node.claimed", "done", "99", "w")),
    "a token that falls": ("I5", lambda c: event(c, "node.claimed", "ready", "1", "w")),
    "a claim after the cancel": (
        "I8",
        lambda c: (event(c, "goal.cancelling"), event(c, "node.claimed", "ready", "99", "w")),
    ),
    "life after the end": ("I2", lambda c: (event(c, "goal.done"), event(c, "node.waiting", "ready"))),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_noticed(store: Store, name: str) -> None:
    goal(store)
    assert broken(store, "g") == []
    invariant, plant = PLANTED[name]
    plant(store.client)
    found = broken(store, "g")
    assert any(invariant in fault for fault in found), found


def test_a_failure_that_was_not_counted_is_noticed(store: Store) -> None:
    sim = Sim(store)
    sim.submit(["a"])
    sim.fail("a")
    store.client.hset("dag:{g}", "state", "DONE")
    assert any("unhandled" in fault for fault in broken(store, "g"))


@pytest.mark.parametrize("key", ["dag:{g}:nodez", "dag:g", "task:{g}", "stray", "goals:idx", "task:{g}:a:lock:b"])
def test_a_key_that_is_not_in_the_catalogue_is_noticed(store: Store, key: str) -> None:
    goal(store)
    assert unknown_keys(store) == []
    store.client.set(key, 1)
    assert unknown_keys(store) == [key]
