"""reap: whatever is due on one goal, once, whoever looks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.store.goals import PIECE
from orchestrator.store.records import Outcome, Result
from orchestrator.store.store import Store
from support.crew import Crew
from support.sim import LEASE_MS, SLOTS, TTL_MS, Sim, failure


def test_an_expired_lease_goes_back_and_says_who_held_it(sim: Sim) -> None:
    sim.submit(["a"])
    sim.take("a", "worker@host/7")
    sim.tick(LEASE_MS - 1)
    assert list(sim.reap().lost) == []
    sim.tick(1)
    reaped = sim.reap()
    assert (list(reaped.lost), reaped.advice) == (["a"], "wait")
    assert [one.node for one in reaped.invitations] == ["a"], "and somebody is invited"
    assert sim.states() == {"a": "READY"}
    (event,) = sim.events("node.lost")
    assert (event["worker"], event["attempt"], event["token"]) == ("worker@host/7", "1", "1")
    assert list(sim.reap().lost) == [], "once"
    lease = sim.take("a")
    assert (lease.attempt, lease.token) == (2, 2)


def test_expired_leases_are_spared_when_their_holders_could_not_renew(sim: Sim) -> None:
    """Redis was away: that is no sign of a dead worker. Timers and lost messages are seen to all the same."""
    sim.submit(["a", "b"])
    lease = sim.take("a")
    sim.park(sim.take("b"), "timer", "done", 10)
    sim.tick(LEASE_MS)
    look = sim.store.nodes.reap(
        "g", most=10, lost_limit=1, slots=SLOTS, ttl_ms=TTL_MS, spare_leases=True, now_ms=sim.now
    )  # fmt: skip
    assert list(look.lost) == []
    assert sim.states() == {"a": "RUNNING", "b": "DONE"}
    assert sim.renew(lease) == []


def test_a_node_that_keeps_losing_its_worker_is_dead(sim: Sim) -> None:
    sim.submit(["a", "b"], [("a", "b")])
    for attempt in range(1, 4):
        assert sim.take("a").attempt == attempt
        sim.tick(LEASE_MS)
        sim.reap(lost_limit=3)
    assert sim.states() == {"a": "FAILED", "b": "SKIPPED"}
    assert sim.state == "FAILED"
    kept = json.loads(sim.store.goals.part("g", "dead")["a"])
    assert kept == {"reason": "lost", "error": "its worker was lost 3 times, last w"}
    assert len(sim.events("node.lost")) == 3


def test_no_more_than_asked_for_and_then_again(sim: Sim) -> None:
    sim.submit([f"n{index}" for index in range(7)])
    assert len(sim.claim(most=7)) == 7
    sim.tick(LEASE_MS)
    looks = [sim.reap(most=3) for _ in range(3)]
    assert [len(look.lost) for look in looks] == [3, 3, 1]
    assert [look.advice for look in looks] == ["again", "again", "wait"]


@pytest.mark.parametrize(
    ("then", "note", "state"),
    [
        ("done", {"output": '{"waited":1}'}, "DONE"),
        ("failed", {"failure": failure("late", "timeout")}, "FAILED"),
        ("ready", {"resume": "child"}, "READY"),
        ("retry", {}, "READY"),
    ],
)
def test_a_timer_does_what_was_said_at_its_time(sim: Sim, then: str, note: dict[str, str], state: str) -> None:
    sim.submit(["a"])
    sim.park(sim.take("a"), "timer", then, 1000, **note)
    sim.tick(999)
    sim.reap()
    assert sim.states() == {"a": "WAITING"}
    sim.tick(1)
    sim.reap()
    assert sim.states() == {"a": state}
    assert json.loads(sim.events("node.woken")[0]["data"]) == {"by": "timer"}
    if then == "done":
        assert sim.outputs() == {"a": '{"waited":1}'}
    elif then == "failed":
        assert json.loads(sim.store.goals.part("g", "dead")["a"])["error"] == "late"
    else:
        (claimed,) = sim.claim()
        assert (claimed.resume, claimed.lease.attempt) == (("child", 1) if then == "ready" else ("", 2))


def test_a_node_that_was_woken_has_no_timer_any_more(sim: Sim) -> None:
    sim.submit(["a"])
    sim.park(sim.take("a"), "approval", "failed", 1000, failure=failure("late"))
    sim.wake("a", "approval", "done", "1")
    sim.tick(1000)
    sim.reap()
    assert sim.states() == {"a": "DONE"}


def test_what_timers_and_dead_workers_release_is_not_lost_among_what_was_left_over(sim: Sim) -> None:
    children = [f"n{index}" for index in range(4_000)]
    edges = [("timer", "after_timer"), ("dies", "after_death"), *(("root", child) for child in children)]
    sim.submit(["root", "timer", "dies", "after_timer", "after_death", *children], edges)
    sim.park(sim.take("timer"), "timer", "done", 10)
    root, _ = sim.take("root"), sim.take("dies")
    assert sim.commit(Result(root, Outcome.DONE)).more
    sim.tick(LEASE_MS)
    sim.reap(lost_limit=1)
    sim.settle()
    states = sim.states()
    assert (states["after_timer"], states["after_death"]) == ("READY", "SKIPPED")
    assert {states[child] for child in children} == {"READY"}


def test_timers_and_leases_of_a_paused_goal_are_kept_up(sim: Sim) -> None:
    sim.submit(["a", "b"])
    sim.park(sim.take("a"), "timer", "done", 100)
    sim.take("b")
    sim.pause()
    sim.tick(LEASE_MS)
    reaped = sim.reap()
    assert sim.states() == {"a": "DONE", "b": "READY"}
    assert list(reaped.invitations) == []


def test_invitations_that_nobody_took_are_sent_again_one_at_a_time_and_ever_more_rarely(sim: Sim) -> None:
    assert len(sim.submit(["a", "b", "c"])) == 3
    for wait in (2000, 4000, 8000, 16_000):
        sim.tick(wait - 1)
        assert list(sim.reap().invitations) == []
        sim.tick(1)
        assert [one.node for one in sim.reap().invitations] == ["a"]
    assert len(sim.step(hint="a", sent_ms=sim.now).invitations) == 2, "somebody answers: as many as ever"


def test_a_message_that_was_lost_is_replaced_when_there_are_others(sim: Sim) -> None:
    sim.submit([f"n{index}" for index in range(8)])
    for index in range(3):
        sim.done(sim.step(hint=f"n{index}", sent_ms=sim.now).claims[0].lease)
    sim.tick(2000)
    assert len(sim.reap().invitations) == 1


def test_patience_follows_the_wait_that_was_seen(sim: Sim) -> None:
    sim.submit([f"n{index}" for index in range(8)])
    sent = sim.now
    sim.tick(10_000)
    leases = [sim.step(hint=f"n{node}", sent_ms=sent).claims[0].lease for node in range(4)]
    for lease in leases:
        sim.done(lease)
    assert len(sim.reap().invitations) == 0, "four more were sent with the commits"
    sim.tick(2000)
    assert len(sim.reap().invitations) == 0, "they usually take 7.6 s here, so 2 s are no sign of loss"
    sim.tick(21_000)
    assert len(sim.reap().invitations) == 1


def test_the_next_look_is_when_something_is_due(sim: Sim) -> None:
    sim.submit(["a", "b"], deadline_seconds=100)
    assert sim.reap().due_ms == sim.now + 2000, "two are READY: their invitations may be lost"
    lease = sim.take("a")
    sim.park(sim.take("b"), "timer", "done", 1000)
    assert sim.reap().due_ms == sim.now + 1000, "the timer"
    sim.tick(1000)
    assert sim.reap().due_ms == sim.now + LEASE_MS - 1000, "the lease"
    sim.park(lease, "approval")
    assert sim.reap().due_ms == sim.now + 99_000, "the deadline"


def test_a_goal_that_only_waits_is_looked_at_every_minute(sim: Sim) -> None:
    sim.submit(["a"])
    sim.park(sim.take("a"), "approval")
    assert sim.reap().due_ms == sim.now + 60_000


def test_the_deadline_fails_the_goal_and_cancels_what_is_open(sim: Sim) -> None:
    sim.submit(["a", "b", "c"], [("b", "c")], deadline_seconds=10)
    sim.done("a")
    lease = sim.take("b")
    sim.tick(9_999)
    sim.renew(lease)
    assert sim.reap().advice == "wait"
    sim.tick(1)
    assert sim.reap().advice == "cancel"
    assert sim.reap().advice == "cancel", "until somebody carries it out"
    assert sim.cancel(begin=False) == "cancelled"
    assert sim.state == "FAILED"
    assert sim.record()["reason"] == "the deadline has passed"
    assert sim.states() == {"a": "DONE", "b": "CANCELLED", "c": "CANCELLED"}


def test_nothing_wakes_or_fails_between_the_slices_of_a_cancellation(sim: Sim) -> None:
    """A timer that came due between two slices once made its node DONE after the cancel was accepted."""
    sim.submit([f"n{index}" for index in range(3 * PIECE)])
    timers = [claimed.lease for claimed in sim.claim(most=20)]
    for lease in timers:
        sim.park(lease, "timer", "done", 10)
    sim.claim(most=20)
    assert sim.cancel() == "more"
    sim.tick(10 * LEASE_MS)
    reaped = sim.reap(lost_limit=1)
    assert (reaped.advice, list(reaped.lost), list(reaped.invitations)) == ("cancel", [], [])
    while sim.cancel(begin=False) == "more":
        sim.reap(lost_limit=1)
    assert set(sim.states().values()) == {"CANCELLED"}


# -- beat --------------------------------------------------------------------------------------------------------------


def test_two_beats_at_once_are_harmless(store: Store, tmp_path: Path) -> None:
    one, two = Crew(store, tmp_path), Crew(store, tmp_path)
    one.submit([{"id": "a", "kind": "wait", "inputs": {"seconds": 0}}, "b"], [("a", "b")])
    one.work()
    store.goals.hasten(["g"])
    one.duties.reap()
    two.duties.reap()
    two.mail.invitations.extend(one.mail.invitations)
    two.work()
    assert one.state() == "DONE"


def test_one_goal_that_cannot_be_looked_at_does_not_keep_the_others(store: Store, tmp_path: Path) -> None:
    crew = Crew(store, tmp_path)
    crew.submit([{"id": "a", "kind": "wait", "inputs": {"seconds": 0}}], goal_id="good")
    crew.work()
    store.client.set(store.keys.goal("bad"), "not a hash")
    store.client.zadd(store.keys.due, {"bad": 0, "good": 0})
    assert crew.duties.reap().startswith("2 goals")
    assert crew.state("good") == "DONE"
    assert store.client.zscore(store.keys.due, "bad") > store.goals.clock_ms()


def test_the_sweep_finds_goals_that_the_index_forgot(store: Store, tmp_path: Path) -> None:
    crew = Crew(store, tmp_path)
    crew.submit([{"id": "a", "kind": "approval"}])
    crew.work()
    far = store.goals.clock_ms() + 10**9
    store.goals.postpone({"g": far})
    assert "1 of 1" in crew.duties.sweep()
    assert store.client.zscore(store.keys.due, "g") < far


def test_with_a_lost_lease_the_invitations_that_its_worker_took_count_as_lost(sim: Sim) -> None:
    assert len(sim.submit(["a", "b"])) == 2
    sim.step(hint="a", sent_ms=sim.now)
    sim.tick(LEASE_MS)
    assert {one.node for one in sim.reap().invitations} == {"a", "b"}, "nobody waits for the other message's deadline"
