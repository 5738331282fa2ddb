"""edit: other inputs for a node that has not begun, or has failed; checked like a document."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orchestrator.domain.command import Order, Repeated
from orchestrator.domain.errors import IllegalTransition, InvalidGoal
from orchestrator.engine.changes import Came, Changes
from orchestrator.store.records import Outcome, Result, Verdict
from support.crew import Crew
from support.sim import Sim

ORDER = Order("c1", "cli:ann")


@pytest.fixture
def changes(crew: Crew) -> Changes:
    return crew.wired.changes


@pytest.fixture
def goal(crew: Crew) -> Crew:
    """a -> b, which adds two numbers."""
    crew.function(lambda: {"v": 40}, "start")
    crew.function(lambda x, y: x + y, "add")
    nodes: list[Any] = [
        {"id": "a", "call": "start"},
        {"id": "b", "call": "add", "inputs": {"x": {"from": "a", "path": "v"}, "y": "a secret"}, "retries": 0},
        {"id": "c", "kind": "approval"},
    ]
    crew.submit(nodes, [("a", "b"), ("b", "c")])
    return crew


def test_one_input_anew(goal: Crew, changes: Changes) -> None:
    assert changes.edit("g", "b", set={"y": 2}, order=ORDER) == Came("edited", ("b",), "2")
    with pytest.raises(Repeated, match="edited"):
        changes.edit("g", "b", set={"y": 3}, order=ORDER)
    goal.work()
    assert goal.output("b") == 42
    raw = goal.store.client.xrange(goal.store.keys.part("g", "events"))
    data = [event["data"] for _, event in raw if event["type"] == "node.edited"]
    assert [json.loads(one) for one in data] == [{"inputs": ["y"], "version": 2}]
    assert not [event for _, event in raw if "secret" in json.dumps(event)], "no value stands in the history"


def test_all_inputs_anew_and_the_rest_of_the_node_stays(goal: Crew, changes: Changes) -> None:
    changes.edit("g", "b", inputs={"x": 1, "y": 2})
    spec = json.loads(goal.store.goals.spec("g", "b"))
    assert spec == {"call": "add", "inputs": {"x": 1, "y": 2}, "retries": 0}
    goal.work()
    assert goal.output("b") == 3


def test_a_failed_node_is_edited_and_runs_again_with_it(goal: Crew, changes: Changes) -> None:
    goal.work()
    assert (goal.states()["b"], goal.state()) == ("FAILED", "FAILED")
    changes.edit("g", "b", set={"y": 5}, order=ORDER)
    changes.retry("g", "b")
    goal.work()
    assert goal.output("b") == 45


def test_a_skipped_node_and_one_between_attempts(sim: Sim, changes: Changes) -> None:
    sim.submit(["a", "b", "r"], [("a", "b")])
    sim.fail("a")
    sim.end(sim.take("r"), "retry", '{"reason":"error","error":"x"}', 500)
    changes.edit("g", "b", set={"x": 1})
    changes.edit("g", "r", set={"x": 1})
    assert sim.states() == {"a": "FAILED", "b": "SKIPPED", "r": "WAITING"}


@pytest.mark.parametrize(
    ("inputs", "place", "text"),
    [
        ({"x": {"from": "c"}}, "inputs", "does not come after it|no such node"),
        ({"x": {"from": "ghost"}}, "inputs", "no such node"),
        ({"x": {"from": "b"}}, "inputs", "does not come after it|no such node|itself"),
        ({"x": float("nan")}, "inputs", "not JSON"),
        ({"x": object()}, "inputs", "not JSON"),
        ({"x": "y" * 300_000}, "", "the limit is"),
    ],
)
def test_inputs_that_no_document_may_have(goal: Crew, changes: Changes, inputs: Any, place: str, text: str) -> None:
    before = goal.store.goals.spec("g", "b")
    with pytest.raises(InvalidGoal, match=text) as found:
        changes.edit("g", "b", set=inputs, order=ORDER)
    assert {fault.place for fault in found.value.faults} == {place or "inputs"}
    assert goal.store.goals.spec("g", "b") == before


@pytest.mark.parametrize("state", ["RUNNING", "DONE", "WAITING", "DROPPED"])
def test_a_node_that_has_begun_keeps_its_inputs(sim: Sim, changes: Changes, state: str) -> None:
    sim.submit(["a", "b"])
    if state == "DONE":
        sim.done("a")
    elif state == "DROPPED":
        changes.drop("g", "a")
    else:
        lease = sim.take("a")
        if state == "WAITING":
            sim.park(lease, "approval")
    with pytest.raises(IllegalTransition, match=f"is {state}; inputs can be changed before"):
        changes.edit("g", "a", set={"x": 1}, order=ORDER)


def test_what_goes_on_from_what_it_has_left_is_not_edited(sim: Sim, changes: Changes) -> None:
    sim.submit([{"id": "m", "kind": "map", "call": "x", "inputs": {"items": [1]}}, "w"])
    sim.expand(sim.take("m"), ["m.0"])
    sim.fail("m.0")
    sim.park(sim.take("w"), "approval")
    sim.wake("w", "approval", "ready", "{}")
    sim.tick(3000)
    sim.reap()
    with pytest.raises(IllegalTransition, match="goes on from items"):
        changes.edit("g", "m", set={"items": [2]})
    with pytest.raises(IllegalTransition, match="goes on from a step"):
        changes.edit("g", "w", set={"x": 2})


def test_what_ran_ahead_with_the_old_inputs_is_not_taken(sim: Sim, changes: Changes) -> None:
    sim.submit(["a", "b"], [("a", "b")])
    claimed = sim.commit(most=1, look_ahead=8).claims[0]
    changes.edit("g", "b", set={"x": 1})
    follower = Result(claimed.followers[0].lease, Outcome.DONE, '"old"', ahead=True)
    step = sim.commit(Result(claimed.lease, Outcome.DONE), follower, version=claimed.version)
    assert list(step.verdicts) == [Verdict.ACCEPTED, Verdict.UNCLAIMED]
    assert sim.states() == {"a": "DONE", "b": "READY"}


def test_an_edit_that_another_overtook_reads_again(
    goal: Crew, changes: Changes, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit = goal.store.changes.edit
    first: list[bool] = []

    def late(*args: Any, **kwargs: Any) -> Any:
        if not first:
            first.append(True)
            changes.edit("g", "b", set={"x": 7})
        return edit(*args, **kwargs)

    monkeypatch.setattr(goal.store.changes, "edit", late)
    changes.edit("g", "b", set={"y": 1})
    goal.work()
    assert goal.output("b") == 8, "neither change is lost"
