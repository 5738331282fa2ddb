"""cancel: from the first script on nothing is claimed or committed; the rest follows in slices."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.domain.errors import GoalNotFound, IllegalTransition
from orchestrator.domain.lease import Lease
from orchestrator.engine.ends import Done
from orchestrator.store.goals import PIECE
from orchestrator.store.records import Verdict
from orchestrator.store.store import Store
from support.crew import Crew
from support.sim import Sim


def test_every_open_node_is_cancelled_and_ended_ones_stay(sim: Sim) -> None:
    sim.submit(["done", "running", "parked", "ready", "blocked", "failed"], [("ready", "blocked")])
    sim.done("done", output="1")
    sim.fail("failed")
    lease = sim.take("running")
    sim.park(sim.take("parked"), "timer", "done", 10)
    assert sim.cancel("enough") == "cancelled"
    assert sim.states() == {
        "done": "DONE", "running": "CANCELLED", "parked": "CANCELLED", "ready": "CANCELLED", "blocked": "CANCELLED",
        "failed": "FAILED",
    }  # fmt: skip
    assert sim.state == "CANCELLED"
    assert sim.record()["reason"] == "enough"
    assert sim.outputs() == {"done": "1"}
    assert sim.end(lease, "done", "2") is Verdict.FENCED
    assert len(sim.events("node.cancelled")) == 4
    assert json.loads(sim.events("goal.cancelled")[0]["data"]) == {"reason": "enough"}


def test_it_acts_once(sim: Sim) -> None:
    sim.submit(["a"])
    assert sim.cancel("first", begin=False) == "idle", "nobody asked for it"
    assert sim.cancel("first") == "cancelled"
    before = sim.dump()
    assert sim.cancel("second") == "ended"
    assert sim.dump() == before
    assert Sim(sim.store, "ghost").cancel() == "gone"


@pytest.mark.parametrize("end", ["DONE", "FAILED"])
def test_a_goal_that_has_ended_is_not_cancelled(sim: Sim, end: str) -> None:
    sim.submit(["a"])
    sim.done("a") if end == "DONE" else sim.fail("a")
    assert sim.cancel() == "ended"
    assert sim.state == end


@pytest.mark.parametrize("state", ["PAUSED", "AWAITING_APPROVAL"])
def test_a_goal_that_rests_is_cancelled_like_any_other(sim: Sim, state: str) -> None:
    sim.submit(["a"], state="RUNNING" if state == "PAUSED" else state)
    if state == "PAUSED":
        sim.pause()
    assert sim.cancel() == "cancelled"


def test_a_large_goal_is_cancelled_in_slices_and_another_caller_goes_on(sim: Sim) -> None:
    names = [f"n{index}" for index in range(5 * PIECE)]
    sim.submit(names)
    sim.claim(most=16)
    assert sim.cancel("enough") == "more"
    assert sim.record()["cancelling"] == "CANCELLED"
    assert sim.step(most=5).status == "CANCELLING"
    partly = list(sim.states().values()).count("CANCELLED")
    assert 0 < partly < 5 * PIECE
    again = Sim(sim.store, nonces=sim.nonces)
    slices = 1
    while again.cancel("another reason", begin=slices % 2 == 0) == "more":
        slices += 1
    assert slices >= 3
    assert set(sim.states().values()) == {"CANCELLED"}
    assert len(sim.events("goal.cancelling")) == len(sim.events("goal.cancelled")) == 1
    assert len(sim.events("node.cancelled")) == 5 * PIECE
    assert sim.record()["reason"] == "enough"


def test_beat_carries_a_cancellation_on(store: Store, tmp_path: Path) -> None:
    crew = Crew(store, tmp_path)
    crew.submit([f"n{index}" for index in range(3 * PIECE)])
    assert store.goals.cancel("g", "stop") == "more"
    store.goals.hasten(["g"])
    crew.duties.reap()
    assert crew.state() == "CANCELLED"


def test_a_goal_takes_its_sub_goals_with_it(crew: Crew) -> None:
    inner = {"nodes": [{"id": "ask", "kind": "approval"}]}
    middle = {"nodes": [{"id": "inner", "kind": "goal", "goal": inner}]}
    crew.submit([{"id": "middle", "kind": "goal", "goal": middle}])
    crew.work()
    assert crew.states("g.middle.inner") == {"ask": "WAITING"}
    crew.control.cancel("g", "enough")
    assert [crew.state(goal) for goal in ("g", "g.middle", "g.middle.inner")] == ["CANCELLED"] * 3
    assert "its parent g.middle was cancelled" in crew.store.goals.record("g.middle.inner")["reason"]


def test_beat_cancels_sub_goals_whose_parents_cancellation_stopped_before_them(crew: Crew) -> None:
    crew.submit([{"id": "sub", "kind": "goal", "goal": {"nodes": [{"id": "ask", "kind": "approval"}]}}])
    crew.work()
    assert crew.store.goals.cancel("g", "enough") == "cancelled"
    assert crew.state("g.sub") == "RUNNING", "the caller died here"
    crew.store.goals.hasten(["g"])
    crew.duties.reap()
    assert crew.state("g.sub") == "CANCELLED"
    assert "orphans" not in crew.store.goals.record("g")


def test_a_sub_goal_that_was_being_stored_when_its_parent_was_cancelled_does_not_run_on(crew: Crew) -> None:
    """The parent's cancellation found no child yet, was complete before the child was stored, and the child ran on."""
    crew.submit([{"id": "sub", "kind": "goal", "goal": {"nodes": [{"id": "ask", "kind": "approval"}]}}])
    store_goal = crew.submitter._store_goal

    def meanwhile(*args: object) -> None:
        crew.control.cancel("g", "enough")
        store_goal(*args)  # type: ignore[arg-type]

    crew.submitter._store_goal = meanwhile  # type: ignore[assignment, method-assign]
    crew.work()
    assert crew.state() == "CANCELLED"
    assert crew.state("g.sub") == "CANCELLED"


def test_a_commit_that_was_on_its_way_is_refused(crew: Crew) -> None:
    seen: list[Lease] = []

    def work() -> str:
        from orchestrator.engine.context import current

        lease = current()
        assert lease is not None
        seen.append(lease)
        crew.control.cancel("g")
        return "late"

    crew.function(work, "work")
    crew.submit([{"id": "a", "call": "work"}])
    crew.work()
    assert crew.states() == {"a": "CANCELLED"}
    assert crew.output("a") is None
    assert crew.committer.finish(seen[0], Done("later"), None) is Verdict.FENCED


def test_the_door_says_what_happened(crew: Crew) -> None:
    with pytest.raises(GoalNotFound):
        crew.control.cancel("ghost")
    crew.submit(["a"])
    crew.work()
    assert crew.control.cancel("g") == "ended"
    with pytest.raises(IllegalTransition, match="is DONE"):
        crew.control.pause("g")
