"""The checker is itself tested: what is stored, or its history, is broken on purpose and has to be noticed, for I1 to I15.

Histories written by hand are in unit/events, scripts that were broken in test_history_mutants.py, the keys of the whole
server in test_history_fleet.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from orchestrator.events import check, stored
from orchestrator.events.check import check_goal, examine_goal
from orchestrator.events.stored import digest
from orchestrator.events.violation import INVARIANTS
from orchestrator.store.store import Store
from support.sim import Sim
from support.tale import goal


def event(client: Any, kind: str, node: str = "", token: str = "", worker: str = "", data: str = "") -> Any:
    fields = {"type": kind, "node": node, "attempt": "1", "token": token, "worker": worker, "data": data}
    return client.xadd("dag:{g}:events", fields)


SAID = '{"kind": "answer", "turn": 1}'
PERMIT = '{"permit": "p", "account": "a", "limits": {"concurrent": 0}}'
APPLIED = '{"command": "c", "expires": 1}'

PLANTED: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "a counter that drifted": ("I12", lambda c: c.hincrby("dag:{g}", "n:READY", 1)),
    "a count of what is left": ("I12", lambda c: c.hincrby("dag:{g}", "left", -1)),
    "a node too many": ("I12", lambda c: c.hincrby("dag:{g}", "total", 1)),
    "an end too early": ("I2", lambda c: c.hset("dag:{g}", mapping={"state": "DONE", "ended": 1})),
    "a lease without its lock": ("I4 runs", lambda c: c.delete("task:{g}:runs:lock")),
    "a lock without its lease": ("I4 runs", lambda c: c.zrem("dag:{g}:leases", "runs")),
    "a lease of a node that does not run": ("I4 ready", lambda c: c.zadd("dag:{g}:leases", {"ready": 1})),
    "another token in the lock": ("I5 runs", lambda c: c.set("task:{g}:runs:lock", "77 n w")),
    "a token held twice": ("I5 ready", lambda c: c.set("task:{g}:ready:lock", c.get("task:{g}:runs:lock"))),
    "another token in the record": (
        "I5 runs",
        lambda c: (c.hset("task:{g}:runs", "token", 1), c.set("task:{g}:runs:lock", "1 n w")),
    ),
    "a ready node that nobody can find": ("I4 ready", lambda c: c.zrem("dag:{g}:ready:default", "ready")),
    "a ready node that is set aside too": (
        "I4 ready",
        lambda c: (c.hset("dag:{g}", "held", 1), c.zadd("dag:{g}:aside", {"ready": 1})),
    ),
    "an ended node that is set aside": (
        "I4 done",
        lambda c: (c.hset("dag:{g}", "held", 1), c.zadd("dag:{g}:aside", {"done": 1})),
    ),
    "a node that is set aside and that nobody looks after": (
        "I4",
        lambda c: (c.zrem("dag:{g}:ready:default", "ready"), c.zadd("dag:{g}:aside", {"ready": 1})),
    ),
    "a ready node in two queues": (
        "I4 ready",
        lambda c: (c.hset("task:{g}:done", "queue", "x"), c.zadd("dag:{g}:ready:x", {"ready": 1})),
    ),
    "an ended node that can be claimed": ("I4 done", lambda c: c.zadd("dag:{g}:ready:default", {"done": 1})),
    "the second of a lane that can be claimed": ("I6 l2", lambda c: c.zadd("dag:{g}:ready:default", {"l2": 1})),
    "an ended node in a lane": ("I6 done", lambda c: c.zadd("dag:{g}:lane:l", {"done": 99})),
    "a running node behind the head of its lane": ("I6 runs", lambda c: c.zadd("dag:{g}:lane:l", {"runs": 99})),
    "a lane that forgot its head": ("I4 l1", lambda c: c.zrem("dag:{g}:lane:l", "l1")),
    "a parked node without a note": ("I4 parked", lambda c: c.hdel("dag:{g}:parked", "parked")),
    "a timer of nobody": ("I4 ready", lambda c: c.zadd("dag:{g}:timers", {"ready": 1})),
    "a join that cannot fire": ("I4 blocked", lambda c: c.hset("task:{g}:blocked", "need", 2)),
    "a dead letter that is lost": ("I13 failed", lambda c: c.hdel("dag:{g}:dead", "failed")),
    "a dead letter without a reason": ("I13 failed", lambda c: c.hset("dag:{g}:dead", "failed", "{}")),
    "a dead letter of a node that lives": ("I13 ready", lambda c: c.hset("dag:{g}:dead", "ready", '{"reason":"x"}')),
    "a failure without a reason": ("I13 ready", lambda c: event(c, "node.failed", "ready", "9", "w")),
    "a turn that nobody wrote down": ("I15 runs", lambda c: c.hset("task:{g}:runs", "kit", "k") and c.rpush("task:{g}:runs:turns", SAID)),
    "an output of a node that is not DONE": ("I14 runs", lambda c: c.hset("dag:{g}:outputs", "runs", "1")),
    "a state that no event told": ("I1 ready", lambda c: c.hset("task:{g}:ready", "state", "DONE")),
    "a commit that was forgotten": ("I1 done", lambda c: c.hset("task:{g}:done", "state", "READY")),
    "a skip that no event told": ("I2 ready", lambda c: c.hset("task:{g}:ready", "state", "SKIPPED")),
    "a commit without the claim": ("I1 runs", lambda c: event(c, "node.done", "runs", "1", "w")),
    "a second commit": ("I1 done", lambda c: event(c, "node.done", "done", "1", "w")),
    "a claim of what is done": ("I2 done", lambda c: event(c, "node.claimed", "done", "99", "w")),
    "a claim before its parents": ("I3 blocked", lambda c: event(c, "node.claimed", "blocked", "99", "w")),
    "a token that was used before": ("I5 ready", lambda c: event(c, "node.claimed", "ready", "1", "w")),
    "permits beyond the limit": ("I7", lambda c: event(c, "llm.permit", data=PERMIT)),
    "a claim after the cancel": (
        "I8 ready",
        lambda c: (event(c, "goal.cancelling"), event(c, "node.claimed", "ready", "99", "w")),
    ),
    "a command that came too late": ("I9", lambda c: event(c, "command.applied", data=APPLIED)),
    "a goal that is not indexed": ("I10", lambda c: c.zrem("goals:index", "g")),
    "a second submission": ("I11", lambda c: event(c, "goal.submitted")),
    "another goal's idempotency key": (
        "I11",
        lambda c: (c.hset("dag:{g}", "key", "me:k"), c.set("goals:idem:me:k", "other stored")),
    ),
    "life after the end": ("I2 ready", lambda c: (event(c, "goal.done"), event(c, "node.waiting", "ready"))),
}  # fmt: skip


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_noticed(store: Store, name: str) -> None:
    goal(store)
    assert check_goal(store, "g") == []
    where, plant = PLANTED[name]
    plant(store.client)
    found = check_goal(store, "g")
    assert where in {f"{one.invariant} {one.node}".strip() for one in found}, found


def test_every_invariant_has_a_planted_fault() -> None:
    assert {where.split()[0] for where, _ in PLANTED.values()} == set(INVARIANTS)


def test_a_failure_that_was_not_counted_is_noticed(store: Store) -> None:
    sim = Sim(store)
    sim.submit(["a"])
    sim.fail("a")
    store.client.hset("dag:{g}", "state", "DONE")
    assert any("unhandled" in one.text for one in check_goal(store, "g"))


def test_a_cancelled_goal_that_still_holds_something_is_noticed(store: Store) -> None:
    sim = goal(store)
    while sim.cancel() == "more":
        pass
    assert check_goal(store, "g") == []
    store.client.zadd("dag:{g}:timers", {"parked": 1})
    assert "I8" in {one.invariant for one in check_goal(store, "g")}


def test_an_output_that_is_not_what_was_committed_is_noticed(store: Store) -> None:
    sim = Sim(store)
    sim.submit(["a", "b"])
    sim.done("b")
    given = json.dumps({"inputs": {}, "output": digest('{"n":1}')})
    lease = sim.take("a")
    store.client.hset("dag:{g}:outputs", "a", '{"n":1}')
    sim.done(lease, output='{"n":1}')
    stream = store.client.xrevrange("dag:{g}:events", count=2)  # the end of `a`, then of the goal
    store.client.xdel("dag:{g}:events", *(name for name, _ in stream))
    event(store.client, "node.done", "a", str(lease.token), "w", given)
    event(store.client, "goal.done")
    assert check_goal(store, "g") == []
    store.client.hset("dag:{g}:outputs", "a", "2")
    assert [(one.invariant, one.node) for one in check_goal(store, "g")] == [("I14", "a")]
    store.client.hdel("dag:{g}:outputs", "a")
    assert [(one.invariant, one.node) for one in check_goal(store, "g")] == [("I14", "a")]


# -- a condition, a trimmed head, a goal that moves -------------------------------------------------------------------------


@pytest.mark.parametrize(("output", "expected"), [("2", []), ("0", ["I3 b"])])
def test_a_condition_is_tested_on_the_stored_output(store: Store, output: str, expected: list[str]) -> None:
    sim = Sim(store)
    sim.submit(["a", "b"], [{"source": "a", "target": "b", "when": {"op": "truthy"}}])
    sim.done("a", output="2")
    sim.take("b")
    store.client.hset("dag:{g}:outputs", "a", output)
    assert [f"{one.invariant} {one.node}" for one in check_goal(store, "g")] == expected


def test_a_trimmed_head_is_said_and_not_held_against_anyone(store: Store) -> None:
    sim = goal(store)
    sim.done("l1", "l2")
    store.client.xtrim("dag:{g}:events", maxlen=3, approximate=False)
    report = examine_goal(store, "g")
    assert report.violations == ()
    assert "trimmed" in report.notes["I1"][0].text
    store.client.hincrby("dag:{g}", "left", 1)
    assert {one.invariant for one in check_goal(store, "g")} == {"I12"}


def test_a_goal_that_never_stands_still_is_judged_by_its_history_alone(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    sim, read = goal(store), stored.read_state

    def busy(store: Store, name: str) -> Any:
        sim.pause()
        sim.resume()
        return read(store, name)

    monkeypatch.setattr(check, "read_state", busy)
    store.client.hincrby("dag:{g}", "left", 1)
    report = examine_goal(store, "g")
    assert report.violations == ()
    assert report.verdict("I12") == "not applicable"
    assert report.notes["I12"][0].text == "the goal moved while it was read"
    monkeypatch.undo()
    assert {one.invariant for one in check_goal(store, "g")} == {"I12"}


def test_a_goal_that_is_patched_while_it_is_read_is_read_again(
    store: Store, monkeypatch: pytest.MonkeyPatch, plan: Any
) -> None:
    sim, read = Sim(store), stored.read_state
    patched: list[int] = []
    sim.submit(["a", "b"], [("a", "b")])

    def busy(store: Store, name: str) -> Any:
        if not patched:
            patched.append(plan(drop_edges=[["a", "b"]]))
            sim.take("b")
        return read(store, name)

    monkeypatch.setattr(check, "read_state", busy)
    assert check_goal(store, "g") == []
    assert patched == [2]


def test_a_goal_whose_plan_never_stands_still_is_not_held_against_any_plan(
    store: Store, monkeypatch: pytest.MonkeyPatch, plan: Any
) -> None:
    sim, read = Sim(store), stored.read_state
    sim.submit(["a", "b"], [("a", "b")])

    def busy(store: Store, name: str) -> Any:
        plan(add_nodes=[{"id": f"n{len(sim.states())}"}])
        return read(store, name)

    monkeypatch.setattr(check, "read_state", busy)
    planted = event(store.client, "node.claimed", "b", "99", "w")
    report = examine_goal(store, "g")
    assert report.violations == ()
    assert {one: report.verdict(one) for one in ("I1", "I3", "I4")} == {
        "I1": "ok", "I3": "not applicable", "I4": "not applicable",
    }  # fmt: skip
    monkeypatch.undo()
    assert "I3" in {one.invariant for one in check_goal(store, "g")}
    store.client.xdel("dag:{g}:events", planted)
