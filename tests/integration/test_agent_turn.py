"""The record of an agent's step: written whole with the end of its lease or not at all, its tools as nodes, its messages once."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orchestrator.engine.ends import Turn
from orchestrator.store.agents import MOST_STEERING
from orchestrator.store.records import NodeRow, Outcome, Result, Verdict
from support.sim import LEASE_MS, Sim

AGENT = {"id": "a", "kind": "agent", "agent": "writer"}


def row(name: str, queue: str = "") -> NodeRow:
    return NodeRow(name, '{"kind":"tool","call":"look"}', "", "a:i", 0, None, 0, queue, "", None)


def parked(reason: str = "tools", **note: Any) -> str:
    return json.dumps({"reason": reason, "then": "ready", **note})


def told(text: str) -> str:
    return json.dumps({"kind": "told", "why": "fault", "text": text})


def said(sim: Sim) -> list[str]:
    return [json.loads(entry)["text"] for entry in sim.store.agents.said("g", "a", "writer").entries]


def test_a_turn_is_written_with_the_end_of_its_lease_and_its_tools_are_nodes(sim: Sim) -> None:
    sim.submit([AGENT, "after"], [("a", "after")])
    turn = Turn(
        (told("one"), told("two")),
        0,
        None,
        ("k1", '{"agent":"writer"}'),
        (("writer", "{}"),),
        (row("a.t1.0"), row("a.t1.1", "gpu")),
    )
    step = sim.commit(Result(sim.take("a"), Outcome.PARK, parked(resume="llm:[]"), "", turn=turn.as_json()))
    assert step.verdicts == [Verdict.ACCEPTED]
    assert [one.node for one in step.invitations] == ["a.t1.1"], "one for the default queue is out already"
    assert said(sim) == ["one", "two"]
    assert sim.store.agents.kit("g", "k1") == '{"agent":"writer"}'
    assert sim.store.agents.cards("g") == {"writer": "{}"}
    assert sim.states() == {"a": "WAITING", "after": "BLOCKED", "a.t1.0": "READY", "a.t1.1": "READY"}
    sim.done("a.t1.0")
    assert sim.states()["a"] == "WAITING"
    sim.fail("a.t1.1")
    assert sim.states()["a"] == "READY", "however the last one ended"
    (claimed,) = sim.claim(hint="a")
    assert claimed.resume == "llm:[]", "its place in the line is not begun anew"
    assert sim.end(claimed.lease, "done", '"ok"') is Verdict.ACCEPTED
    sim.done("after")
    assert sim.state == "DONE", "the failed call was the agent's to deal with"


@pytest.mark.parametrize("end", ["done", "failed", "lost", "dropped"])
def test_a_call_that_ended_before_its_agent_parked_is_seen(sim: Sim, end: str) -> None:
    sim.submit([AGENT])
    held = sim.take("a")
    first = Turn((told("one"),), tools=(row("a.t1.0"),))
    # The agent is handed back right after its turn; its call ends before it parks again.
    sim.commit(Result(held, Outcome.PARK, parked(), 0, turn=first.as_json()))
    sim.reap()
    again = sim.take("a")
    if end == "done":
        sim.done("a.t1.0")
    elif end == "failed":
        sim.fail("a.t1.0")
    elif end == "lost":
        sim.take("a.t1.0")
        sim.tick(LEASE_MS)
        sim.renew(again)
        sim.reap(lost_limit=1)
    else:
        sim.store.goals.patch(
            "g", 1, '{"reason":"","drop":["a.t1.0"],"edges":{},"targets":[]}', [], slots="{}", now_ms=sim.now
        )
    assert sim.end(again, "park", parked()) is Verdict.ACCEPTED
    assert sim.states()["a"] == "READY"


def test_a_late_turn_writes_nothing(sim: Sim) -> None:
    sim.submit([AGENT])
    stale = sim.take("a", worker="slow")
    sim.tick(LEASE_MS)
    sim.reap()
    fresh = sim.take("a")
    turn = Turn((told("stale"),), 0, None, tools=(row("a.t1.0"),)).as_json()
    before = sim.dump()
    assert sim.commit(Result(stale, Outcome.PARK, parked(), "", turn=turn)).verdicts == [Verdict.FENCED]
    after = sim.dump()
    assert {key for key in after if after[key] != before.get(key)} == {"dag:{g}:events"}, (
        "the refusal is all that is written"
    )
    assert sim.commit(Result(fresh, Outcome.DONE, "1", turn=Turn((told("fresh"),)).as_json())).verdicts == [
        Verdict.ACCEPTED
    ]
    assert said(sim) == ["fresh"]
    assert sim.commit(Result(fresh, Outcome.DONE, "1", turn=Turn((told("fresh"),)).as_json())).verdicts == [
        Verdict.REPEATED
    ]
    assert said(sim) == ["fresh"], "an answer that was lost changes nothing the second time"


def test_a_cancelled_goal_takes_no_turn(sim: Sim) -> None:
    sim.submit([AGENT])
    held = sim.take("a")
    assert sim.cancel() == "cancelled"
    turn = Turn((told("late"),), tools=(row("a.t1.0"),)).as_json()
    assert sim.commit(Result(held, Outcome.PARK, parked(), "", turn=turn)).verdicts != [Verdict.ACCEPTED]
    assert said(sim) == []
    assert set(sim.states()) == {"a"}


def test_a_kit_is_fixed_with_the_first_step(sim: Sim) -> None:
    sim.submit([AGENT])
    for digest in ("first", "second"):
        turn = Turn(kit=(digest, "{}"))
        sim.commit(Result(sim.take("a"), Outcome.PARK, parked("timer"), 0, turn=turn.as_json()))
        sim.reap()
    assert sim.store.agents.said("g", "a", "writer").kit == "first"
    assert sim.store.agents.kit("g", "second") is None


def steer(sim: Sim, *messages: tuple[str, str], node: str = "a") -> str:
    return sim.store.agents.steer("g", node, messages, now_ms=sim.now)


def test_messages_keep_their_order_and_leave_with_the_turn_that_took_them_in(sim: Sim) -> None:
    sim.submit([AGENT, "plain"])
    assert steer(sim, ("1", "one"), ("2", "two")) == "steered"
    held = sim.take("a")
    assert steer(sim, ("2", "two"), ("3", "three")) == "steered", "a message that came before is not said twice"
    assert steer(sim, ("3", "three")) == "known"
    assert list(sim.store.agents.said("g", "a", "writer").steering) == ["one", "two", "three"]
    sim.commit(Result(held, Outcome.RETRY, '{"reason":"x","error":"y"}', 0))
    assert list(sim.store.agents.said("g", "a", "writer").steering) == ["one", "two", "three"], "no turn was taken"
    sim.reap()
    turn = Turn((told("x"),), steered=2)
    sim.commit(Result(sim.take("a"), Outcome.PARK, parked("timer"), 0, turn=turn.as_json()))
    assert list(sim.store.agents.said("g", "a", "writer").steering) == ["three"]
    assert steer(sim, ("4", "four"), node="plain") == "other"
    assert steer(sim, ("4", "four"), node="nobody") == "missing"
    assert sim.store.agents.steer("nowhere", "a", [("1", "x")]) == "gone"
    sim.reap()
    sim.done("a")
    assert steer(sim, ("5", "five")) == "DONE"
    sim.done("plain")
    assert steer(sim, ("5", "five")) == "DONE"


def test_a_message_that_is_sent_again_is_known_whatever_became_of_its_node(sim: Sim) -> None:
    sim.submit([AGENT, {"id": "b", "kind": "agent", "agent": "writer"}])
    rest = [(str(at), "x") for at in range(3, MOST_STEERING + 1)]
    assert steer(sim, ("1", "one"), ("2", "two"), *rest) == "steered"
    assert steer(sim, ("1", "one"), ("2", "two")) == "known", "the list is full, and they are in it"
    assert steer(sim, ("1", "one"), ("new", "x")) == "full"
    assert len(sim.store.agents.said("g", "a", "writer").steering) == MOST_STEERING
    assert steer(sim, ("1", "one"), node="b") == "steered"
    sim.commit(Result(sim.take("a"), Outcome.DONE, "1", turn=Turn((told("x"),), steered=MOST_STEERING).as_json()))
    assert steer(sim, ("1", "one")) == "known"
    assert steer(sim, ("1", "one"), ("new", "x")) == "DONE"
    assert sim.cancel() == "cancelled"
    assert steer(sim, ("1", "one"), node="b") == "known"
    assert steer(sim, ("new", "x"), node="b") == "CANCELLED"


def test_a_message_named_twice_at_once_is_said_once(sim: Sim) -> None:
    sim.submit([AGENT])
    assert steer(sim, ("1", "one"), ("1", "one")) == "steered"
    assert list(sim.store.agents.said("g", "a", "writer").steering) == ["one"]


def test_an_agent_does_not_end_before_it_has_read_its_messages(sim: Sim) -> None:
    sim.submit([AGENT])
    held = sim.take("a")
    assert steer(sim, ("1", "late")) == "steered"
    last = Turn((told("final"),), again="llm:[2]").as_json()
    assert sim.commit(Result(held, Outcome.DONE, '"early"', turn=last)).verdicts == [Verdict.WAITS]
    assert said(sim) == ["final"]
    (claimed,) = sim.claim(hint="a")
    assert claimed.resume == "llm:[2]"
    assert claimed.lease.attempt == 1
    turn = Turn((told("read"),), steered=1, again="llm:[3]").as_json()
    assert sim.commit(Result(claimed.lease, Outcome.DONE, '"whole"', turn=turn)).verdicts == [Verdict.ACCEPTED]
    assert sim.outputs() == {"a": '"whole"'}
    assert sim.state == "DONE"


def test_what_an_agent_said_goes_with_its_goal(sim: Sim) -> None:
    sim.submit([AGENT])
    steer(sim, ("1", "one"), ("2", "two"))
    turn = Turn((told("x"),), 1, None, ("k", "{}"), (("writer", "{}"),), (row("a.t1.0"),))
    sim.commit(Result(sim.take("a"), Outcome.PARK, parked(), "", turn=turn.as_json()))
    assert sim.cancel() == "cancelled"
    assert sim.store.goals.remove("g", now_ms=sim.now) == "removed"
    assert not list(sim.store.client.scan_iter("*{g}*"))


def test_cards_are_stored_before_their_goal_is_seen_and_declared_anew_with_an_event(sim: Sim) -> None:
    assert sim.store.agents.put_cards("g", {"writer": "{}"}) == "gone"
    assert not list(sim.store.client.scan_iter("*"))
    sim.submit([AGENT])
    assert (
        sim.store.agents.put_cards("g", {"writer": '{"name":"writer"}'}, '{"changed":{}}', now_ms=sim.now) == "stored"
    )
    assert sim.store.agents.said("g", "a", "writer").card == '{"name":"writer"}'
    assert [event["type"] for event in sim.events()][-1] == "goal.reparsed"
    sim.done("a")
    assert sim.store.agents.put_cards("g", {"writer": "{}"}, '{"changed":{}}', now_ms=sim.now) == "DONE"
    assert sim.store.agents.said("g", "a", "writer").card == '{"name":"writer"}'


def test_memory_keeps_the_newest_of_an_owner(sim: Sim) -> None:
    for index in range(5):
        sim.store.agents.remember("me", "writer", f"entry {index}", keep=3)
    sim.store.agents.remember("me", "writer", "entry 4", keep=3)
    sim.store.agents.remember("you", "writer", "another's", keep=3)
    assert sim.store.agents.memory("me", "writer", 10) == ["entry 2", "entry 3", "entry 4"]
    assert sim.store.agents.memory("me", "writer", 1) == ["entry 4"]
    assert sim.store.agents.forget_memory("me", "writer") == 3
    assert sim.store.agents.memory("me", "writer", 10) == []
    assert sim.store.agents.memory("you", "writer", 10) == ["another's"]
