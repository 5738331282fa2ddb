"""patch: the plan of a running goal is changed all at once or not at all."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orchestrator.domain.errors import GoalNotFound, IllegalTransition, InvalidGoal
from orchestrator.store.records import Outcome, Result
from support.crew import Crew
from support.sim import Sim, failure


def edge(source: str, target: str, **fields: Any) -> dict[str, Any]:
    return {"source": source, "target": target, **fields}


@pytest.fixture
def plan(crew: Crew) -> Any:
    """Patches the goal that the test drives by hand."""

    def apply(**patch: Any) -> int:
        return crew.patcher.apply("g", patch)

    return apply


def places(caught: pytest.ExceptionInfo[InvalidGoal]) -> list[str]:
    return [fault.place for fault in caught.value.faults]


def test_added_nodes_are_ready_or_blocked_by_where_their_parents_are(sim: Sim, plan: Any) -> None:
    sim.submit(["done", "failed", "open"])
    sim.done("done")
    sim.fail("failed")
    version = plan(
        add_nodes=[{"id": name} for name in ("root", "ready", "blocked", "rescue", "skipped", "behind", "one_of_two")]
        + [{"id": "any", "join": "any"}],
        add_edges=[
            edge("done", "ready"), edge("done", "blocked"), edge("open", "blocked"),
            edge("failed", "rescue", on="failed"), edge("failed", "skipped"), edge("skipped", "behind", on="finished"),
            edge("failed", "any"), edge("done", "any"), edge("failed", "one_of_two"), edge("open", "one_of_two"),
        ],
        reason="more to do",
    )  # fmt: skip
    assert version == 2
    states = sim.states()
    assert {name: states[name] for name in states if name not in ("done", "failed", "open")} == {
        "root": "READY", "ready": "READY", "blocked": "BLOCKED", "rescue": "READY", "skipped": "SKIPPED",
        "behind": "READY", "any": "READY", "one_of_two": "SKIPPED",
    }  # fmt: skip
    assert json.loads(sim.events("goal.patched")[0]["data"]) == {"reason": "more to do", "version": 2}
    sim.done("open")
    assert sim.states()["blocked"] == "READY"


def test_invitations_go_out_for_what_a_patch_made_ready(sim: Sim, crew: Crew) -> None:
    sim.submit(["ask"])
    sim.park(sim.take("ask"), "approval")
    crew.patcher.apply("g", {"add_nodes": [{"id": "new", "queue": "gpu"}]})
    assert [(one.queue, one.node) for one in crew.mail.invitations] == [("gpu", "new")]


def test_a_ready_node_is_blocked_by_a_new_parent(sim: Sim, plan: Any) -> None:
    sim.submit(["a", "b", {"id": "laned", "lane": "l"}, {"id": "next", "lane": "l"}])
    plan(add_edges=[edge("a", "b"), edge("a", "laned")])
    assert sim.states() == {"a": "READY", "b": "BLOCKED", "laned": "BLOCKED", "next": "READY"}
    assert sorted(claimed.lease.node for claimed in sim.claim(most=9)) == ["a", "next"], "the lane goes on without it"
    lease = sim.store.nodes.holder("g", "a")
    assert lease is not None


def test_a_blocked_node_is_freed_by_cutting_its_last_edge(sim: Sim, plan: Any) -> None:
    sim.submit(["a", "b", "c"], [("a", "b"), ("a", "c"), ("b", "c")])
    plan(drop_edges=[("a", "b")])
    assert sim.states() == {"a": "READY", "b": "READY", "c": "BLOCKED"}
    sim.done("a", "b")
    assert sim.states()["c"] == "READY"


def test_dependants_of_a_dropped_node_follow_their_joins(sim: Sim, plan: Any) -> None:
    sim.submit(
        ["x", "other", "strict", {"id": "any", "join": "any"}, "always", "behind"],
        [
            ("x", "strict"), ("x", "any"), ("other", "any"), edge("x", "always", on="finished"), ("strict", "behind"),
        ],
    )  # fmt: skip
    plan(drop_nodes=["x"])
    assert sim.states() == {
        "x": "DROPPED", "other": "READY", "strict": "SKIPPED", "any": "BLOCKED", "always": "READY", "behind": "SKIPPED",
    }  # fmt: skip
    assert len(sim.events("node.dropped")) == 1
    sim.done("other")
    assert sim.states()["any"] == "READY"


def test_a_dropped_node_replaced_in_the_same_patch_keeps_its_dependants(sim: Sim, plan: Any) -> None:
    sim.submit(["x", "after"], [("x", "after")])
    plan(drop_nodes=["x"], drop_edges=[("x", "after")], add_nodes=[{"id": "y"}], add_edges=[edge("y", "after")])
    assert sim.states() == {"x": "DROPPED", "y": "READY", "after": "BLOCKED"}
    sim.done("y", "after")
    assert sim.state == "DONE"


def test_a_parked_node_can_be_dropped_and_never_wakes(sim: Sim, plan: Any) -> None:
    sim.submit([{"id": "wait", "lane": "l"}, {"id": "next", "lane": "l"}])
    sim.park(sim.take("wait"), "timer", "done", 100)
    plan(drop_nodes=["wait"])
    assert sim.states() == {"wait": "DROPPED", "next": "READY"}
    sim.tick(100)
    sim.reap()
    assert sim.wake("wait", "timer", "done") == "stale"
    assert sim.states()["wait"] == "DROPPED"


def test_dropping_the_last_open_node_ends_the_goal(sim: Sim, plan: Any) -> None:
    sim.submit(["a", "b"])
    sim.done("a")
    plan(drop_nodes=["b"])
    assert sim.state == "DONE"


def test_a_paused_goal_can_be_patched(sim: Sim, plan: Any) -> None:
    sim.submit(["a"])
    sim.pause()
    plan(add_nodes=[{"id": "b"}], add_edges=[edge("a", "b")])
    sim.resume()
    sim.done("a", "b")
    assert sim.state == "DONE"


def test_a_failure_handled_by_a_patch_does_not_fail_the_goal(sim: Sim, plan: Any) -> None:
    """The goal FAILED although the rescue that a patch had added was DONE."""
    sim.submit(["a", "other"])
    sim.fail("a")
    plan(add_nodes=[{"id": "rescue"}], add_edges=[edge("a", "rescue", on="failed")])
    sim.done("rescue", "other")
    assert sim.state == "DONE"


def test_a_rescue_cut_off_by_a_patch_leaves_the_failure_unhandled(sim: Sim, plan: Any) -> None:
    sim.submit(["a", "b", "rescue"], [edge("a", "rescue", on="failed"), ("b", "rescue")])
    sim.fail("a")
    plan(drop_edges=[("a", "rescue")])
    sim.done("b", "rescue")
    assert sim.state == "FAILED"


def test_an_edge_out_of_an_item_of_a_map_does_not_cut_it_off_from_its_map(sim: Sim, plan: Any) -> None:
    """The item forgot its map, which then waited for ever."""
    sim.submit([{"id": "m", "kind": "map", "call": "f", "inputs": {"items": [1]}}])
    lease = sim.take("m")
    sim.expand(lease, ["m.0"])
    sim.park(lease, "items")
    plan(add_nodes=[{"id": "after"}], add_edges=[edge("m.0", "after")])
    sim.done("m.0", "after")
    assert sim.states()["m"] == "READY"
    sim.done("m")


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
        ({"add_nodes": [{"id": "n", "kind": "llm"}]}, "nodes[5].kind"),
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
