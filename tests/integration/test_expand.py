"""expand: a map adds its items in pieces; repeating a piece changes nothing; the last item wakes the map."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from orchestrator.domain.errors import InvalidGoal
from orchestrator.store.goals import PIECE
from support.crew import Crew
from support.sim import LEASE_MS, Sim

MAP = {"id": "m", "kind": "map", "call": "f", "inputs": {"items": [1, 2, 3]}}


def test_items_are_nodes_of_the_goal(sim: Sim) -> None:
    sim.submit([MAP, "after"], [("m", "after")])
    lease = sim.take("m")
    assert sim.expand(lease, ["m.0", "m.1", "m.2"]) == "stored"
    assert sim.record()["total"] == "5"
    assert [sim.states()[f"m.{index}"] for index in range(3)] == ["READY"] * 3
    assert json.loads(sim.events("node.expanded")[0]["data"]) == {"items": 3}
    sim.park(lease, "items")
    sim.done("m.0", "m.1")
    assert sim.states()["m"] == "WAITING"
    sim.done("m.2")
    (claimed,) = sim.claim()
    assert (claimed.lease.node, claimed.resume, claimed.lease.attempt) == ("m", "items", 1)
    sim.done(claimed.lease)
    assert sim.states()["after"] == "READY"


def test_repeating_a_piece_changes_nothing(sim: Sim) -> None:
    sim.submit([MAP])
    lease = sim.take("m")
    sim.expand(lease, ["m.0", "m.1"], 3)
    sim.done("m.0", output="1")
    before = sim.dump()
    assert sim.expand(lease, ["m.0", "m.1"], 3) == "stored"
    assert sim.dump() == before
    assert sim.expand(lease, ["m.2"], 3) == "stored"
    assert len(sim.events("node.expanded")) == 1
    assert sim.task("m")["items_left"] == "2"


def test_items_that_end_before_the_map_parks_wake_it_at_once(sim: Sim) -> None:
    sim.submit([MAP])
    lease = sim.take("m")
    sim.expand(lease, ["m.0"])
    sim.done("m.0")
    sim.park(lease, "items")
    assert sim.states()["m"] == "READY"
    assert sim.claim()[0].resume == "items"


@pytest.mark.parametrize("wrong", [{"token": 9}, {"nonce": "x"}])
def test_a_lease_that_is_not_the_maps_adds_nothing(sim: Sim, wrong: dict[str, object]) -> None:
    sim.submit([MAP])
    lease = sim.take("m")
    before = sim.dump()
    assert sim.expand(replace(lease, **wrong), ["m.0"]) == "fenced"  # type: ignore[arg-type]
    assert sim.dump() == before


def test_the_next_holder_goes_on_where_the_first_one_died(sim: Sim) -> None:
    sim.submit([MAP])
    first = sim.take("m")
    sim.expand(first, ["m.0", "m.1"], 3)
    sim.done("m.0")
    sim.tick(LEASE_MS)
    sim.reap()
    assert sim.expand(first, ["m.2"], 3) == "fenced"
    second = sim.take("m")
    sim.expand(second, ["m.0", "m.1", "m.2"], 3)
    sim.park(second, "items")
    sim.done("m.1", "m.2")
    assert sim.claim()[0].resume == "items"
    assert len(sim.events("node.expanded")) == 1


def test_a_cancelled_goal_is_not_expanded(sim: Sim) -> None:
    sim.submit([f"n{index}" for index in range(4 * PIECE)])
    leases = [claimed.lease for claimed in sim.claim(most=200)]
    assert sim.cancel() == "more"
    states = sim.states()
    held = [lease for lease in leases if states[lease.node] == "RUNNING"]
    assert held, "the first slice did not come to all of them"
    for lease in (held[0], next(lease for lease in leases if lease not in held)):
        assert sim.expand(lease, [f"{lease.node}.0"]) == "fenced"
    while sim.cancel(begin=False) == "more":
        pass
    assert len(sim.states()) == 4 * PIECE


def test_a_map_woken_by_its_items_has_no_timer_any_more(sim: Sim) -> None:
    """It waited to be tried again; the timer would have ended its next wait too early."""
    sim.submit([MAP])
    lease = sim.take("m")
    sim.expand(lease, ["m.0"])
    sim.end(lease, "retry", "{}", 5000)
    sim.done("m.0")
    (claimed,) = sim.claim()
    assert claimed.resume == "items"
    sim.park(claimed.lease, "approval")
    sim.tick(5000)
    sim.reap()
    assert sim.states()["m"] == "WAITING"


def test_items_that_fail_or_are_dropped_are_counted(sim: Sim) -> None:
    sim.submit([MAP])
    lease = sim.take("m")
    sim.expand(lease, ["m.0", "m.1", "m.2"])
    sim.park(lease, "items")
    sim.fail("m.0", "m.1")
    sim.done("m.2")
    assert sim.task("m")["items_failed"] == "2"
    assert sim.states()["m"] == "READY"
    assert sim.record().get("unhandled", "0") == "0", "the map deals with the failures of its items"


# -- with the engine ----------------------------------------------------------------------------------------------------


def test_a_large_map_is_stored_in_pieces_and_its_outputs_are_in_order(crew: Crew) -> None:
    crew.function(lambda item: item * 2, "double")
    items = list(range(2 * PIECE + 5))
    crew.submit([{"id": "m", "kind": "map", "call": "double", "inputs": {"items": items}}])
    crew.work()
    assert crew.state() == "DONE"
    assert crew.output("m") == [item * 2 for item in items]


def test_a_map_interrupted_between_two_pieces_is_finished_by_another_worker(crew: Crew) -> None:
    crew.function(lambda item: item, "same")
    crew.submit([{"id": "m", "kind": "map", "call": "same", "inputs": {"items": list(range(PIECE + 1))}}])
    expand = crew.store.nodes.expand
    calls = iter(range(100))

    def dies(*args: object, **more: object) -> object:
        if next(calls) == 1:
            lease = args[0]
            crew.store.client.zadd(crew.store.keys.part("g", "leases"), {lease.node: 1})  # type: ignore[attr-defined]
            crew.store.goals.hasten(["g"])
            crew.duties.reap()
        return expand(*args, **more)  # type: ignore[arg-type]

    crew.store.nodes.expand = dies  # type: ignore[assignment, method-assign]
    crew.work()
    assert crew.state() == "DONE"
    assert crew.output("m") == list(range(PIECE + 1))
    kinds = [fields["type"] for _, fields in crew.store.goals.events("g", "0", 100_000)]
    assert kinds.count("node.expanded") == 1
    assert kinds.count("node.lost") == 1


def test_an_item_must_not_have_the_name_of_another_node(crew: Crew) -> None:
    """The item was taken for stored already, its map waited for ever, and the goal never ended."""
    crew.function(lambda item: item, "same")
    mapped = {"id": "m", "kind": "map", "call": "same", "inputs": {"items": [1]}}
    with pytest.raises(InvalidGoal, match="item of the map"):
        crew.submit([mapped, "m.0"])
