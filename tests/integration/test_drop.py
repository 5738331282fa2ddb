"""drop: a node that has not begun leaves the plan; what waits for it is skipped, takes it for failed, or waits for its parents."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orchestrator.domain.command import Order, Repeated
from orchestrator.domain.errors import IllegalTransition, InvalidGoal
from orchestrator.engine.changes import Came, Changes
from support.crew import Crew
from support.sim import Sim

ORDER = Order("c1", "cli:ann", "not needed")


@pytest.fixture
def changes(crew: Crew) -> Changes:
    return crew.wired.changes


def test_those_that_need_it_are_skipped(sim: Sim, changes: Changes) -> None:
    sim.submit(
        ["a", "b", "c", "always"], [("a", "b"), ("b", "c"), {"source": "b", "target": "always", "on": "finished"}]
    )
    assert changes.drop("g", "b", order=ORDER) == Came("dropped", ("b",), "2")
    assert sim.states() == {"a": "READY", "b": "DROPPED", "c": "SKIPPED", "always": "READY"}
    before = sim.dump()
    with pytest.raises(Repeated, match="dropped"):
        changes.drop("g", "b", order=ORDER)
    assert sim.dump() == before
    assert json.loads(sim.events("goal.patched")[0]["data"])["reason"] == "not needed"
    assert sim.events("command.applied")[0]["node"] == "b"
    sim.done("a", "always")
    assert sim.state == "DONE"


def test_as_if_it_had_failed(sim: Sim, changes: Changes) -> None:
    sim.submit(["a", "b", "rescue"], [("a", "b"), {"source": "a", "target": "rescue", "on": "failed"}])
    changes.drop("g", "a", dependants="fail")
    assert sim.states() == {"a": "DROPPED", "b": "SKIPPED", "rescue": "READY"}
    assert json.loads(sim.events("node.dropped")[0]["data"]) == {"as": "failed"}
    sim.done("rescue")
    assert sim.state == "DONE", "the failure was dealt with"


def test_a_failure_that_nothing_deals_with_fails_the_goal(sim: Sim, changes: Changes) -> None:
    sim.submit(["a", "b"])
    changes.drop("g", "a", dependants="fail")
    sim.done("b")
    assert sim.state == "FAILED"
    with pytest.raises(IllegalTransition, match="no failed node to run again"):
        changes.retry("g")


def test_a_patch_can_deal_with_it_later(sim: Sim, crew: Crew, changes: Changes) -> None:
    sim.submit(["a", "b"])
    changes.drop("g", "a", dependants="fail")
    crew.patcher.apply("g", {"add_nodes": [{"id": "r"}], "add_edges": [{"source": "a", "target": "r", "on": "failed"}]})
    assert (sim.states()["r"], sim.record()["unhandled"]) == ("READY", "0")
    sim.done("b", "r")
    assert sim.state == "DONE"


def test_those_behind_it_wait_for_its_parents(sim: Sim, changes: Changes) -> None:
    sim.submit(["p", "q", "n", "c", "d"], [("p", "n"), ("q", "n"), ("n", "c"), ("n", "d"), ("p", "d")])
    changes.drop("g", "n", dependants="rewire", order=ORDER)
    assert sim.states() == {"p": "READY", "q": "READY", "n": "DROPPED", "c": "BLOCKED", "d": "BLOCKED"}
    sim.done("p")
    assert (sim.states()["c"], sim.states()["d"]) == ("BLOCKED", "BLOCKED")
    sim.done("q")
    assert (sim.states()["c"], sim.states()["d"]) == ("READY", "READY")
    sim.done("c", "d")
    assert sim.state == "DONE"


def test_past_a_node_without_parents_nothing_is_left_to_wait_for(sim: Sim, changes: Changes) -> None:
    sim.submit(["n", "c", "rescue"], [("n", "c"), {"source": "n", "target": "rescue", "on": "failed"}])
    changes.drop("g", "n", dependants="rewire")
    assert sim.states() == {"n": "DROPPED", "c": "READY", "rescue": "SKIPPED"}
    sim.done("c")


def test_a_parent_that_was_to_fail_stays_so(sim: Sim, changes: Changes) -> None:
    sim.submit(["p", "n", "c"], [{"source": "p", "target": "n", "on": "failed"}, ("n", "c")])
    changes.drop("g", "n", dependants="rewire")
    sim.fail("p")
    assert sim.states()["c"] == "READY"
    sim.done("c")
    assert sim.state == "DONE"


def test_it_is_refused_where_somebody_reads_what_it_would_have_given(crew: Crew, changes: Changes) -> None:
    crew.function(lambda x: x, "f")
    nodes: list[Any] = [
        "n",
        "mid",
        {"id": "reads", "call": "f", "inputs": {"x": [{"from": "n", "path": "v"}]}},
        "other",
    ]
    crew.submit(nodes, [("n", "mid"), ("mid", "reads"), {"source": "n", "target": "other", "when": "v == 1"}])
    with pytest.raises(InvalidGoal) as found:
        changes.drop("g", "n", dependants="rewire", order=ORDER)
    assert [fault.place for fault in found.value.faults] == ["edge n -> other", "node reads, inputs"]
    assert crew.states()["n"] == "READY"
    changes.edit("g", "reads", inputs={"x": 1})
    with pytest.raises(InvalidGoal, match="n -> other"):
        changes.drop("g", "n", dependants="rewire")
    crew.work()


def test_who_waits_for_some_only_would_wait_for_others(sim: Sim, changes: Changes) -> None:
    edges = [("p", "n"), ("q", "n"), ("n", "some"), ("other", "some")]
    sim.submit(["p", "q", "other", {"id": "n", "join": "any"}, {"id": "some", "join": 1}], edges)
    with pytest.raises(InvalidGoal) as found:
        changes.drop("g", "n", dependants="rewire")
    assert [fault.place for fault in found.value.faults] == ["node n, join", "node some, join"]
    assert sim.states()["n"] == "BLOCKED"


@pytest.mark.parametrize("state", ["RUNNING", "DONE", "FAILED", "DROPPED"])
def test_a_node_that_has_begun_or_ended_is_not_dropped(sim: Sim, changes: Changes, state: str) -> None:
    sim.submit(["a", "b"])
    if state == "RUNNING":
        sim.take("a")
    elif state == "DROPPED":
        changes.drop("g", "a")
    else:
        sim.done("a") if state == "DONE" else sim.fail("a")
    with pytest.raises(IllegalTransition, match=f"is {state}: it has"):
        changes.drop("g", "a", order=ORDER)


def test_the_last_node_of_a_goal(sim: Sim, changes: Changes) -> None:
    sim.submit(["a"])
    changes.drop("g", "a")
    assert sim.state == "DONE"
