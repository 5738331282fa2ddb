"""What commands change: each acts once an order, tells the state that it met, and leaves a mark in the history."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from orchestrator.domain.command import Expired, Order, Repeated
from orchestrator.domain.errors import GoalNotFound, IllegalTransition, NodeNotFound
from orchestrator.engine.changes import Came, Changes
from support.crew import Crew
from support.sim import Sim


@pytest.fixture
def changes(crew: Crew) -> Changes:
    return crew.wired.changes


def order(name: str = "c1", until_ms: int | None = None) -> Order:
    return Order(name, "cli:ann", "why not", until_ms)


def told(sim: Sim, kind: str) -> list[dict[str, Any]]:
    """The data of the goal's events of one kind."""
    return [json.loads(event["data"]) for event in sim.events(kind)]


def test_an_order_acts_once_and_says_so(sim: Sim, changes: Changes) -> None:
    sim.submit(["a"])
    assert changes.pause("g", "lunch", order=order()) == Came("paused")
    changes.resume("g", order=order("c2"))
    before = sim.dump()
    with pytest.raises(Repeated, match="paused") as found:
        changes.pause("g", "lunch", order=order())
    assert found.value.outcome == "paused"
    assert (sim.state, sim.dump()) == ("RUNNING", before)
    assert told(sim, "command.applied") == [
        {"command": "c1", "by": "cli:ann", "reason": "why not", "outcome": "paused"},
        {"command": "c2", "by": "cli:ann", "reason": "why not", "outcome": "resumed"},
    ]
    assert told(sim, "goal.paused") == [{"reason": "lunch", "by": "cli:ann"}]


def test_what_changed_nothing_the_first_time_does_not_change_something_later(sim: Sim, changes: Changes) -> None:
    sim.submit(["a"])
    assert changes.resume("g", order=order()) == Came("unchanged")
    sim.pause()
    with pytest.raises(Repeated, match="unchanged"):
        changes.resume("g", order=order())
    assert sim.state == "PAUSED"


def test_an_order_that_comes_too_late_does_nothing(sim: Sim, changes: Changes) -> None:
    sim.submit(["a"])
    before = sim.dump()
    late = order(until_ms=1)
    acts: list[Callable[[], Any]] = [
        lambda: changes.pause("g", order=late),
        lambda: changes.resume("g", order=late),
        lambda: changes.cancel("g", order=late),
        lambda: changes.drop("g", "a", order=late),
        lambda: changes.edit("g", "a", set={"x": 1}, order=late),
        lambda: changes.set_priority("g", 3, order=late),
        lambda: changes.set_priority("g", 3, "a", order=late),
        lambda: changes.hold("g", "a", order=late),
        lambda: changes.release("g", "a", order=late),
        lambda: changes.budget("g", 10, order=late),
    ]
    for act in acts:
        with pytest.raises(Expired):
            act()
    assert changes.refuse("g", "PAUSE", "too late", order=late) == "expired"
    after = {key: value for key, value in sim.dump().items() if not key.startswith("goals:")}
    assert after == {key: value for key, value in before.items() if not key.startswith("goals:")}


@pytest.mark.parametrize("end", ["DONE", "FAILED", "CANCELLED"])
def test_an_ended_goal_refuses_and_says_how_it_is(sim: Sim, changes: Changes, end: str) -> None:
    sim.submit(["a"])
    sim.finish(end)
    before = sim.dump()
    acts: list[Callable[[], Any]] = [
        lambda: changes.pause("g", order=order()),
        lambda: changes.hold("g", "a", order=order()),
        lambda: changes.set_priority("g", 2, order=order()),
        lambda: changes.drop("g", "a", order=order()),
    ]
    for act in acts:
        with pytest.raises(IllegalTransition, match=end):
            act()
    assert changes.cancel("g", order=order()) == Came("ended")
    assert changes.refuse("g", "PAUSE", "it has ended", order=order()) == "ended"
    after = sim.dump()
    assert {key: after[key] for key in before if "{g}" in key} == {key: before[key] for key in before if "{g}" in key}


def test_what_is_not_there(changes: Changes, sim: Sim) -> None:
    on_goals: list[Callable[[str], Any]] = [
        lambda goal: changes.pause(goal),
        lambda goal: changes.cancel(goal),
        lambda goal: changes.retry(goal),
        lambda goal: changes.drop(goal, "a"),
        lambda goal: changes.edit(goal, "a", set={}),
        lambda goal: changes.set_priority(goal, 1),
        lambda goal: changes.hold(goal, "a"),
        lambda goal: changes.budget(goal, 1),
    ]
    for on_goal in on_goals:
        with pytest.raises(GoalNotFound):
            on_goal("ghost")
    assert changes.refuse("ghost", "PAUSE", "no such goal", order=order()) == "gone"
    assert list(sim.store.client.scan_iter("*ghost*")) == []
    sim.submit(["a"])
    on_nodes: list[Callable[[str], Any]] = [
        lambda node: changes.drop("g", node),
        lambda node: changes.edit("g", node, set={}),
        lambda node: changes.set_priority("g", 1, node),
        lambda node: changes.hold("g", node),
    ]
    for on_node in on_nodes:
        with pytest.raises(NodeNotFound):
            on_node("ghost")
    with pytest.raises(IllegalTransition, match="by an agent 'ghost'"):
        changes.hold("g", agent="ghost")


