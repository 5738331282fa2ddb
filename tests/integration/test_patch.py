"""patch: the plan of a running goal is changed all at once or not at all."""

from __future__ import annotations

import json
from typing import Any

import pytest

from support.crew import Crew
from support.patches import edge
from support.sim import Sim


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


@pytest.mark.parametrize("part", ["edges", "nodes"])
def test_a_patch_that_comes_between_what_another_reads_is_read_again(
    sim: Sim, crew: Crew, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    sim.submit(["a", "b"], [("a", "b")])
    read, between = crew.store.goals.part, ["once"]

    def reading(goal: str, name: str) -> dict[str, str]:
        found = read(goal, name)
        if name == part and between:
            between.clear()
            crew.patcher.apply("g", {"add_nodes": [{"id": "x"}], "add_edges": [edge("x", "b")]})
        return found

    monkeypatch.setattr(crew.store.goals, "part", reading)
    assert crew.patcher.apply("g", {"add_nodes": [{"id": "y"}], "add_edges": [edge("y", "b")]}) == 3
    assert read("g", "edges") == {"a": "b", "x": "b", "y": "b"}
