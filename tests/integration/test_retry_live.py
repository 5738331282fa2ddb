"""retry of a goal that has not ended: the joins behind the node are set anew; and of a node with all that follows it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orchestrator.domain.command import Order, Repeated
from orchestrator.domain.errors import IllegalTransition
from orchestrator.engine.changes import Came, Changes
from support.crew import Crew
from support.sim import Sim


@pytest.fixture
def changes(crew: Crew) -> Changes:
    return crew.wired.changes


ORDER = Order("c1", "cli:ann")


def test_a_failed_node_runs_again_while_its_goal_runs(sim: Sim, changes: Changes) -> None:
    sim.submit(["a", "b", "c", "open"], [("a", "b"), ("b", "c")])
    sim.fail("a")
    assert sim.states() == {"a": "FAILED", "b": "SKIPPED", "c": "SKIPPED", "open": "READY"}
    assert changes.retry("g", "a", order=ORDER) == Came("retried", ("a",))
    assert sim.states() == {"a": "READY", "b": "BLOCKED", "c": "BLOCKED", "open": "READY"}
    assert sim.record()["unhandled"] == "0"
    before = sim.dump()
    with pytest.raises(Repeated, match="retried"):
        changes.retry("g", "a", order=ORDER)
    assert sim.dump() == before
    sim.done("a", "b", "c", "open")
    assert sim.state == "DONE"
    assert [event["node"] for event in sim.events("node.reopened")] == ["a", "b", "c"]


def test_all_that_failed_at_once_and_in_a_paused_goal(sim: Sim, changes: Changes) -> None:
    sim.submit(["x", "y", "z"])
    sim.fail("x", "y")
    sim.pause()
    changes.retry("g")
    assert (sim.state, sim.states()) == ("PAUSED", {"x": "READY", "y": "READY", "z": "READY"})


def test_joins_that_had_counted_the_failure_wait_for_it_again(sim: Sim, changes: Changes) -> None:
    """Of three ways two are needed: after one failed the other two had to fire; now one of them may fail, too."""
    sim.submit(["a", "b", "c", {"id": "j", "join": 2}], [("a", "j"), ("b", "j"), ("c", "j")])
    sim.fail("a")
    assert (sim.task("j")["need"], sim.task("j")["open"]) == ("2", "2")
    changes.retry("g", "a")
    assert (sim.task("j")["need"], sim.task("j")["open"]) == ("2", "3")
    sim.fail("b")
    sim.done("a", "c")
    assert sim.states()["j"] == "READY"


def test_a_rescue_that_nobody_has_begun_waits_again(sim: Sim, changes: Changes) -> None:
    sim.submit(["a", "rescue"], [{"source": "a", "target": "rescue", "on": "failed"}])
    sim.fail("a")
    assert sim.states()["rescue"] == "READY"
    changes.retry("g", "a")
    assert sim.states() == {"a": "READY", "rescue": "BLOCKED"}
    sim.done("a")
    assert (sim.states()["rescue"], sim.state) == ("SKIPPED", "DONE")


def test_what_was_retried_itself_and_not_claimed_waits_too(sim: Sim, changes: Changes) -> None:
    sim.submit(["a", "rescue", "open"], [{"source": "a", "target": "rescue", "on": "failed"}])
    sim.fail("a", "rescue")
    changes.retry("g", "rescue")
    assert sim.states()["rescue"] == "READY"
    changes.retry("g", "a")
    assert sim.states() == {"a": "READY", "open": "READY", "rescue": "BLOCKED"}
    sim.fail("a")
    sim.done("rescue", "open")
    assert sim.state == "DONE"


def test_a_rescue_that_runs_goes_on(sim: Sim, changes: Changes) -> None:
    sim.submit(["a", "rescue"], [{"source": "a", "target": "rescue", "on": "failed"}])
    sim.fail("a")
    lease = sim.take("rescue")
    changes.retry("g", "a")
    sim.end(lease, "retry", '{"reason":"error","error":"again"}', 0)
    sim.done("rescue")
    sim.done("a")
    assert sim.state == "DONE"


def test_a_condition_of_a_parent_counts_as_it_was(crew: Crew, changes: Changes) -> None:
    crew.function(lambda: {"v": 1}, "one")
    crew.submit(
        [{"id": "a", "call": "one"}, {"id": "b", "call": "absent"}, "yes", "no", {"id": "asks", "kind": "approval"}],
        [
            {"source": "a", "target": "yes", "when": "v == 1"},
            ("b", "yes"),
            {"source": "a", "target": "no", "when": "v == 2"},
            ("b", "no"),
        ],
    )
    crew.work()
    crew.function(lambda: 2, "absent")
    changes.retry("g", "b")
    assert {name: crew.states()[name] for name in ("yes", "no")} == {"yes": "BLOCKED", "no": "SKIPPED"}
    crew.work()
    assert crew.states()["yes"] == "DONE"


@pytest.mark.parametrize(("node", "why"), [("d", "is DONE; only a FAILED"), ("r", "is READY; only a FAILED")])
def test_what_did_not_fail(sim: Sim, changes: Changes, node: str, why: str) -> None:
    sim.submit(["d", "r", "f"])
    sim.done("d")
    sim.fail("f")
    with pytest.raises(IllegalTransition, match=why):
        changes.retry("g", node)


def test_an_item_of_a_map_that_waits_is_not_retried_alone(sim: Sim, changes: Changes) -> None:
    sim.submit([{"id": "m", "kind": "map", "call": "x", "inputs": {"items": [1, 2]}}])
    lease = sim.take("m")
    sim.expand(lease, ["m.0", "m.1"])
    sim.park(lease, "items")
    sim.fail("m.0")
    with pytest.raises(IllegalTransition, match="belongs to 'm', which is WAITING"):
        changes.retry("g", "m.0")
    sim.done("m.1")


def test_edges_that_are_still_being_resolved_are_resolved_first(sim: Sim, changes: Changes) -> None:
    many = 2100
    sim.submit(["a", "open", *(f"n{index}" for index in range(many))], [("a", f"n{index}") for index in range(many)])
    sim.fail("a")
    assert sim.store.client.llen(sim.store.keys.part("g", "ripple")) == 1
    with pytest.raises(IllegalTransition, match="2101 nodes with 2100 edges would be set anew"):
        changes.retry("g", "a")
    changes.drop("g", "open")
    sim.settle()


# -- with its descendants --------------------------------------------------------------------------------------------------


def ran(crew: Crew, bad: set[str]) -> list[str]:
    """A goal a -> b (fails) -> c on its failure -> d; and e of its own. Returns who ran."""
    log: list[str] = []

    def step(name: str) -> str:
        log.append(name)
        if name in bad:
            raise RuntimeError(name)
        return f"{name}{len(log)}"

    crew.function(step, "step")
    nodes = [{"id": name, "call": "step", "inputs": {"name": name}} for name in "abcdez"]
    crew.submit(nodes, [("a", "b"), {"source": "b", "target": "c", "on": "finished"}, ("c", "d"), ("z", "d")])
    crew.work()
    assert crew.state() == "FAILED"
    return log


def test_what_follows_runs_again_even_where_it_is_done(crew: Crew, changes: Changes) -> None:
    bad = {"b"}
    log = ran(crew, bad)
    before = crew.output("d")
    assert {name: crew.states()[name] for name in "abcd"} == {"a": "DONE", "b": "FAILED", "c": "DONE", "d": "DONE"}
    log.clear()
    bad.clear()
    assert changes.retry("g", "b", descendants=True, order=ORDER) == Came("retried", ("b",))
    assert crew.states() == {"a": "DONE", "b": "READY", "c": "BLOCKED", "d": "BLOCKED", "e": "DONE", "z": "DONE"}
    assert set(crew.store.goals.part("g", "outputs")) == {"a", "e", "z"}
    crew.work()
    assert (log, crew.state()) == (["b", "c", "d"], "DONE")
    assert crew.output("d") != before
    raw = crew.store.client.xrange(crew.store.keys.part("g", "events"))
    assert sorted(event["node"] for _, event in raw if event["type"] == "node.reopened") == ["c", "d"]
    with pytest.raises(Repeated):
        changes.retry("g", "b", descendants=True, order=ORDER)


def test_without_them_what_is_done_stays(crew: Crew, changes: Changes) -> None:
    bad = {"b"}
    log = ran(crew, bad)
    log.clear()
    changes.retry("g", "b")
    crew.work()
    assert log == ["b"]


def test_a_done_node_stands_where_it_stood(crew: Crew, changes: Changes) -> None:
    ran(crew, {"b"})
    changes.retry("g", "b", descendants=True)
    scores = {name: int(crew.store.nodes.states("g", [name])[0]["score"]) for name in "cd"}
    assert scores["c"] < scores["d"] < 0


@pytest.mark.parametrize("state", ["RUNNING", "DONE"])
def test_descendants_take_a_failed_goal_and_a_node(sim: Sim, changes: Changes, state: str) -> None:
    sim.submit(["a", "b"])
    sim.fail("a") if state == "RUNNING" else sim.done("a", "b")
    with pytest.raises(IllegalTransition, match=f"is {state}; only a FAILED goal can be retried with its descendants"):
        changes.retry("g", "a", descendants=True)
    with pytest.raises(IllegalTransition, match="name the failed node"):
        changes.retry("g", descendants=True)


def test_a_map_behind_it_cannot_run_twice(crew: Crew, changes: Changes) -> None:
    crew.function(lambda item: item, "same")
    nodes: list[Any] = [
        {"id": "f", "call": "absent"},
        {"id": "m", "kind": "map", "call": "same", "inputs": {"items": [1]}},
    ]
    crew.submit(nodes, [{"source": "f", "target": "m", "on": "finished"}])
    crew.work()
    with pytest.raises(IllegalTransition, match="'m' follows it and is DONE; it has items"):
        changes.retry("g", "f", descendants=True)
    assert crew.state() == "FAILED"
    crew.store.client.ping()


def test_a_retry_that_stopped_half_way_goes_on(sim: Sim, changes: Changes) -> None:
    """A piece was stored and whoever sent it died: the goal is FAILED still, and its DONE node is open."""
    sim.submit(["a", "b"], [{"source": "a", "target": "b", "on": "finished"}])
    sim.fail("a")
    sim.done("b")
    outcome, _ = sim.store.goals.retry(
        "g", [("b", "DONE", 1, 1, "")], seal=False, slots="{}", scores={"b": -16384}, order=ORDER, receiver="a",
        now_ms=sim.now,
    )  # fmt: skip
    assert (outcome, sim.state, sim.states()["b"]) == ("stored", "FAILED", "BLOCKED")
    from support.invariants import broken

    assert broken(sim.store, "g") == []
    changes.retry("g", "a", descendants=True, order=ORDER)
    sim.done("a", "b")
    assert sim.state == "DONE"
    assert json.loads(sim.events("command.applied")[0]["data"])["command"] == "c1"
