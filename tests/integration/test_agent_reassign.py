"""Nodes of agents whose queue nobody serves: soft ones go to somebody who is there, hard ones say so once."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orchestrator.agents.plan.reassign import Reassigner
from orchestrator.domain.agent import AgentCard
from orchestrator.engine.dispatch import Slots
from orchestrator.store.records import Reassigned
from support.crew import Crew
from support.sim import SLOTS, Sim

TEAM = (
    AgentCard(name="ada", role="research", queue="q1"), AgentCard(name="eve", role="writer", queue="q2"),
    AgentCard(name="quinn", role="qa", queue="q3"),
)  # fmt: skip


def agent(name: str, who: str, queue: str, **fields: Any) -> dict[str, Any]:
    return {"id": name, "kind": "agent", "agent": who, "queue": queue, "inputs": {"task": "x"}} | fields


def submit(crew: Crew, nodes: list[Any], edges: Any = ()) -> None:
    crew.submit(nodes, edges, agents=[card.model_dump(mode="json", exclude_defaults=True) for card in TEAM])


@pytest.fixture
def duty(crew: Crew) -> Reassigner:
    return Reassigner(crew.store, crew.mail, Slots(crew.store))


def in_vain(sim: Sim) -> None:
    """Invitations went out, and nobody came."""
    sim.tick(600_000)
    sim.reap()


def spec(sim: Sim, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(sim.store.goals.spec("g", name))
    return found


def test_a_soft_node_goes_to_its_fallback_with_an_event_that_says_why(crew: Crew, duty: Reassigner) -> None:
    sim = Sim(crew.store)
    submit(crew, [agent("a", "ada", "q1", metadata={"fallback_roles": "writer"}), agent("b", "eve", "q2")])
    in_vain(sim)
    crew.mail.invitations.clear()
    assert duty.look({"q2", "default"}) == "1 nodes reassigned, 0 stuck"
    assert (spec(sim, "a")["agent"], spec(sim, "a")["queue"]) == ("eve", "q2")
    assert spec(sim, "a")["inputs"] == {"task": "x"}
    (event,) = sim.events("node.reassigned")
    data = json.loads(event["data"])
    assert (data["agent"], data["queue"], data["before"]) == ("eve", "q2", "ada")
    assert "no worker serves the queue 'q1'" in data["reason"]
    assert sim.take("a", queue="q2").attempt == 1
    assert duty.look({"q2", "default"}) == "0 nodes reassigned, 0 stuck"


def test_invitations_go_to_the_new_queue(crew: Crew, duty: Reassigner) -> None:
    sim = Sim(crew.store)
    submit(crew, [agent("a", "ada", "q1")])
    in_vain(sim)
    crew.mail.invitations.clear()
    duty.look({"q2"})
    assert [(one.queue, one.node) for one in crew.mail.invitations] == [("q2", "a")]


def test_a_hard_node_stays_and_says_so_once(crew: Crew, duty: Reassigner) -> None:
    sim = Sim(crew.store)
    submit(crew, [agent("a", "ada", "q1", metadata={"role_assignment": "hard"})])
    in_vain(sim)
    assert duty.look({"q2"}) == "0 nodes reassigned, 1 stuck"
    assert duty.look({"q2"}) == "0 nodes reassigned, 0 stuck"
    (event,) = sim.events("node.stuck")
    assert "its role 'research' is hard" in json.loads(event["data"])["reason"]
    assert spec(sim, "a")["agent"] == "ada"
    assert sim.take("a", queue="q1").attempt == 1, "its worker came back"


def test_nothing_moves_while_the_queue_is_served_or_nobody_was_invited_in_vain(crew: Crew, duty: Reassigner) -> None:
    sim = Sim(crew.store)
    submit(crew, [agent("a", "ada", "q1")])
    assert duty.look({"q2"}) == "0 nodes reassigned, 0 stuck", "a worker that restarts has time to come back"
    in_vain(sim)
    assert duty.look({"q1", "q2"}) == "0 nodes reassigned, 0 stuck"
    assert duty.look(()) == "no workers, nothing reassigned"


def test_a_node_that_has_begun_keeps_its_agent(crew: Crew, duty: Reassigner) -> None:
    sim = Sim(crew.store)
    submit(crew, [agent("a", "ada", "q1")])
    sim.end(sim.take("a", queue="q1"), "release")
    sim.tick(60_000)
    lease = sim.take("a", queue="q1")
    sim.tick(60_000)
    assert sim.reap().lost == ["a"]
    in_vain(sim)
    assert sim.states()["a"] == "READY"
    assert lease.attempt >= 1
    assert duty.look({"q2"}) == "0 nodes reassigned, 0 stuck"
    assert spec(sim, "a")["agent"] == "ada", "its tools were fixed when it began"


def test_only_nodes_of_agents_move(crew: Crew, duty: Reassigner) -> None:
    sim = Sim(crew.store)
    submit(crew, [{"id": "plain", "queue": "q1"}])
    in_vain(sim)
    assert duty.look({"q2"}) == "0 nodes reassigned, 0 stuck"


def test_blocked_nodes_and_those_behind_in_a_lane_move_without_being_claimable(crew: Crew) -> None:
    sim = Sim(crew.store)
    submit(
        crew,
        [
            "first",
            agent("blocked", "ada", "q1"),
            agent("head", "ada", "q1", lane="l"),
            agent("next", "ada", "q1", lane="l"),
        ],
        [("first", "blocked")],
    )
    moves = [
        Reassigned(name, "q1", "q2", json.dumps(spec(sim, name) | {"agent": "eve"}), "{}")
        for name in ("blocked", "next")
    ]
    assert crew.store.nodes.reassign("g", moves, slots=SLOTS, now_ms=sim.now)[0] == ["moved", "moved"]
    assert sim.claim(queue="q2") == []
    assert crew.store.nodes.reassign("g", moves, slots=SLOTS, now_ms=sim.now)[0] == ["changed", "changed"]
    sim.done(sim.take("head", queue="q1"), "first")
    assert sorted(claimed.lease.node for claimed in sim.claim(queue="q2", most=9)) == ["blocked", "next"]


def test_what_is_claimed_ended_or_gone_is_left_alone(crew: Crew) -> None:
    sim = Sim(crew.store)
    submit(crew, [agent("a", "ada", "q1"), agent("b", "ada", "q1")])
    sim.take("a", queue="q1")
    moves = [Reassigned(name, "q1", "q2", "{}", "{}") for name in ("a", "ghost")]
    assert crew.store.nodes.reassign("g", moves, slots=SLOTS)[0] == ["changed", "changed"]
    assert crew.store.nodes.reassign("ghost", moves[:1], slots=SLOTS)[0] == ["ended"]
    crew.control.cancel("g")
    assert crew.store.nodes.reassign("g", [Reassigned("b", "q1", "q2", "{}", "{}")], slots=SLOTS)[0] == ["ended"]
    assert spec(sim, "b")["agent"] == "ada"
