"""pause with stop: leases are taken away, late commits are fenced, and the nodes run again after a resume."""

from __future__ import annotations

import pytest

from orchestrator.domain.command import Order, Repeated
from orchestrator.engine.changes import Came, Changes
from orchestrator.store.records import Verdict
from support.crew import Crew
from support.sim import Sim


@pytest.fixture
def changes(crew: Crew) -> Changes:
    return crew.wired.changes


def test_running_nodes_are_stopped_and_run_again(sim: Sim, changes: Changes) -> None:
    sim.submit(["a", "b", {"id": "l", "lane": "one"}, {"id": "m", "lane": "one"}])
    leases = {one.lease.node: one.lease for one in sim.claim(most=3)}
    came = changes.pause("g", stop=True, order=Order("c1", "python"))
    assert (came.outcome, sorted(came.nodes)) == ("paused", ["a", "b", "l"])
    assert sim.renew(*leases.values()) == list(leases.values())
    assert {sim.end(lease, "done", "1") for lease in leases.values()} == {Verdict.FENCED}
    assert set(sim.states().values()) == {"READY"}
    assert sim.outputs() == {}
    changes.resume("g")
    again = {one.lease.node: one.lease for one in sim.claim(most=4)}
    assert {node: lease.attempt for node, lease in again.items()} == {"a": 2, "b": 2, "l": 2}
    assert {sim.task(node).get("lost") for node in again} == {None}
    sim.done(*again.values())
    sim.done("m")
    assert sim.state == "DONE"
    assert sorted(event["node"] for event in sim.events("node.stopped")) == ["a", "b", "l"]


def test_a_stop_comes_after_a_pause_too(sim: Sim, changes: Changes) -> None:
    sim.submit(["a"])
    sim.take("a")
    assert changes.pause("g") == Came("paused")
    assert changes.pause("g", stop=True) == Came("unchanged", ("a",))


def test_it_is_no_failure_and_no_lost_worker(sim: Sim, changes: Changes) -> None:
    sim.submit(["a"])
    for _ in range(5):
        sim.take("a")
        changes.pause("g", stop=True)
        changes.resume("g")
    assert sim.task("a")["attempt"] == "5"
    assert not {"failures", "lost"} & sim.task("a").keys()


def test_many_are_stopped_in_slices_and_by_whoever_comes_next(sim: Sim, changes: Changes) -> None:
    sim.submit([f"n{index}" for index in range(1300)])
    sim.claim(most=1300)
    order = Order("c1", "python")
    found = sim.store.changes.pause("g", "pause", "", slots="{}", stop=True, order=order)
    assert (len(found.nodes), found.more) == (500, True)
    with pytest.raises(Repeated, match="paused"):
        changes.pause("g", stop=True, order=order)
    assert set(sim.states().values()) == {"READY"}
    assert "stopping" not in sim.record()


def test_what_a_resume_has_overtaken_stops_nothing_more(sim: Sim, changes: Changes) -> None:
    sim.submit([f"n{index}" for index in range(600)])
    sim.claim(most=600)
    order = Order("c1", "python")
    sim.store.changes.pause("g", "pause", "", slots="{}", stop=True, order=order)
    changes.resume("g")
    with pytest.raises(Repeated):
        changes.pause("g", stop=True, order=order)
    assert list(sim.states().values()).count("RUNNING") == 100


def test_sub_goals_are_paused_stopped_and_resumed_with_their_parent(crew: Crew, changes: Changes) -> None:
    inner = {"nodes": [{"id": "x"}, {"id": "y", "kind": "goal", "goal": {"nodes": [{"id": "z"}]}}], "edges": []}
    crew.submit([{"id": "sub", "kind": "goal", "goal": inner}])
    while crew.mail.invitations and crew.state("g.sub.y") == "GONE":
        one = crew.mail.invitations.popleft()
        crew.runner.answer(one.goal, one.queue, one.node, one.sent_ms)
    crew.store.nodes.claim("g.sub.y", "default", worker="w", nonce="n", lease_ms=60_000, most=1, slots="{}")
    order = Order("c1", "python")
    came = changes.pause("g", stop=True, order=order)
    assert came == Came("paused", ("g.sub.y:z",))
    goals = ("g", "g.sub", "g.sub.y")
    assert {crew.state(goal) for goal in goals} == {"PAUSED"}
    changes.resume("g.sub.y")
    with pytest.raises(Repeated):
        changes.pause("g", stop=True, order=order)
    assert crew.state("g.sub.y") == "RUNNING", "it had acted there before"
    changes.pause("g.sub.y")
    changes.resume("g", order=Order("c2", "python"))
    assert {crew.state(goal) for goal in goals} == {"RUNNING"}
    crew.work()
    crew.work()
    assert crew.state() == "DONE"


def test_a_sub_goal_that_is_stored_after_the_pause_is_paused(crew: Crew, changes: Changes) -> None:
    crew.submit([{"id": "sub", "kind": "goal", "goal": {"nodes": [{"id": "x"}]}}])
    submit = crew.submitter.submit

    def paused_meanwhile(*args: object, **kwargs: object) -> str:
        changes.pause("g")
        return submit(*args, **kwargs)  # type: ignore[arg-type]

    crew.submitter.submit = paused_meanwhile  # type: ignore[method-assign]
    one = crew.mail.invitations.popleft()
    crew.runner.answer(one.goal, one.queue, one.node, one.sent_ms)
    assert (crew.state(), crew.state("g.sub")) == ("PAUSED", "PAUSED")
    changes.resume("g")
    crew.work()
    assert crew.state() == "DONE"