def test_a_refused_command_is_refused_again(sim: Sim, changes: Changes) -> None:
    """Whoever carries it out a second time, after its answer was lost, finds that goal as the first one did."""
    sim.submit(["a"])
    assert changes.refuse("g", "RETRY", "goal 'g' is RUNNING", order=order()) == "refused"
    assert changes.refuse("g", "RETRY", "goal 'g' is RUNNING", order=order()) == "known"
    with pytest.raises(IllegalTransition, match="is RUNNING"):
        changes.retry("g", order=order())
    with pytest.raises(IllegalTransition, match="is RUNNING"):
        changes.pause("g", order=order())
    assert told(sim, "command.refused") == [
        {"command": "c1", "by": "cli:ann", "reason": "why not", "verb": "RETRY", "why": "goal 'g' is RUNNING"}
    ]


def test_a_cancel_goes_on_where_whoever_began_it_died(sim: Sim, changes: Changes) -> None:
    sim.submit([f"n{index}" for index in range(2500)])
    assert sim.store.goals.cancel("g", "enough", order=order(), now_ms=sim.now) == "more"
    with pytest.raises(Repeated, match="cancelled"):
        changes.cancel("g", order=order())
    assert sim.state == "CANCELLED"


def test_answers_and_signals_take_orders(crew: Crew) -> None:
    crew.submit(
        [
            {"id": "yes", "kind": "approval"},
            {"id": "no", "kind": "approval"},
            {"id": "s", "kind": "wait", "inputs": {"signal": "go"}},
        ]
    )
    crew.work()
    control = crew.control
    assert control.approve("g", "yes", order=order()) == "approved"
    with pytest.raises(Repeated, match="approved"):
        control.approve("g", "yes", order=order())
    assert control.reject("g", "no", order=order("c2")) == "rejected"
    with pytest.raises(Repeated, match="rejected"):
        control.reject("g", "no", order=order("c2"))
    assert control.signal("g", "go", 1, order=order("c3")) == "woken"
    with pytest.raises(Repeated, match="woken"):
        control.signal("g", "go", 1, order=order("c3"))


# -- priority and budget ------------------------------------------------------------------------------------------------


def test_a_node_goes_first_and_no_other_is_touched(sim: Sim, changes: Changes) -> None:
    sim.submit(["a", "b", "c", {"id": "d", "priority": 7}])
    scores = {node: sim.task(node)["score"] for node in "abcd"}
    assert changes.set_priority("g", 9, "c", order=order()) == Came("set", ("c",), "0")
    assert changes.set_priority("g", 9, "c") == Came("unchanged", ("c",), "9")
    assert {node: sim.task(node)["score"] for node in "abd"} == {node: scores[node] for node in "abd"}
    assert [one.lease.node for one in sim.claim(most=4)] == ["c", "d", "a", "b"]
    assert told(sim, "node.priority") == [{"priority": 9, "before": 0}]
    with pytest.raises(Repeated):
        changes.set_priority("g", 9, "c", order=order())


def test_a_priority_keeps_the_rank_of_the_node(sim: Sim, changes: Changes) -> None:
    """The longest way to the end still counts first, and a lower priority goes down again."""
    sim.submit([{"id": "long", "priority": 3}, "short", "end"], [("long", "end")])
    changes.set_priority("g", 16_383, "short")
    assert [one.lease.node for one in sim.claim(most=1)] == ["long"]
    changes.set_priority("g", 1, "end")
    sim.done("short")
    assert sim.task("end")["score"] == str(-(16_384 + 1))


def test_a_goal_gets_another_priority(sim: Sim, changes: Changes) -> None:
    sim.submit(["a", "b"], [("a", "b")])
    assert changes.set_priority("g", 120, order=order()) == Came("set", (), "0")
    assert changes.set_priority("g", 120) == Came("unchanged", (), "120")
    sim.claim()
    assert sim.record()["priority"] == "120"
    assert told(sim, "goal.priority") == [{"priority": 120, "before": 0}]


def test_a_node_that_runs_no_more_has_no_priority(sim: Sim, changes: Changes) -> None:
    sim.submit(["a", "b"])
    sim.done("a")
    with pytest.raises(IllegalTransition, match="'a' of goal 'g' is DONE"):
        changes.set_priority("g", 1, "a")


def test_a_budget_is_set_and_what_is_not_named_stays(crew: Crew, changes: Changes) -> None:
    crew.submit(["a"], budget={"tokens": 100, "when_spent": "fail"})
    assert changes.budget("g", micro_usd=50, order=order()) == Came("set")
    assert json.loads(crew.store.goals.field("g", "budget") or "") == {
        "tokens": 100,
        "when_spent": "fail",
        "micro_usd": 50,
    }
    assert changes.budget("g", 100) == Came("unchanged")
    with pytest.raises(Repeated):
        changes.budget("g", micro_usd=7, order=order())
    large = 9_007_199_254_740_000
    changes.budget("g", large)
    assert json.loads(crew.store.goals.field("g", "budget") or "")["tokens"] == large


def test_a_goal_without_a_budget_gets_one(sim: Sim, changes: Changes) -> None:
    sim.submit(["a"])
    assert changes.budget("g", 10) == Came("set")
    assert told(sim, "goal.budget") == [{"tokens": 10}]
