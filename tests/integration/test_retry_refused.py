"""retry: what cannot be set running again, and what a retry leaves behind."""

from __future__ import annotations

import pytest

from orchestrator.domain.errors import GoalNotFound, IllegalTransition, NodeNotFound
from support.crew import Crew
from support.sim import Sim, failure


@pytest.mark.parametrize("end", ["DONE", "CANCELLED", "RUNNING", "PAUSED"])
def test_only_a_failed_goal_is_retried(sim: Sim, end: str) -> None:
    sim.submit(["a"])
    if end == "PAUSED":
        sim.pause()
    elif end != "RUNNING":
        sim.finish(end)
    before = sim.dump()
    assert sim.reopen(("a", "DONE", 0, 0, "")) == end
    assert sim.dump() == before


def test_doors_say_why_not(crew: Crew) -> None:
    with pytest.raises(GoalNotFound):
        crew.reopener.retry("ghost")
    crew.submit(["a", {"id": "b", "call": "absent"}])
    crew.work()
    with pytest.raises(NodeNotFound):
        crew.reopener.retry("g", "ghost")
    with pytest.raises(IllegalTransition, match="is DONE; only a FAILED node"):
        crew.reopener.retry("g", "a")
    crew.reopener.retry("g", "b")
    with pytest.raises(IllegalTransition, match="is RUNNING and has no failed node"):
        crew.reopener.retry("g")


def test_a_node_in_another_state_changes_nothing(sim: Sim) -> None:
    sim.submit(["a", "b"])
    sim.fail("a", "b")
    before = sim.dump()
    assert sim.reopen(("a", "FAILED", 0, 0, ""), ("b", "SKIPPED", 1, 1, "")) == "changed"
    assert sim.dump() == before


def test_a_goal_that_its_deadline_cancelled_is_not_retried(sim: Sim, crew: Crew) -> None:
    """It was set running with nothing left to run, for ever; and its ready sets still held nodes that were CANCELLED."""
    sim.submit(["a", "b", "c"], [("a", "b")], deadline_seconds=1)
    sim.fail("c")
    sim.tick(1000)
    assert sim.reap().advice == "cancel"
    assert sim.cancel(begin=False) == "cancelled"
    assert sim.states() == {"a": "CANCELLED", "b": "CANCELLED", "c": "FAILED"}
    before = sim.dump()
    assert sim.reopen(("c", "FAILED", 0, 0, "")) == "CANCELLED"
    with pytest.raises(IllegalTransition, match="by its deadline"):
        crew.reopener.retry("g")
    assert sim.dump() == before


def test_a_retried_goal_has_no_deadline_any_more(sim: Sim) -> None:
    sim.submit(["a"], deadline_seconds=10)
    sim.fail("a")
    sim.tick(20_000)
    assert sim.reopen(("a", "FAILED", 0, 0, "")) == "retried"
    assert sim.reap().advice == "wait"
    sim.done("a")
    assert sim.state == "DONE"
    assert "reason" not in sim.record() or sim.record()["reason"] == ""


def test_a_late_commit_of_the_failed_attempt_says_repeated_and_changes_nothing(sim: Sim) -> None:
    sim.submit(["a"])
    lease = sim.take("a")
    sim.fail(lease)
    sim.reopen(("a", "FAILED", 0, 0, ""))
    before = sim.dump()
    assert sim.end(lease, "failed", failure("boom")).value == "repeated"
    assert sim.dump() == before
