"""Holds: a claim that meets what is held sets it aside; once nothing holds it, it can be claimed again."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orchestrator.domain.command import Order, Repeated
from orchestrator.domain.errors import IllegalTransition
from orchestrator.engine.changes import Came, Changes
from orchestrator.store.records import Outcome, Result, Verdict
from support.crew import Crew
from support.sim import Sim

QUEUE = json.dumps({"*": 4, "*held": {"queues": {"gpu": 1}, "agents": {}}})
EVERYTHING = json.dumps({"*": 4, "*held": {"queues": {"*": 1}, "agents": {}}})
WRITERS = json.dumps({"*": 4, "*held": {"queues": {}, "agents": {"*/writer": 1}}})


@pytest.fixture
def changes(crew: Crew) -> Changes:
    return crew.wired.changes


def agent(name: str, who: str = "writer") -> dict[str, Any]:
    return {"id": name, "kind": "agent", "agent": who}


def names(sim: Sim, **more: Any) -> list[str]:
    return [one.lease.node for one in sim.claim(most=10, **more)]


def test_a_held_node_is_claimed_by_nobody_until_it_is_released(sim: Sim, changes: Changes) -> None:
    sim.submit(["a", "b"])
    assert changes.hold("g", "a", reason="look first", order=Order("c1", "cli:ann")) == Came("held", ("a",))
    assert changes.hold("g", "a") == Came("unchanged", ("a",))
    assert names(sim, hint="a") == ["b"]
    assert (sim.store.changes.aside("g"), sim.states()["a"]) == (["a"], "READY")
    with pytest.raises(Repeated):
        changes.hold("g", "a", order=Order("c1", "cli:ann"))
    assert changes.release("g", "a") == Came("released", ("a",))
    assert (sim.store.changes.aside("g"), "held" in sim.record()) == ([], False)
    assert names(sim) == ["a"]
    data = [json.loads(event["data"]) for event in (*sim.events("goal.held"), *sim.events("goal.released"))]
    assert data == [{"node": "a", "by": "cli:ann", "reason": "look first"}, {"node": "a", "by": "", "reason": ""}]


def test_nothing_is_asked_while_nobody_is_held(sim: Sim) -> None:
    sim.submit(["a"])
    with sim.store.client.monitor() as monitor:
        sim.claim()
        sim.store.client.echo("seen")
        commands = []
        while (command := monitor.next_command()["command"]) != "ECHO seen":
            commands.append(command)
    assert not [command for command in commands if ":held" in command or ":aside" in command]


def test_a_held_agent_keeps_its_nodes_and_no_others(sim: Sim, changes: Changes) -> None:
    sim.submit([agent("w1"), agent("w2"), agent("r", "reader"), "plain"])
    changes.hold("g", agent="writer")
    assert sorted(names(sim)) == ["plain", "r"]
    assert sorted(sim.store.changes.aside("g")) == ["w1", "w2"]
    changes.release("g", agent="writer")
    assert sorted(names(sim)) == ["w1", "w2"]


def test_two_holds_of_one_node_both_count(sim: Sim, changes: Changes) -> None:
    sim.submit([agent("w")])
    changes.hold("g", "w")
    changes.hold("g", agent="writer")
    assert names(sim) == []
    changes.release("g", "w")
    assert names(sim) == []
    changes.release("g", agent="writer")
    assert names(sim) == ["w"]


def test_what_runs_finishes_and_a_node_can_be_held_before_it_is_ready(sim: Sim, changes: Changes) -> None:
    sim.submit(["a", "b"], [("a", "b")])
    lease = sim.take("a")
    changes.hold("g", "a")
    changes.hold("g", "b")
    sim.done(lease)
    assert names(sim) == []
    changes.release("g", "b")
    assert names(sim) == ["b"]


def test_the_head_of_a_lane_that_is_held_blocks_it(sim: Sim, changes: Changes) -> None:
    sim.submit([{"id": "x", "lane": "l"}, {"id": "y", "lane": "l"}, {"id": "z", "lane": "l"}])
    changes.hold("g", "x")
    assert names(sim) == []
    changes.drop("g", "y")  # leaves the line; its head is still aside
    assert names(sim) == []
    changes.release("g", "x")
    sim.done("x")
    assert names(sim) == ["z"]


def test_a_held_follower_is_not_run_ahead(sim: Sim, changes: Changes) -> None:
    sim.submit(["a", "b", "c"], [("a", "b"), ("b", "c")])
    changes.hold("g", "b")
    step = sim.commit(most=1, look_ahead=8)
    assert [(one.lease.node, list(one.followers)) for one in step.claims] == [("a", [])]


def test_a_follower_that_is_held_meanwhile_is_not_taken(sim: Sim, changes: Changes) -> None:
    sim.submit(["a", "b"], [("a", "b")])
    claimed = sim.commit(most=1, look_ahead=8).claims[0]
    follower = claimed.followers[0].lease
    changes.hold("g", "b")
    results = [Result(claimed.lease, Outcome.DONE), Result(follower, Outcome.DONE, ahead=True)]
    step = sim.commit(*results, version=claimed.version)
    assert list(step.verdicts) == [Verdict.ACCEPTED, Verdict.UNCLAIMED]
    assert (sim.states()["b"], names(sim)) == ("READY", [])


def test_a_message_for_a_held_node_claims_nothing(sim: Sim, changes: Changes) -> None:
    sim.submit([{"id": "t", "kind": "task", "call": "theirs"}])
    sim.park(sim.take("t"), "task", then="retry")
    changes.hold("g", "t")
    assert sim.begin("t")[0] == "HELD"
    sim.reap()
    assert (names(sim), sim.store.changes.aside("g")) == ([], ["t"])
    changes.release("g", "t")
    assert names(sim) == ["t"]


def test_a_hold_of_a_queue_leaves_the_nodes_where_they_are(sim: Sim) -> None:
    sim.submit(["a", {"id": "b", "queue": "gpu"}])
    sim.slots = QUEUE
    sim.done("a")
    assert names(sim, queue="gpu") == []
    assert sim.store.changes.aside("g") == []
    sim.tick(60_000)
    assert [one.queue for one in sim.reap().invitations] == []
    sim.slots = '{"*":4}'
    sim.tick(60_000)
    assert [one.queue for one in sim.reap().invitations if one.queue == "gpu"] == ["gpu"]
    assert names(sim, queue="gpu") == ["b"]


def test_a_stop_of_the_fleet_lets_what_runs_finish(sim: Sim) -> None:
    sim.submit(["a", "b", {"id": "t", "kind": "task", "call": "theirs"}], [("a", "b")])
    lease = sim.take("a")
    sim.park(sim.take("t"), "task", then="retry")
    sim.slots = EVERYTHING
    assert sim.commit(Result(lease, Outcome.DONE), most=4).claims == []
    begun = sim.store.nodes.begin("g", "t", 1, worker="w", nonce="n", lease_ms=3000, slots=sim.slots, now_ms=sim.now)
    assert begun[0] == "HELD"
    assert names(sim) == []


def test_an_agent_held_in_the_fleet_is_set_aside_and_beat_brings_it_back(sim: Sim) -> None:
    sim.submit([agent("w"), "plain"])
    sim.slots = WRITERS
    assert names(sim) == ["plain"]
    assert sim.store.changes.aside("g") == ["w"]
    assert list(sim.reap().invitations) == []
    sim.slots = '{"*":4}'
    sim.reap()
    assert sim.store.changes.aside("g") == []
    assert names(sim) == ["w"]


@pytest.mark.parametrize(("held", "claimed"), [("me/writer", []), ("you/writer", ["w"]), ("*/other", ["w"])])
def test_an_agent_is_held_for_one_owner(sim: Sim, held: str, claimed: list[str]) -> None:
    sim.submit([agent("w")])
    sim.slots = json.dumps({"*": 4, "*held": {"queues": {}, "agents": {held: 1}}})
    assert names(sim) == claimed


def test_a_users_task_of_a_held_queue_is_not_sent(sim: Sim) -> None:
    sim.submit([{"id": "t", "kind": "task", "call": "theirs", "queue": "gpu"}])
    sim.slots = QUEUE
    assert (names(sim), sim.store.changes.aside("g")) == ([], ["t"])


def test_bring_back_invites_at_once(crew: Crew, changes: Changes) -> None:
    crew.submit([agent("w"), {"id": "b", "queue": "gpu"}])
    crew.store.fleet.publish_slots({"*": 4})
    crew.mail.invitations.clear()
    both = json.dumps({"*": 4, "*held": {"queues": {"gpu": 1}, "agents": {"*/writer": 1}}})
    for queue in ("default", "gpu"):
        step = crew.store.nodes.claim("g", queue, worker="w", nonce="n", lease_ms=100, most=4, slots=both)
        assert step.claims == []
    crew.store.client.delete(crew.store.keys.part("g", "dispatch"))
    crew.store.client.hset(crew.store.keys.part("g", "dispatch"), mapping={"out:default": 0, "out:gpu": 0})
    changes.bring_back(["g"])
    assert sorted((one.queue, one.node) for one in crew.mail.invitations) == [("default", "w"), ("gpu", "b")]


def test_many_that_are_aside_come_back_in_slices(sim: Sim, changes: Changes) -> None:
    sim.submit(
        [*(agent(f"w{index}") for index in range(1200)), *(agent(f"r{index}", "reader") for index in range(1200))]
    )
    changes.hold("g", agent="writer")
    changes.hold("g", agent="reader")
    while sim.store.client.zcard(sim.store.keys.part("g", "ready:default")):
        assert names(sim) == []
    changes.release("g", agent="reader")
    assert sorted(sim.store.changes.aside("g")) == sorted(f"w{index}" for index in range(1200))
    assert sim.store.client.zcard(sim.store.keys.part("g", "ready:default")) == 1200


def test_what_has_ended_is_not_held(sim: Sim, changes: Changes) -> None:
    sim.submit(["a", "b"])
    sim.done("a")
    with pytest.raises(IllegalTransition, match="is DONE; nobody claims it"):
        changes.hold("g", "a")


def test_a_cancel_takes_holds_along(sim: Sim, changes: Changes) -> None:
    sim.submit(["a"])
    changes.hold("g", "a")
    assert names(sim) == []
    assert sim.cancel() == "cancelled"
    assert list(sim.store.client.scan_iter("*:held")) + list(sim.store.client.scan_iter("*:aside")) == []
