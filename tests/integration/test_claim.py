"""claim: the best ready nodes of a queue, each under a lease of its own."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

import pytest

from orchestrator.store.records import Claimed
from support.sim import LEASE_MS, Sim


def nodes_of(claims: Sequence[Claimed]) -> list[str]:
    return [claimed.lease.node for claimed in claims]


def test_a_claim_hands_out_a_lease_and_what_is_needed_to_run(sim: Sim) -> None:
    sim.submit([{"id": "a", "title": "T", "lease_seconds": 7.5}])
    step = sim.step("worker/1 x", sent_ms=sim.now)
    (claimed,) = step.claims
    assert step.status == "RUNNING"
    assert (claimed.lease.goal, claimed.lease.node, claimed.lease.token, claimed.lease.attempt) == ("g", "a", 1, 1)
    assert (claimed.lease_ms, claimed.failures, claimed.resume) == (7500, 0, "")
    assert json.loads(claimed.spec) == {"title": "T", "lease_seconds": 7.5}
    assert sim.store.nodes.holder("g", "a") == (1, claimed.lease.nonce, "worker/1 x")
    assert sim.store.client.zscore(sim.store.keys.part("g", "leases"), "a") == sim.now + 7500
    (event,) = sim.events("node.claimed")
    assert (event["node"], event["attempt"], event["token"], event["worker"]) == ("a", "1", "1", "worker/1 x")


def test_the_longest_way_to_the_end_comes_first_then_priority(sim: Sim) -> None:
    sim.submit(
        ["end", "middle", "start", {"id": "vip", "priority": 5}, "plain"], [("start", "middle"), ("middle", "end")]
    )
    assert nodes_of(sim.claim(most=10)) == ["start", "vip", "plain"]


def test_the_hint_comes_first_if_it_can(sim: Sim) -> None:
    sim.submit([{"id": "vip", "priority": 5}, "a", "b", "c"], [("b", "c")])
    assert nodes_of(sim.claim(most=2, hint="a")) == ["a", "b"]
    assert nodes_of(sim.claim(most=1, hint="a")) == ["vip"], "it runs already"
    assert nodes_of(sim.claim(most=1, hint="c")) == [], "it is blocked"
    assert nodes_of(sim.claim(most=1, hint="ghost")) == []


def test_a_hint_of_another_queue_is_no_hint(sim: Sim) -> None:
    sim.submit(["a", {"id": "b", "queue": "gpu"}])
    assert nodes_of(sim.claim(hint="b")) == ["a"]
    assert sim.claim(hint="b") == []
    assert nodes_of(sim.claim(queue="gpu")) == ["b"]


def test_no_more_than_asked_for_and_every_token_once(sim: Sim) -> None:
    sim.submit([f"n{index}" for index in range(5)])
    first = sim.claim(most=3)
    assert [claimed.lease.token for claimed in first] == [1, 2, 3]
    assert [claimed.lease.token for claimed in sim.claim(most=16)] == [4, 5]
    assert sim.claim(most=16) == []


def test_nodes_of_a_lane_run_one_at_a_time_in_their_order(sim: Sim) -> None:
    lane = {"lane": "l"}
    sim.submit(
        [{"id": "low", **lane}, {"id": "high", "priority": 9, **lane}, {"id": "queued", "queue": "gpu", **lane}, "free"]
    )
    assert nodes_of(sim.claim(most=10)) == ["free", "low"], (
        "of the lane the first in the document, whatever the priority"
    )
    assert sim.claim(queue="gpu") == []


def test_the_next_of_a_lane_is_ready_when_the_one_before_ended(sim: Sim) -> None:
    sim.submit([{"id": "a", "lane": "l"}, {"id": "b", "lane": "l", "queue": "gpu"}, {"id": "c", "lane": "l"}])
    sim.fail("a")
    assert sim.claim() == [], "the next in line is of another queue"
    lease = sim.take("b", queue="gpu")
    sim.park(lease, "approval")
    assert sim.claim() == [], "a parked node keeps its place"
    assert sim.wake("b", "approval", "done", "1") == "woken"
    assert nodes_of(sim.claim()) == ["c"]


def test_a_retry_keeps_its_place_in_the_lane(sim: Sim) -> None:
    sim.submit([{"id": "a", "lane": "l"}, {"id": "b", "lane": "l"}])
    sim.end(sim.take("a"), "retry", "{}", 500)
    assert sim.claim() == []
    sim.tick(500)
    sim.reap()
    assert nodes_of(sim.claim(most=2)) == ["a"]


def test_a_lost_node_keeps_its_place_in_the_lane(sim: Sim) -> None:
    sim.submit([{"id": "a", "lane": "l"}, {"id": "b", "lane": "l"}])
    sim.take("a")
    sim.tick(LEASE_MS)
    assert sim.reap().lost == ["a"]
    assert nodes_of(sim.claim(most=2)) == ["a"]


def test_nodes_that_join_a_lane_later_stand_behind(sim: Sim) -> None:
    sim.submit(["s", {"id": "late", "lane": "l", "priority": 9}, {"id": "early", "lane": "l"}], [("s", "late")])
    sim.done("s")
    assert nodes_of(sim.claim(most=5)) == ["early"]


@pytest.mark.parametrize("state", ["PAUSED", "CANCELLING", "CANCELLED", "DONE", "FAILED", "AWAITING_APPROVAL", "GONE"])
def test_nothing_is_handed_out_unless_the_goal_runs(sim: Sim, state: str) -> None:
    if state == "AWAITING_APPROVAL":
        sim.submit(["a"], state=state)
    elif state == "CANCELLING":
        sim.submit([f"n{index}" for index in range(1500)])
        assert sim.cancel() == "more"
    elif state != "GONE":
        sim.submit(["a", "b"], [("a", "b")])
    if state == "PAUSED":
        sim.pause()
    elif state == "CANCELLED":
        sim.cancel()
    elif state == "DONE":
        sim.done("a", "b")
    elif state == "FAILED":
        sim.fail("a")
    before = sim.dump()
    step = sim.step(most=16)
    assert (step.status, list(step.claims), list(step.invitations)) == (state, [], [])
    assert sim.dump() == before, "and nothing is written"


def test_an_answered_invitation_is_out_no_longer_and_its_wait_is_learnt(sim: Sim) -> None:
    sim.submit([f"n{index}" for index in range(10)])
    dispatch = sim.store.keys.part("g", "dispatch")
    sent = sim.now
    assert sim.store.client.hget(dispatch, "out:default") == "4"
    sim.tick(1000)
    step = sim.step(sent_ms=sent)
    assert sim.store.client.hget(dispatch, "wait:default") == "300"
    assert len(step.invitations) == 0, "three are out and one slot is taken"
    assert sim.store.client.hget(dispatch, "out:default") == "3"


def test_a_duplicate_invitation_does_no_harm(sim: Sim) -> None:
    sim.submit(["a"])
    for _ in range(3):
        sim.step(hint="a", sent_ms=sim.now)
    assert len(sim.events("node.claimed")) == 1
    assert sim.store.client.hget(sim.store.keys.part("g", "dispatch"), "out:default") == "0"


def test_attempts_count_claims_that_were_not_handed_back(sim: Sim) -> None:
    sim.submit(["a"])
    sim.end(sim.take("a"), "release")
    lease = sim.take("a")
    assert (lease.attempt, lease.token) == (1, 2)
    sim.tick(LEASE_MS)
    sim.reap()
    assert sim.take("a").attempt == 2


def test_slots_may_be_named_by_queue(sim: Sim) -> None:
    sim.slots = '{"default": 2, "gpu": 3, "*": 1}'
    queues = ["default"] * 9 + ["gpu"] * 9 + ["other"] * 9
    out = sim.submit([{"id": f"n{index}", "queue": queue} for index, queue in enumerate(queues)])
    assert Counter(one.queue for one in out) == {"default": 2, "gpu": 3, "other": 1}
