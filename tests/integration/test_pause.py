"""pause and resume: nothing new is claimed, what runs finishes."""

from __future__ import annotations

import json

import pytest

from support.sim import Sim


def test_a_paused_goal_hands_nothing_out_until_it_is_resumed(sim: Sim) -> None:
    sim.submit(["a", "b", {"id": "c", "queue": "gpu"}])
    assert sim.pause("lunch") == "paused"
    assert (sim.state, sim.record()["reason"]) == ("PAUSED", "lunch")
    assert sim.claim(most=5) == []
    sim.tick(60_000)
    assert list(sim.reap().invitations) == []
    outcome, _ = sim.resume("back")
    assert outcome == "resumed"
    assert len(sim.claim(most=5)) == 2
    assert [json.loads(event["data"])["reason"] for event in (*sim.events("goal.paused"), *sim.events("goal.resumed"))] == [
        "lunch", "back",
    ]  # fmt: skip


def test_a_resume_invites_workers_for_what_became_ready_meanwhile(sim: Sim) -> None:
    sim.submit(["a", *(f"n{index}" for index in range(3))], [("a", f"n{index}") for index in range(3)])
    lease = sim.step(hint="a", sent_ms=sim.now).claims[0].lease
    sim.pause()
    sim.done(lease)
    _, invitations = sim.resume()
    assert sorted(one.node for one in invitations) == ["n0", "n1", "n2"]


def test_a_running_node_finishes_and_may_end_the_goal(sim: Sim) -> None:
    sim.submit(["a"])
    lease = sim.take("a")
    sim.pause()
    assert sim.renew(lease) == []
    sim.done(lease)
    assert sim.state == "DONE"


def test_a_node_that_fails_while_paused_fails_the_goal(sim: Sim) -> None:
    sim.submit(["a"])
    lease = sim.take("a")
    sim.pause()
    sim.fail(lease)
    assert sim.state == "FAILED"


def test_it_acts_once(sim: Sim) -> None:
    sim.submit(["a"])
    assert sim.resume()[0] == "unchanged"
    assert sim.pause() == "paused"
    before = sim.dump()
    assert sim.pause("again") == "unchanged"
    assert sim.dump() == before


@pytest.mark.parametrize("end", ["DONE", "FAILED", "CANCELLED"])
def test_a_goal_that_has_ended_is_neither_paused_nor_resumed(sim: Sim, end: str) -> None:
    sim.submit(["a"])
    sim.finish(end)
    before = sim.dump()
    assert sim.pause() == end
    assert sim.resume()[0] == end
    assert sim.dump() == before


def test_a_goal_that_awaits_approval_is_not_started_by_a_resume(sim: Sim) -> None:
    sim.submit(["a"], state="AWAITING_APPROVAL")
    assert sim.resume()[0] == "AWAITING_APPROVAL"
    assert sim.pause() == "AWAITING_APPROVAL"
    assert sim.claim() == []


def test_a_goal_that_is_gone_or_being_cancelled(sim: Sim) -> None:
    assert sim.pause() == "gone"
    assert sim.resume()[0] == "gone"
    assert list(sim.store.client.scan_iter("*")) == []
    sim.submit([f"n{index}" for index in range(2500)])
    assert sim.cancel() == "more"
    assert sim.pause() == "CANCELLING"
    assert sim.resume()[0] == "CANCELLING"
    while sim.cancel(begin=False) == "more":
        pass
