"""retry: what failed runs again, what was skipped because of it gets another chance, what is done stays."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.store.goals import PIECE
from support.crew import Crew
from support.sim import Sim


class Flaky:
    """Fails for the nodes named in `bad`, and remembers who ran."""

    def __init__(self, *bad: str) -> None:
        self.bad = set(bad)
        self.ran: list[str] = []

    def __call__(self, name: str) -> str:
        self.ran.append(name)
        if name in self.bad:
            raise RuntimeError(f"{name} is bad")
        return name


def nodes(*names: str, **fields: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"id": name, "call": "flaky", "inputs": {"name": name}, **fields.get(name, {})} for name in names]


def failed(crew: Crew, flaky: Flaky, made: list[dict[str, Any]], edges: list[Any]) -> None:
    crew.function(flaky, "flaky")
    crew.submit(made, edges)
    crew.work()
    assert crew.state() == "FAILED"
    flaky.ran.clear()


def test_only_what_failed_and_what_follows_runs_again(crew: Crew) -> None:
    flaky = Flaky("b")
    failed(crew, flaky, nodes("a", "b", "c", "d", "e"), [("a", "b"), ("b", "c"), ("c", "d"), ("a", "e")])
    assert crew.states() == {"a": "DONE", "b": "FAILED", "c": "SKIPPED", "d": "SKIPPED", "e": "DONE"}
    flaky.bad.clear()
    assert crew.reopener.retry("g") == "retried"
    assert crew.states() == {"a": "DONE", "b": "READY", "c": "BLOCKED", "d": "BLOCKED", "e": "DONE"}
    crew.work()
    assert flaky.ran == ["b", "c", "d"]
    assert crew.state() == "DONE"
    record = crew.store.goals.record("g")
    assert record["unhandled"] == "0"
    assert crew.store.goals.part("g", "dead") == {}


def test_a_node_that_fails_again_fails_the_goal_again(crew: Crew) -> None:
    flaky = Flaky("a")
    failed(crew, flaky, nodes("a", "b"), [("a", "b")])
    for _ in range(3):
        crew.reopener.retry("g")
        crew.work()
        assert crew.state() == "FAILED"
        assert crew.states() == {"a": "FAILED", "b": "SKIPPED"}
    assert flaky.ran == ["a"] * 3


def test_one_node_of_several(crew: Crew) -> None:
    flaky = Flaky("x", "y")
    failed(crew, flaky, nodes("x", "y", "after_x", "after_y"), [("x", "after_x"), ("y", "after_y")])
    flaky.bad.clear()
    crew.reopener.retry("g", "x")
    crew.work()
    assert crew.states() == {"x": "DONE", "after_x": "DONE", "y": "FAILED", "after_y": "SKIPPED"}
    assert crew.state() == "FAILED", "the other failure stands"
    crew.reopener.retry("g", "y")
    crew.work()
    assert crew.state() == "DONE"
    assert flaky.ran == ["x", "after_x", "y", "after_y"]


@pytest.mark.parametrize(("join", "state"), [("all", "SKIPPED"), ("any", "DONE"), (1, "DONE"), (2, "SKIPPED")])
def test_a_join_with_another_failed_parent(crew: Crew, join: Any, state: str) -> None:
    """It is reopened if it can fire by what runs again, and else stays skipped instead of blocking for ever."""
    flaky = Flaky("x", "y")
    failed(crew, flaky, nodes("x", "y", "j", j={"join": join}), [("x", "j"), ("y", "j")])
    flaky.bad.clear()
    crew.reopener.retry("g", "x")
    crew.work()
    assert crew.states() == {"x": "DONE", "y": "FAILED", "j": state}
    crew.reopener.retry("g")
    crew.work()
    assert crew.state() == "DONE"
    assert crew.states()["j"] == "DONE"
    assert flaky.ran.count("j") == 1


def test_a_join_of_done_and_retried_parents_waits_for_the_rest(crew: Crew) -> None:
    flaky = Flaky("c")
    failed(crew, flaky, nodes("a", "b", "c", "j"), [("a", "j"), ("b", "j"), ("c", "j")])
    flaky.bad.clear()
    crew.reopener.retry("g")
    assert crew.states()["j"] == "BLOCKED"
    crew.work()
    assert crew.state() == "DONE"


def test_a_chain_of_skips_behind_a_join_that_stays_skipped(crew: Crew) -> None:
    flaky = Flaky("x", "y")
    edges = [("x", "j"), ("y", "j"), ("j", "k"), {"source": "k", "target": "always", "on": "finished"}]
    failed(crew, flaky, nodes("x", "y", "j", "k", "always"), edges)
    flaky.bad.clear()
    crew.reopener.retry("g", "x")
    crew.work()
    assert crew.states() == {"x": "DONE", "y": "FAILED", "j": "SKIPPED", "k": "SKIPPED", "always": "DONE"}


def test_edges_on_failure_of_a_node_that_now_succeeds_are_not_taken(crew: Crew) -> None:
    flaky = Flaky("x", "rescue")
    failed(
        crew, flaky, nodes("x", "rescue", "next"), [{"source": "x", "target": "rescue", "on": "failed"}, ("x", "next")]
    )
    flaky.bad.clear()
    crew.reopener.retry("g")
    assert crew.states() == {"x": "READY", "rescue": "BLOCKED", "next": "BLOCKED"}
    crew.work()
    assert crew.states() == {"x": "DONE", "rescue": "SKIPPED", "next": "DONE"}
    assert crew.state() == "DONE"


def test_conditions_of_done_parents_are_tested_again(crew: Crew) -> None:
    flaky = Flaky("b")
    edges = [{"source": "a", "target": "yes", "when": '== "a"'}, {"source": "a", "target": "no", "when": '== "z"'}]
    failed(crew, flaky, nodes("a", "b", "yes", "no"), [*edges, ("b", "yes"), ("b", "no")])
    flaky.bad.clear()
    crew.reopener.retry("g")
    crew.work()
    assert crew.states() == {"a": "DONE", "b": "DONE", "yes": "DONE", "no": "SKIPPED"}


def test_attempts_go_on_counting_and_the_allowance_of_retries_is_new(crew: Crew) -> None:
    flaky = Flaky("a")
    failed(crew, flaky, nodes("a", a={"retries": 1, "backoff_seconds": 0}), [])
    assert crew.store.nodes.states("g", ["a"])[0]["attempt"] == "2"
    crew.reopener.retry("g")
    crew.work()
    assert flaky.ran == ["a", "a"]
    assert crew.store.nodes.states("g", ["a"])[0]["attempt"] == "4"


def test_a_map_runs_its_failed_items_again_and_no_other(crew: Crew) -> None:
    flaky = Flaky("i1", "i3")
    crew.function(lambda item: flaky(f"i{item}"), "work")
    crew.submit(
        [{"id": "m", "kind": "map", "call": "work", "inputs": {"items": [0, 1, 2, 3]}}, "after"], [("m", "after")]
    )
    crew.work()
    assert crew.states()["m"] == "FAILED"
    flaky.ran.clear()
    flaky.bad.clear()
    crew.reopener.retry("g")
    crew.work()
    assert sorted(flaky.ran) == ["i1", "i3"]
    assert crew.state() == "DONE"
    assert crew.output("m") == ["i0", "i1", "i2", "i3"]


@pytest.mark.parametrize("named", ["m", "m.1"])
def test_a_map_is_not_done_while_items_of_it_are_failed(crew: Crew, named: str) -> None:
    """Retrying one of two failed items once made the map DONE, with null for the other."""
    flaky = Flaky("i1", "i3")
    crew.function(lambda item: flaky(f"i{item}"), "work")
    crew.submit([{"id": "m", "kind": "map", "call": "work", "inputs": {"items": [0, 1, 2, 3]}}])
    crew.work()
    flaky.bad = {"i3"}
    crew.reopener.retry("g", named)
    crew.work()
    assert crew.states()["m"] == "FAILED"
    flaky.bad = set()
    crew.reopener.retry("g", named if crew.states()[named] == "FAILED" else "m.3")
    crew.work()
    assert crew.output("m") == ["i0", "i1", "i2", "i3"]


def test_a_map_whose_items_were_not_all_stored_adds_the_rest(sim: Sim, crew: Crew) -> None:
    """Two of three items were there when the map failed; waiting for those alone would leave one output out."""
    sim.submit([{"id": "m", "kind": "map", "call": "f", "inputs": {"items": [0, 1, 2]}}])
    lease = sim.take("m")
    sim.expand(lease, ["m.0", "m.1"], 3)
    sim.fail(lease)
    sim.done("m.0")
    sim.fail("m.1")
    assert sim.state == "FAILED"
    crew.reopener.retry("g")
    again = sim.take("m")
    sim.expand(again, ["m.0", "m.1", "m.2"], 3)
    sim.park(again, "items")
    sim.done("m.1")
    assert sim.states()["m"] == "WAITING"
    sim.done("m.2")
    assert sim.states()["m"] == "READY"


def test_a_large_retry_goes_in_pieces_and_starts_with_the_last(crew: Crew) -> None:
    flaky = Flaky("root")
    names = [f"n{index}" for index in range(2 * PIECE)]
    failed(crew, flaky, nodes("root", *names), [("root", name) for name in names])
    flaky.bad.clear()
    crew.reopener.retry("g")
    crew.work()
    assert crew.state() == "DONE"
    assert len(flaky.ran) == 2 * PIECE + 1


def test_a_retry_that_was_interrupted_between_two_pieces_is_taken_up_by_the_next(crew: Crew) -> None:
    flaky = Flaky("root")
    names = [f"n{index:05}" for index in range(2 * PIECE)]
    failed(crew, flaky, nodes("root", *names), [("root", name) for name in names])
    flaky.bad.clear()
    retry = crew.store.goals.retry

    def dies(*args: Any, **more: Any) -> Any:
        if more["seal"]:
            raise KeyboardInterrupt
        return retry(*args, **more)

    crew.store.goals.retry = dies  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        crew.reopener.retry("g")
    crew.store.goals.retry = retry  # type: ignore[method-assign]
    assert {"SKIPPED", "BLOCKED"} < set(crew.states().values())
    crew.reopener.retry("g")
    crew.work()
    assert crew.states() == dict.fromkeys(["root", *names], "DONE")
    assert crew.state() == "DONE"
