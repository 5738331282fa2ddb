"""commit: exactly one end per lease, judged by token and nonce; what follows happens in the same step."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from orchestrator.store.records import Outcome, Result, Verdict
from support.sim import Sim, failure


def test_done_stores_the_output_and_releases_what_waited(sim: Sim) -> None:
    sim.submit(["a", "b", "c"], [("a", "b"), ("b", "c")])
    step = sim.commit(Result(sim.take("a"), Outcome.DONE, '{"x":1}'), most=5)
    assert step.verdicts == [Verdict.ACCEPTED]
    assert [claimed.lease.node for claimed in step.claims] == ["b"], "claimed in the step that made it ready"
    assert sim.outputs() == {"a": '{"x":1}'}
    assert sim.states() == {"a": "DONE", "b": "RUNNING", "c": "BLOCKED"}
    assert sim.store.nodes.holder("g", "a") is None


def test_the_last_node_ends_the_goal(sim: Sim) -> None:
    sim.submit(["a", "b"], [("a", "b")])
    sim.done("a")
    assert sim.commit(Result(sim.take("b"), Outcome.DONE)).status == "DONE"
    assert [event["type"] for event in sim.events()][-2:] == ["node.done", "goal.done"]
    assert sim.record()["ended"] == str(sim.now)


def test_failed_is_a_dead_letter_with_its_reason(sim: Sim) -> None:
    sim.submit(["a", "b"], [("a", "b")])
    assert sim.commit(Result(sim.take("a"), Outcome.FAILED, failure("boom"))).status == "FAILED"
    assert sim.states() == {"a": "FAILED", "b": "SKIPPED"}
    assert json.loads(sim.store.goals.part("g", "dead")["a"]) == {"reason": "error", "error": "boom"}
    (event,) = sim.events("node.failed")
    assert json.loads(event["data"])["error"] == "boom"


def test_a_failure_that_an_edge_handles_does_not_fail_the_goal(sim: Sim) -> None:
    sim.submit(["a", "rescue"], [{"source": "a", "target": "rescue", "on": "failed"}])
    sim.fail("a")
    sim.done("rescue")
    assert sim.state == "DONE"


def test_edges_fire_by_outcome_and_condition(sim: Sim) -> None:
    sim.submit(
        ["a", "b", "on_done", "on_failed", "always", "high", "low", "after_skip"],
        [
            ("a", "on_done"), {"source": "a", "target": "on_failed", "on": "failed"},
            {"source": "a", "target": "always", "on": "finished"},
            {"source": "b", "target": "high", "when": "> 1"}, {"source": "b", "target": "low", "when": "<= 1"},
            {"source": "low", "target": "after_skip", "on": "finished"},
        ],
    )  # fmt: skip
    sim.fail("a")
    sim.commit(Result(sim.take("b"), Outcome.DONE, "5", " low "))
    assert sim.states() == {
        "a": "FAILED", "b": "DONE", "on_done": "SKIPPED", "on_failed": "READY", "always": "READY", "high": "READY",
        "low": "SKIPPED", "after_skip": "READY",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("join", "ends", "state"),
    [
        ("all", "dd.", "BLOCKED"), ("all", "ddd", "READY"), ("all", "f..", "SKIPPED"),
        ("any", "d..", "READY"), ("any", "ff.", "BLOCKED"), ("any", "fff", "SKIPPED"),
        (2, "d..", "BLOCKED"), (2, "df.", "BLOCKED"), (2, "dfd", "READY"), (2, "ff.", "SKIPPED"), (2, "dff", "SKIPPED"),
    ],
)  # fmt: skip
def test_joins(sim: Sim, join: str | int, ends: str, state: str) -> None:
    sim.submit(["p0", "p1", "p2", {"id": "j", "join": join}], [(f"p{index}", "j") for index in range(3)])
    for index, end in enumerate(ends):
        if end == "d":
            sim.done(f"p{index}")
        elif end == "f":
            sim.fail(f"p{index}")
    assert sim.states()["j"] == state


def test_late_parents_of_a_join_that_fired_change_nothing(sim: Sim) -> None:
    sim.submit(["p0", "p1", {"id": "j", "join": "any"}], [("p0", "j"), ("p1", "j")])
    sim.done("p0", "j")
    sim.done("p1")
    assert len(sim.events("node.done")) == 3
    assert sim.state == "DONE"


def test_retry_waits_without_a_lease_and_counts_failures(sim: Sim) -> None:
    sim.submit(["a"])
    assert sim.end(sim.take("a"), "retry", failure("first"), 500) is Verdict.ACCEPTED
    assert sim.states() == {"a": "WAITING"}
    sim.tick(499)
    sim.reap()
    assert sim.claim() == []
    sim.tick(1)
    sim.reap()
    (claimed,) = sim.claim()
    assert (claimed.lease.attempt, claimed.failures) == (2, 1)
    assert sim.end(claimed.lease, "retry", failure("second"), 0) is Verdict.ACCEPTED
    assert sim.states() == {"a": "READY"}, "no delay, no wait"
    assert sim.claim()[0].failures == 2
    assert [json.loads(event["data"])["error"] for event in sim.events("node.retry")] == ["first", "second"]


def test_park_keeps_what_it_waits_for_and_holds_nothing(sim: Sim) -> None:
    sim.submit(["a"])
    assert sim.park(sim.take("a"), "approval", "failed", 1000, failure=failure("late")) is Verdict.ACCEPTED
    assert sim.states() == {"a": "WAITING"}
    assert json.loads(sim.store.goals.part("g", "parked")["a"])["reason"] == "approval"
    assert sim.store.nodes.holder("g", "a") is None
    assert json.loads(sim.events("node.waiting")[0]["data"]) == {"reason": "approval"}


def test_release_hands_back_and_the_attempt_does_not_count(sim: Sim) -> None:
    sim.submit(["a"])
    assert sim.end(sim.take("a"), "release") is Verdict.ACCEPTED
    assert sim.states() == {"a": "READY"}
    assert sim.task("a")["attempt"] == "0"
    assert len(sim.events("node.released")) == 1


def test_a_released_node_still_knows_what_woke_it(sim: Sim) -> None:
    sim.submit(["a"])
    sim.park(sim.take("a"), "approval")
    sim.wake("a", "approval", "ready", "yes")
    (claimed,) = sim.claim()
    assert (claimed.resume, claimed.lease.attempt) == ("yes", 1), "waking from a park keeps the attempt"
    sim.end(claimed.lease, "release", claimed.resume)
    (claimed,) = sim.claim()
    assert (claimed.resume, claimed.lease.attempt) == ("yes", 1)


def test_several_leases_end_in_one_step_each_judged_alone(sim: Sim) -> None:
    sim.submit(["a", "b", "c", "d"], [("a", "d"), ("b", "d")])
    leases = {claimed.lease.node: claimed.lease for claimed in sim.claim(most=3)}
    step = sim.commit(
        Result(leases["a"], Outcome.DONE, "1"), Result(replace(leases["b"], nonce="other"), Outcome.DONE, "2"),
        Result(leases["c"], Outcome.FAILED, failure("no")), Result(leases["a"], Outcome.DONE, "3"),
    )  # fmt: skip
    assert [verdict.value for verdict in step.verdicts] == ["accepted", "fenced", "accepted", "repeated"]
    assert sim.states() == {"a": "DONE", "b": "RUNNING", "c": "FAILED", "d": "BLOCKED"}
    assert sim.outputs() == {"a": "1"}


# -- goals that rest or have gone --------------------------------------------------------------------------------------


def test_a_commit_for_a_goal_being_cancelled_is_refused(sim: Sim) -> None:
    sim.submit([f"n{index}" for index in range(1500)])
    lease = sim.claim()[0].lease
    assert sim.cancel() == "more"
    held = sim.store.nodes.holder("g", lease.node) is not None
    step = sim.commit(Result(lease, Outcome.DONE, "1"), most=5)
    assert (step.status, list(step.claims)) == ("CANCELLING", [])
    assert step.verdicts == [Verdict.CANCELLING if held else Verdict.FENCED]
    while sim.cancel(begin=False) == "more":
        pass
    assert sim.end(lease, "done", "1") is Verdict.FENCED
    assert sim.outputs() == {}
    assert sim.events("node.done") == []


def test_a_commit_for_a_goal_that_was_removed_is_answered_and_leaves_nothing(sim: Sim) -> None:
    sim.submit(["a"])
    lease = sim.take("a")
    sim.cancel()
    sim.store.goals.remove("g", now_ms=sim.now)
    step = sim.commit(Result(lease, Outcome.DONE), Result(lease, Outcome.DONE))
    assert (step.status, step.verdicts) == ("GONE", [Verdict.GONE, Verdict.GONE])
    assert list(sim.store.client.scan_iter("*")) == []


def test_running_nodes_of_a_paused_goal_finish_but_nothing_new_starts(sim: Sim) -> None:
    sim.submit(["a", "b"], [("a", "b")])
    lease = sim.take("a")
    sim.pause()
    step = sim.commit(Result(lease, Outcome.DONE), most=5)
    assert (step.status, step.verdicts, list(step.claims)) == ("PAUSED", [Verdict.ACCEPTED], [])
    assert list(step.invitations) == []
    assert sim.states() == {"a": "DONE", "b": "READY"}


def test_a_commit_invites_helpers_for_what_it_leaves_ready(sim: Sim) -> None:
    sim.submit(["a", *(f"n{index}" for index in range(10))], [("a", f"n{index}") for index in range(10)])
    step = sim.commit(Result(sim.take("a"), Outcome.DONE), most=1)
    assert len(step.claims) == 1
    assert len(step.invitations) in (2, 3), "four slots, one of them taken"
    assert len({one.node for one in step.invitations}) == len(step.invitations)
