"""wake: a parked node goes on for exactly the cause it waits for, once."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orchestrator.domain.errors import IllegalTransition, NodeNotFound
from support.crew import Crew
from support.sim import Sim, failure


def parked(sim: Sim, reason: str) -> None:
    sim.submit(["a", "b", "after"], [("a", "after")])
    sim.park(sim.take("a"), reason)


@pytest.mark.parametrize(
    ("outcome", "body", "state"),
    [
        ("done", '{"ok":true}', "DONE"),
        ("failed", failure("no"), "FAILED"),
        ("ready", "r", "READY"),
        ("retry", "", "READY"),
    ],
)
def test_outcomes(sim: Sim, outcome: str, body: str, state: str) -> None:
    parked(sim, "approval")
    assert sim.wake("a", "approval", outcome, body) == "woken"
    assert sim.states()["a"] == state
    assert json.loads(sim.events("node.woken")[0]["data"]) == {"by": "approval"}
    if outcome == "done":
        assert sim.outputs() == {"a": '{"ok":true}'}
        assert sim.states()["after"] == "READY"
    elif outcome == "failed":
        assert sim.store.goals.part("g", "dead") == {"a": body}
        assert sim.states()["after"] == "SKIPPED"
    else:
        (claimed,) = sim.claim(hint="a")
        assert (claimed.resume, claimed.lease.attempt) == (("r", 1) if outcome == "ready" else ("", 2))


@pytest.mark.parametrize("cause", ["approva", "approval2", "signal:approval", "signal:s", "child:g", "", "task"])
def test_another_cause_does_not_wake(sim: Sim, cause: str) -> None:
    parked(sim, "approval")
    before = sim.dump()
    assert sim.wake("a", cause, "done") == "stale"
    assert sim.dump() == before


@pytest.mark.parametrize("node", ["b", "after", "ghost"])
def test_a_node_that_does_not_wait_is_not_woken(sim: Sim, node: str) -> None:
    parked(sim, "approval")
    before = sim.dump()
    assert sim.wake(node, "approval", "done") == "stale"
    assert sim.dump() == before


def test_it_acts_once(sim: Sim) -> None:
    parked(sim, "approval")
    assert sim.wake("a", "approval", "done", "1") == "woken"
    before = sim.dump()
    assert sim.wake("a", "approval", "done", "2") == "stale"
    assert sim.dump() == before


def test_everyone_who_waits_for_the_cause_is_woken_and_nobody_else(sim: Sim) -> None:
    sim.submit(["a", "b", "c"])
    for node, reason in (("a", "signal:s"), ("b", "signal:s"), ("c", "signal:other")):
        sim.park(sim.take(node), reason)
    assert sim.wake("", "signal:s", "done", "1", keep=True) == "woken"
    assert sim.states() == {"a": "DONE", "b": "DONE", "c": "WAITING"}


def test_a_signal_that_comes_first_is_kept_for_those_who_wait_later(sim: Sim) -> None:
    sim.submit(["a", "b"], [("a", "b")])
    assert sim.wake("", "signal:s", "done", '"first"', keep=True) == "kept"
    assert sim.wake("", "signal:s", "done", '"second"', keep=True) == "kept"
    for node in ("a", "b"):
        sim.park(sim.take(node), "signal:s")
    assert sim.outputs() == {"a": '"first"', "b": '"first"'}
    assert sim.state == "DONE"
    assert len(sim.events("goal.signalled")) == 1


def test_a_sub_goal_that_is_not_kept_wakes_nobody_later(sim: Sim) -> None:
    sim.submit(["a"])
    assert sim.wake("a", "child:c", "ready") == "stale"
    sim.park(sim.take("a"), "child:c")
    assert sim.states() == {"a": "WAITING"}


def test_a_paused_goal_hears_signals_and_answers(sim: Sim) -> None:
    parked(sim, "approval")
    sim.pause()
    assert sim.wake("a", "approval", "done") == "woken"
    assert sim.states()["after"] == "READY"
    assert sim.claim() == []


@pytest.mark.parametrize("end", ["DONE", "FAILED", "CANCELLED"])
def test_a_goal_that_has_ended_hears_nothing(sim: Sim, end: str) -> None:
    sim.submit(["a"])
    sim.finish(end)
    before = sim.dump()
    assert sim.wake("", "signal:s", "done", "1", keep=True) == "ended"
    assert sim.dump() == before
    assert Sim(sim.store, "ghost").wake("", "signal:s", "done", keep=True) == "gone"


# -- conditions on answers --------------------------------------------------------------------------------------------


def deciding(kind: str, **fields: Any) -> list[dict[str, Any]]:
    return [{"id": "ask", "kind": kind, **fields}, {"id": "yes"}, {"id": "no"}, {"id": "plain"}]


def edges(yes: str, no: str) -> list[Any]:
    return [
        {"source": "ask", "target": "yes", "when": yes},
        {"source": "ask", "target": "no", "when": no},
        ("ask", "plain"),
    ]


@pytest.mark.parametrize(
    ("level", "state"), [(5, {"yes": "DONE", "no": "SKIPPED"}), (1, {"yes": "SKIPPED", "no": "DONE"})]
)
@pytest.mark.parametrize("first", ["signal", "wait"])
def test_conditions_are_tested_on_what_a_signal_brings(
    crew: Crew, level: int, state: dict[str, str], first: str
) -> None:
    """The edges of a node that was woken with its output once all fired, whatever their `when` said."""
    crew.submit(deciding("wait", inputs={"signal": "s"}), edges("level > 3", "level <= 3"))
    if first == "wait":
        crew.work()
    crew.control.signal("g", "s", {"level": level})
    crew.work()
    assert crew.states() == {"ask": "DONE", "plain": "DONE", **state}
    assert crew.output("ask") == {"level": level}
    assert crew.state() == "DONE"


def test_conditions_are_tested_on_an_approval(crew: Crew) -> None:
    crew.submit(deciding("approval"), edges("approved", 'comment == "later"'))
    crew.work()
    assert crew.control.approve("g", "ask", "now") == "approved"
    crew.work()
    assert crew.states() == {"ask": "DONE", "yes": "DONE", "no": "SKIPPED", "plain": "DONE"}
    assert crew.output("ask") == {"approved": True, "comment": "now"}


def test_conditions_are_tested_on_a_timer(crew: Crew) -> None:
    crew.submit(deciding("wait", inputs={"seconds": 0}), edges("waited_seconds == 0", "waited_seconds > 0"))
    crew.work()
    crew.store.goals.hasten(["g"])
    crew.duties.reap()
    crew.work()
    assert crew.states() == {"ask": "DONE", "yes": "DONE", "no": "SKIPPED", "plain": "DONE"}


def test_an_empty_payload_is_tested_like_any_other(crew: Crew) -> None:
    crew.submit(deciding("wait", inputs={"signal": "s"}), edges("== null", "!= null"))
    crew.work()
    crew.control.signal("g", "s")
    crew.work()
    assert crew.states() == {"ask": "DONE", "yes": "DONE", "no": "SKIPPED", "plain": "DONE"}


# -- doors --------------------------------------------------------------------------------------------------------------


def test_an_answer_needs_a_question(crew: Crew) -> None:
    crew.submit([{"id": "ask", "kind": "approval"}, "b"], [("ask", "b")])
    with pytest.raises(NodeNotFound):
        crew.control.approve("g", "ghost")
    with pytest.raises(IllegalTransition, match="is READY and waits for no approval"):
        crew.control.approve("g", "ask")
    crew.work()
    with pytest.raises(IllegalTransition, match="is BLOCKED and waits for no approval"):
        crew.control.reject("g", "b")
    assert crew.control.reject("g", "ask", "not now") == "rejected"
    assert crew.states() == {"ask": "FAILED", "b": "SKIPPED"}
    with pytest.raises(IllegalTransition, match="is FAILED"):
        crew.control.approve("g", "ask")
    with pytest.raises(IllegalTransition, match="has ended"):
        crew.control.signal("g", "s")


def test_a_sub_goal_wakes_its_parent(crew: Crew) -> None:
    inner = {"nodes": [{"id": "x", "title": "inner"}]}
    crew.submit([{"id": "sub", "kind": "goal", "goal": inner}, "after"], [("sub", "after")])
    crew.work()
    assert crew.state() == "DONE"
    assert crew.output("sub") == {"goal_id": "g.sub", "outputs": {"x": {"title": "inner"}}}
    assert "notify" not in crew.store.goals.record("g.sub")


def test_a_sub_goal_is_its_parents_owners(crew: Crew) -> None:
    """Else commands, holds, budgets and shares of the owner would not reach it, and those of `default` would."""
    other = {"owner": "other", "nodes": [{"id": "x"}]}
    nodes = [
        {"id": "sub", "kind": "goal", "goal": {"nodes": [{"id": "x"}]}},
        {"id": "named", "kind": "goal", "goal": other},
    ]
    crew.submit(nodes, owner="acme")
    crew.work()
    assert [crew.store.goals.record(name)["owner"] for name in ("g.sub", "g.named")] == ["acme", "other"]
