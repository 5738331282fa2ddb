"""`why`, from goals as they are stored."""

from __future__ import annotations

import pytest

from orchestrator.domain.errors import GoalNotFound, NodeNotFound
from orchestrator.operate.check_workers import hold_checks
from orchestrator.operate.operator import Operator
from orchestrator.operate.reason import Cause, Level
from orchestrator.store.fleet import Tick, Worker
from support.crew import Crew


@pytest.fixture
def view(crew: Crew) -> Operator:
    """A fleet with one worker and a beat, as far as Redis knows."""
    crew.store.fleet.beat(Worker("w1@a", 7, 4, ("default",), "prefork", 0.0))
    crew.store.fleet.record_ticks({"reap": Tick(0.01, 1.0, "")})
    return crew.wired.operator


def causes(view: Operator, goal: str = "g", node: str | None = None) -> list[Cause]:
    return [finding.reason.cause for finding in view.why(goal, node).findings]


def test_what_is_not_there_is_an_error(crew: Crew, view: Operator) -> None:
    crew.submit(["a"])
    with pytest.raises(GoalNotFound):
        view.why("ghost")
    with pytest.raises(NodeNotFound):
        view.why("g", "ghost")


def test_a_blocked_node_is_followed_up_to_what_is_not_blocked(crew: Crew, view: Operator) -> None:
    crew.submit([{"id": "ask", "kind": "approval"}, *(f"n{at}" for at in range(40))],
                [("ask", "n0"), *((f"n{at}", f"n{at + 1}") for at in range(39))])  # fmt: skip
    crew.work()
    found = view.why("g", "n39").findings
    assert [one.reason.cause for one in found] == [Cause.PARENTS, Cause.APPROVAL]
    assert found[0].reason.text == "it waits for n38 (BLOCKED)"
    assert found[1].reason.text.startswith("ask: ")
    assert causes(view) == [Cause.APPROVAL]


def test_many_parents_are_not_all_read(crew: Crew, view: Operator) -> None:
    names = [f"p{at}" for at in range(500)]
    crew.submit([*({"id": name, "kind": "approval"} for name in names), "end"], [(name, "end") for name in names])
    first = view.why("g", "end").findings[0].reason
    assert first.text.endswith("and 195 more")
    assert len(first.text) < 300


def test_who_paused_it_is_told_from_the_command(crew: Crew, view: Operator) -> None:
    crew.submit(["a"])
    crew.wired.pause("g", "lunch")
    crew.wired.resume("g")
    assert causes(view) == [Cause.INVITED]
    crew.wired.command("PAUSE", goal="g", reason="db1 is full", sender="ann")
    (found,) = view.why("g").findings
    assert "by python:ann" in found.reason.text
    assert 'because "db1 is full"' in found.reason.text
    assert "lunch" not in found.reason.text


def test_a_held_node_and_agent(crew: Crew, view: Operator) -> None:
    crew.submit(["a", "b"])
    crew.wired.command("HOLD", goal="g", node="a", reason="wait for me")
    assert causes(view, node="a") == [Cause.HELD]
    assert causes(view, node="b") == [Cause.INVITED]
    crew.work()
    assert crew.states() == {"a": "READY", "b": "DONE"}
    (found,) = view.why("g").findings
    assert (found.nodes, found.reason.cause) == (("a",), Cause.HELD)
    crew.wired.command("RELEASE", goal="g", node="a")
    assert causes(view, node="a") == [Cause.INVITED]
    crew.work()


def test_fleet_wide_holds_and_a_stop(crew: Crew, view: Operator) -> None:
    crew.submit(["a"])
    crew.store.control.hold("c1", ["queue:default"], '{"by": "cli:ann", "reason": "x", "at": 1}')
    assert causes(view) == [Cause.HELD]
    crew.store.control.hold("c2", ["fleet"], '{"by": "cli:ann", "reason": "x", "at": 1}')
    assert causes(view)[0] == Cause.STOPPED
    assert [check.name for check in hold_checks(view.fleet()) if "held by" in check.detail] == ["queue default"]
    crew.store.control.release("c3", ["*"])
    assert causes(view) == [Cause.INVITED]


def test_a_lane_names_its_first_and_a_sub_goal_its_state(crew: Crew, view: Operator) -> None:
    crew.submit([{"id": "x", "kind": "approval", "lane": "l"}, {"id": "y", "lane": "l"}])
    crew.work()
    (found,) = view.why("g", "y").findings
    assert (found.reason.cause, found.reason.level) == (Cause.LANE, Level.PERSON)
    assert "the first of them, x, is WAITING" in found.reason.text
    assert "1 more of its lane l stands behind it" in view.why("g", "x").findings[0].reason.text
    crew.submit([{"id": "sub", "kind": "goal", "goal": {"nodes": [{"id": "q", "kind": "approval"}]}}], goal_id="h")
    crew.work()
    crew.wired.command("PAUSE", goal="h.sub", reason="not now")
    (found,) = view.why("h").findings
    assert found.reason.cause is Cause.CHILD
    assert "h.sub, which is PAUSED" in found.reason.text
    assert 'because "not now"' in found.reason.text


def test_a_back_off_tells_what_went_wrong(crew: Crew, view: Operator) -> None:
    crew.function(lambda: 1 / 0, "bad")
    crew.submit([{"id": "a", "call": "bad", "retries": 3, "backoff_seconds": 50}])
    crew.work()
    (found,) = view.why("g").findings
    assert found.reason.cause is Cause.BACKOFF
    assert "1 attempt failed: ZeroDivisionError: division by zero; the next comes in" in found.reason.text


def test_no_worker_slots_and_lost_messages(crew: Crew, view: Operator) -> None:
    crew.submit([{"id": "a"}, {"id": "gpu", "queue": "gpu"}])
    assert causes(view) == [Cause.NO_WORKER, Cause.INVITED]
    crew.store.fleet.leave("w1@a")
    assert causes(view) == [Cause.NO_WORKERS, Cause.NO_WORKERS]
    crew.store.client.hdel(crew.store.keys.ticks, "reap")
    crew.store.fleet.beat(Worker("w1@a", 7, 4, ("default", "gpu"), "prefork", 0.0))
    for queue in ("default", "gpu"):
        crew.store.client.hset(crew.store.keys.part("g", "dispatch"), f"due:{queue}", 1)
    assert set(causes(view)) == {Cause.BEAT}


def test_what_workers_hold_is_read_from_the_leases(crew: Crew, view: Operator) -> None:
    crew.submit([f"n{at}" for at in range(4)])
    crew.store.nodes.claim("g", "default", worker="w1@a/99", nonce="n", lease_ms=60_000, most=3, slots="{}")
    (worker,) = view.fleet().workers
    assert worker.holds == (("g", "n0"), ("g", "n1"), ("g", "n2"))
    assert causes(view, node="n0") == [Cause.RUNS]
