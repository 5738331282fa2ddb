"""patch: all at once or not at all, whatever happens meanwhile."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orchestrator.domain.errors import GoalNotFound, IllegalTransition, InvalidGoal
from orchestrator.store.records import Outcome, Result
from support.crew import Crew
from support.patches import edge
from support.sim import Sim, failure


def places(caught: pytest.ExceptionInfo[InvalidGoal]) -> list[str]:
    return [fault.place for fault in caught.value.faults]


# -- races ------------------------------------------------------------------------------------------------------------


def script(sim: Sim, version: int = 1, drop: tuple[str, ...] = (), targets: tuple[Any, ...] = ()) -> tuple[str, str]:
    body = {"reason": "", "drop": drop, "edges": {}, "targets": targets}
    outcome, detail, _ = sim.store.goals.patch("g", version, json.dumps(body), [], slots="{}", now_ms=sim.now)
    return outcome, detail


def test_a_patch_for_another_version_changes_nothing(sim: Sim, plan: Any) -> None:
    sim.submit(["a", "b"])
    plan(drop_nodes=["b"])
    before = sim.dump()
    assert script(sim, 1, ("a",)) == ("changed", "2")
    assert sim.dump() == before
    assert script(sim, 2, ("a",)) == ("patched", "3")


@pytest.mark.parametrize("end", ["running", "done", "failed"])
def test_a_node_that_moved_on_meanwhile_changes_nothing(sim: Sim, end: str) -> None:
    sim.submit(["a", "b"])
    lease = sim.take("a")
    if end != "running":
        sim.end(lease, end, failure("x") if end == "failed" else "")
    before = sim.dump()
    assert script(sim, 1, ("b", "a")) == ("changed", "a")
    assert script(sim, 1, (), ({"id": "a", "deps": "", "need": 0, "parents": []},)) == ("changed", "a")
    assert sim.dump() == before


def test_a_patch_waits_until_the_ripple_is_settled(sim: Sim, plan: Any) -> None:
    names = [f"n{index}" for index in range(4_000)]
    sim.submit(["root", "x", *names], [("root", name) for name in names])
    sim.commit(Result(sim.take("root"), Outcome.DONE))
    assert script(sim, 1, ("x",)) == ("busy", "")
    plan(drop_nodes=["x"])
    assert sim.states()["x"] == "DROPPED"


def test_two_patches_at_once_are_applied_one_after_the_other(sim: Sim, crew: Crew) -> None:
    sim.submit(["a"])
    stored = crew.store.goals.patch
    once = iter([True])

    def overtaken(*args: Any, **more: Any) -> Any:
        if next(once, False):
            crew.store.goals.patch = stored  # type: ignore[method-assign]
            crew.patcher.apply("g", {"add_nodes": [{"id": "theirs"}]})
        return stored(*args, **more)

    crew.store.goals.patch = overtaken  # type: ignore[method-assign]
    assert crew.patcher.apply("g", {"add_nodes": [{"id": "mine"}]}) == 3
    assert sim.states() == {"a": "READY", "theirs": "READY", "mine": "READY"}


def test_a_node_that_starts_while_the_patch_is_made_refuses_it(sim: Sim, crew: Crew) -> None:
    sim.submit(["a", "b"])
    stored = crew.store.goals.patch

    def late(*args: Any, **more: Any) -> Any:
        sim.claim(hint="b")
        return stored(*args, **more)

    crew.store.goals.patch = late  # type: ignore[method-assign]
    with pytest.raises(InvalidGoal, match=r"drop_nodes: b: the node is RUNNING"):
        crew.patcher.apply("g", {"drop_nodes": ["b"]})


# -- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("patch", "place"),
    [
        ({"add_nodes": [{"id": "a"}]}, "add_nodes[0].id"),
        ({"add_nodes": [{"id": "n"}], "add_edges": [edge("n", "ghost")]}, "edges[2].target"),
        ({"add_edges": [edge("c", "b")]}, "edges"),
        ({"add_edges": [edge("b", "c")]}, "add_edges[0]"),
        ({"add_edges": [edge("c", "done")]}, "add_edges[0]"),
        ({"add_edges": [edge("b", "c2", when="x")], "add_nodes": [{"id": "c2"}]}, "add_edges[0].when"),
        ({"drop_nodes": ["ghost"]}, "drop_nodes[0]"),
        ({"drop_nodes": ["done"]}, "drop_nodes[0]"),
        ({"drop_nodes": ["run"]}, "drop_nodes[0]"),
        ({"drop_edges": [("a", "c")]}, "drop_edges[0]"),
        ({"drop_edges": [("a", "done")]}, "drop_edges[0]"),
        ({"add_nodes": [{"id": "n", "kind": "agent"}]}, "add_nodes.0"),
        ({"add_nodes": [{"id": "n n"}]}, "add_nodes.0.id"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_patch_with_a_fault_changes_nothing(sim: Sim, plan: Any, patch: dict[str, Any], place: str) -> None:
    sim.submit(["a", "done", "run", "b", "c"], [("a", "done"), ("b", "c")])
    sim.done("a", "done")
    sim.take("run")
    before = {key: value for key, value in sim.dump().items() if not key.startswith("goals:")}
    with pytest.raises(InvalidGoal) as caught:
        plan(**patch)
    assert place in places(caught)
    assert {key: value for key, value in sim.dump().items() if not key.startswith("goals:")} == before


def test_every_fault_of_a_patch_is_reported(sim: Sim, plan: Any) -> None:
    sim.submit(["a", "b"], [("a", "b")])
    with pytest.raises(InvalidGoal) as caught:
        plan(add_nodes=[{"id": "a"}], drop_nodes=["ghost"], drop_edges=[("b", "a")])
    assert places(caught) == ["add_nodes[0].id", "drop_nodes[0]", "drop_edges[0]"]


def test_a_goal_that_cannot_change_any_more(sim: Sim, crew: Crew) -> None:
    with pytest.raises(GoalNotFound):
        crew.patcher.apply("g", {"add_nodes": [{"id": "n"}]})
    sim.submit(["a"])
    sim.done("a")
    with pytest.raises(IllegalTransition, match="is DONE; its plan cannot be changed"):
        crew.patcher.apply("g", {"add_nodes": [{"id": "n"}]})


def test_an_item_of_a_map_takes_no_edge_into_it(sim: Sim, plan: Any) -> None:
    """What is behind the map may not go before its items: the goal would wait for itself."""
    sim.submit([{"id": "m", "kind": "map", "call": "f", "inputs": {"items": [0, 1]}}, "after"], [("m", "after")])
    sim.expand(sim.take("m"), ["m.0", "m.1"])
    with pytest.raises(InvalidGoal, match=r"'m\.0' is an item of the map 'm'"):
        plan(add_edges=[edge("after", "m.0")])
    assert sim.states()["m.0"] == "READY"
