"""reap: whatever is due on one goal, once, whoever looks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.store.goals import PIECE
from orchestrator.store.store import Store
from support.crew import Crew
from support.invariants import unknown_keys
from support.sim import LEASE_MS, TTL_MS, Sim, failure


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


# -- removal ----------------------------------------------------------------------------------------------------------


def everything(sim: Sim) -> None:
    """A goal that uses every key a goal can have."""
    sim.submit(
        [
            {"id": "lane1", "lane": "l"}, {"id": "lane2", "lane": "l", "queue": "gpu"}, {"id": "timer", "queue": "q"},
            {"id": "map", "kind": "map", "call": "f", "inputs": {"items": [1]}}, "fails", "skipped", "signal", "runs",
        ],
        [("fails", "skipped"), {"source": "fails", "target": "runs", "on": "finished"}],
    )  # fmt: skip
    sim.done("lane1", output="1")
    sim.park(sim.take("timer", queue="q"), "timer", "done", 10_000_000)
    sim.expand(sim.take("map"), ["map.0"])
    sim.wake("", "signal:s", "done", "1", keep=True)
    sim.park(sim.take("signal"), "approval")
    sim.fail("fails")
    sim.store.goals.adopt("g", "map", "child")


@pytest.mark.parametrize("end", ["DONE", "FAILED", "CANCELLED"])
def test_an_ended_goal_is_removed_after_its_time_and_leaves_no_key(sim: Sim, end: str) -> None:
    if end == "CANCELLED":
        everything(sim)
        assert unknown_keys(sim.store) == []
        sim.cancel()
    elif end == "FAILED":
        sim.submit(["a", "b"], [("a", "b")])
        sim.fail("a")
    else:
        sim.submit(["a", {"id": "b", "lane": "l", "queue": "q"}], [("a", "b")])
        sim.done("a", "b")
    assert sim.state == end
    ttl = TTL_MS[["DONE", "FAILED", "CANCELLED"].index(end)]
    ended = sim.now
    assert (sim.reap().advice, sim.reap().due_ms) == ("wait", ended + ttl)
    sim.tick(ttl - 1)
    assert sim.reap().advice == "wait"
    sim.tick(1)
    assert sim.reap().advice == "remove"
    assert sim.store.goals.remove("g", now_ms=sim.now) == "removed"
    assert list(sim.store.client.scan_iter("*")) == []
    assert sim.reap().advice == "remove", "a look at what is gone does no harm"
    assert sim.store.goals.remove("g") == "gone"


def test_a_goal_that_has_not_ended_is_never_removed(sim: Sim) -> None:
    everything(sim)
    before = sim.dump()
    assert sim.store.goals.remove("g") == "open"
    sim.tick(1_000_000)
    assert sim.dump() == before


def test_a_large_goal_is_removed_in_slices_and_hidden_from_the_first(sim: Sim) -> None:
    sim.submit([{"id": f"n{index}", "queue": f"q{index % 3}"} for index in range(5 * PIECE)])
    while sim.cancel() == "more":
        pass
    assert sim.store.goals.remove("g", most_slices=1) == "more"
    assert sim.store.goals.records(["g"]) == [{}]
    sim.tick(TTL_MS[3])
    assert sim.reap().advice == "remove", "beat goes on where somebody stopped"
    while sim.store.goals.remove("g", most_slices=1) == "more":
        pass
    assert list(sim.store.client.scan_iter("*")) == []


def test_beat_removes_goals_their_files_and_nothing_else(store: Store, tmp_path: Path) -> None:
    crew = Crew(store, tmp_path, done_ttl_seconds=0.001)
    crew.function(lambda: "x" * 100_000, "big")
    crew.submit([{"id": "a", "call": "big"}], goal_id="old")
    crew.work()
    crew.submit([{"id": "a", "kind": "approval"}], goal_id="open")
    crew.work()
    assert (tmp_path / "artifacts" / "old").exists()
    store.goals.hasten(["old", "open"])
    assert "1 removed" in crew.duties.reap()
    assert not (tmp_path / "artifacts" / "old").exists()
    assert store.goals.newest(0, 10) == ["open"]
    assert not list(store.client.scan_iter("*{old}*"))
    assert unknown_keys(store) == []


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
