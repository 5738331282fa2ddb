"""begin: a user's Celery task claims the node that is parked with its message; a duplicate delivery does nothing."""

from __future__ import annotations

import pytest

from support.sim import LEASE_MS, Sim


def sent(sim: Sim) -> None:
    """The node is parked and its message is out."""
    sim.submit([{"id": "t", "kind": "task", "call": "theirs"}, "after"], [("t", "after")])
    sim.park(sim.take("t"), "task", "ready", 60_000, resume="task:1")


def test_the_task_holds_the_lease_from_its_first_moment(sim: Sim) -> None:
    sent(sim)
    outcome, lease, length = sim.begin("t", 1, "celery@host")
    assert (outcome, length) == ("claimed", LEASE_MS)
    assert lease is not None
    assert (lease.token, lease.attempt) == (2, 1)
    assert sim.states()["t"] == "RUNNING"
    assert sim.store.nodes.holder("g", "t") == (2, lease.nonce, "celery@host")
    sim.done(lease, output="1")
    assert sim.states() == {"t": "DONE", "after": "READY"}


def test_a_duplicate_delivery_is_told_so_and_changes_nothing(sim: Sim) -> None:
    sent(sim)
    _, lease, _ = sim.begin("t")
    assert lease is not None
    for _ in range(2):
        before = sim.dump()
        assert sim.begin("t")[:2] == ("duplicate", None)
        assert sim.dump() == before
        if sim.states()["t"] == "RUNNING":
            sim.done(lease)


def test_the_same_call_again_gets_the_same_lease(sim: Sim) -> None:
    """The answer was lost and the client sent the call once more: to call that a duplicate would lose the task."""
    sent(sim)
    call = {"worker": "celery@host", "nonce": "mine", "lease_ms": LEASE_MS, "now_ms": sim.now}
    first = sim.store.nodes.begin("g", "t", 1, **call)  # type: ignore[arg-type]
    before = sim.dump()
    assert sim.store.nodes.begin("g", "t", 1, **call) == first  # type: ignore[arg-type]
    assert sim.dump() == before
    assert first[0] == "claimed"


@pytest.mark.parametrize(("node", "attempt"), [("t", 2), ("t", 0), ("after", 1), ("ghost", 1)])
def test_a_message_of_another_attempt_or_node_is_a_duplicate(sim: Sim, node: str, attempt: int) -> None:
    sent(sim)
    before = sim.dump()
    assert sim.begin(node, attempt)[:2] == ("duplicate", None)
    assert sim.dump() == before


def test_a_node_that_waits_for_something_else_is_not_begun(sim: Sim) -> None:
    sim.submit(["a"])
    sim.park(sim.take("a"), "approval")
    assert sim.begin("a")[0] == "duplicate"


def test_a_paused_goal_begins_nothing_and_sends_the_message_again_later(sim: Sim) -> None:
    sent(sim)
    sim.pause()
    assert sim.begin("t")[:2] == ("PAUSED", None)
    assert sim.states()["t"] == "WAITING"
    sim.resume()
    sim.reap()
    (claimed,) = sim.claim()
    assert (claimed.lease.node, claimed.resume) == ("t", "task:1")


def test_a_cancelled_or_removed_goal_begins_nothing(sim: Sim) -> None:
    sent(sim)
    sim.cancel()
    assert sim.begin("t")[0] == "duplicate"
    sim.store.goals.remove("g", now_ms=sim.now)
    assert sim.begin("t")[0] == "gone"
    assert list(sim.store.client.scan_iter("*")) == []


def test_a_task_whose_worker_dies_is_sent_again_under_another_attempt(sim: Sim) -> None:
    sent(sim)
    _, lease, _ = sim.begin("t")
    assert lease is not None
    sim.tick(LEASE_MS)
    assert list(sim.reap().lost) == ["t"]
    assert sim.begin("t")[0] == "duplicate", "the old message, delivered again"
    (claimed,) = sim.claim(hint="t")
    assert claimed.lease.attempt == 2
    sim.park(claimed.lease, "task", "ready", 60_000)
    assert sim.end(lease, "done", "1").value == "fenced"
    assert sim.begin("t", 1)[0] == "duplicate"
    assert sim.begin("t", 2)[0] == "claimed"


def test_a_message_that_never_came_is_sent_again_by_the_timer(sim: Sim) -> None:
    sent(sim)
    sim.tick(60_000)
    sim.reap()
    (claimed,) = sim.claim()
    assert (claimed.lease.node, claimed.resume, claimed.lease.attempt) == ("t", "task:1", 1)
