"""submit_open, submit_piece, submit_seal: a goal is visible when it is whole, and is stored once."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from orchestrator.domain.errors import GoalExists, GoalNotFound
from orchestrator.domain.validate import read_goal
from orchestrator.engine import encode
from orchestrator.store.goals import PIECE, SubmissionLost
from orchestrator.store.records import NodeRow
from orchestrator.store.store import Store
from support.crew import Crew
from support.sim import SLOTS, START_MS, TTL_MS, Sim, document, row


def rows_of(count: int) -> list[NodeRow]:
    return list(encode.rows(read_goal(document([f"n{index}" for index in range(count)]))))


def submit(store: Store, rows: Any, digest: str = "d", now_ms: int = START_MS) -> Any:
    return store.goals.submit("g", digest, {"owner": "me"}, rows, building_ttl_ms=TTL_MS[3], slots=SLOTS, now_ms=now_ms)


def test_a_goal_is_stored_and_started(sim: Sim) -> None:
    out = sim.submit(["a", "b", {"id": "c", "queue": "gpu"}], [("a", "b")])
    assert {(one.queue, one.node, one.attempt) for one in out} == {
        ("default", "a", 1), ("gpu", "c", 1),
    }  # fmt: skip
    assert out[0].task_id.startswith("g:")
    assert sim.state == "RUNNING"
    assert sim.states() == {"a": "READY", "b": "BLOCKED", "c": "READY"}
    assert [event["type"] for event in sim.events()] == ["goal.submitted", "goal.started"]
    assert sim.store.goals.newest(0, 10) == ["g"]


def test_invitations_follow_the_free_slots(sim: Sim) -> None:
    assert len(sim.submit([f"n{index}" for index in range(50)])) == 4


def test_a_goal_that_awaits_approval_sends_nobody(sim: Sim) -> None:
    assert sim.submit(["a"], state="AWAITING_APPROVAL") == []
    assert sim.state == "AWAITING_APPROVAL"
    assert sim.claim() == []


def test_it_is_invisible_until_its_last_piece_is_there(sim: Sim) -> None:
    store = sim.store
    seen: list[int] = []

    def slowly() -> Any:
        for index, one in enumerate(rows_of(12 * PIECE)):
            if index % (5 * PIECE) == 0:
                with pytest.raises(GoalNotFound):
                    store.goals.record("g")
                assert store.goals.records(["g"]) == [{}]
                assert sim.claim() == []
                assert sim.state == "PLANNING"
                seen.append(store.client.hlen(store.keys.part("g", "nodes")))
            yield one

    submit(store, slowly())
    assert seen[0] == 0 < seen[-1] < 12 * PIECE
    assert sim.record()["total"] == sim.record()["n:READY"] == str(12 * PIECE)


def test_the_same_again_changes_nothing(sim: Sim) -> None:
    sim.submit(["a", "b"], [("a", "b")])
    sim.done("a")
    before = sim.dump()
    assert sim.submit(["a", "b"], [("a", "b")]) == []
    assert sim.dump() == before


def test_other_content_under_the_same_id_is_a_conflict(sim: Sim) -> None:
    sim.submit(["a"])
    before = sim.dump()
    with pytest.raises(GoalExists, match="choose another goal_id"):
        sim.submit(["a", "b"])
    assert sim.dump() == before


def test_submissions_of_the_same_store_it_together_and_one_starts_it(sim: Sim) -> None:
    store, first = sim.store, rows_of(10 * PIECE)

    def interrupted() -> Any:
        for index, one in enumerate(first):
            if index == 9 * PIECE:
                assert submit(store, iter(first)) != []
                assert sim.state == "RUNNING"
            yield one

    assert submit(store, interrupted()) == [], "the other one has sent the invitations"
    assert sim.record()["total"] == str(10 * PIECE)
    assert len([event for event in sim.events() if event["type"] == "goal.submitted"]) == 1


def test_a_submission_goes_on_when_another_of_the_same_was_given_up(sim: Sim) -> None:
    store, first = sim.store, rows_of(10 * PIECE)

    def interrupted() -> Any:
        for index, one in enumerate(first):
            if index == 9 * PIECE:
                half_built(sim)
            yield one

    assert submit(store, interrupted()) != []
    assert sim.state == "RUNNING"


def test_only_submissions_of_this_document_can_add_pieces_or_seal(sim: Sim) -> None:
    run, pair = sim.store.goals._scripts.run, sim.store.keys.pair("g")
    first = rows_of(1)[0].args()
    assert run("submit_piece", pair, (sim.now, "one", *first)) == "stale", "it was not opened"
    assert run("submit_open", pair, (sim.now, "one", 1000)) == "opened"
    assert run("submit_open", pair, (sim.now, "one", 1000)) == "opened"
    assert run("submit_open", pair, (sim.now, "two", 1000)) == "conflict"
    assert run("submit_piece", pair, (sim.now, "two", *first)) == "stale"
    assert run("submit_piece", pair, (sim.now, "one", *first)) == "stored"
    assert run("submit_piece", pair, (sim.now, "one", *first)) == "stored", "a piece may be sent again"
    seal = (1, 1, SLOTS, 2000, "", "RUNNING")
    assert run("submit_seal", pair, (sim.now, "two", *seal))[0] == "stale"
    assert run("submit_seal", pair, (sim.now, "one", 2, *seal[1:]))[0] == "stale", "a piece is missing"
    assert run("submit_seal", pair, (sim.now, "one", *seal))[0] == "started"
    assert run("submit_seal", pair, (sim.now, "one", *seal))[0] == "exists", "a reply was lost and the call sent again"
    assert run("submit_piece", pair, (sim.now, "one", *first)) == "stale"


def test_the_record_goes_by_itself_until_the_goal_is_whole(sim: Sim) -> None:
    """Beat may not know of it, if the submitter stopped before it entered the goal into the index."""
    run, pair = sim.store.goals._scripts.run, sim.store.keys.pair("g")
    run("submit_open", pair, (sim.now, "d", 5000))
    assert 0 < sim.store.client.pttl(pair[0]) <= 5000
    run("submit_open", pair, (sim.now, "d", 500_000))
    assert sim.store.client.pttl(pair[0]) > 5000, "someone goes on"
    run("submit_seal", pair, (sim.now, "d", 0, 0, SLOTS, 2000, "", "RUNNING"))
    assert sim.store.client.pttl(pair[0]) == -1
    assert run("submit_open", pair, (sim.now, "d", 5000)) == "exists"
    assert sim.store.client.pttl(pair[0]) == -1, "a goal that is stored stays"
    sim.store.client.flushall()


def half_built(sim: Sim) -> None:
    class Crash(Exception):
        pass

    def rows() -> Any:
        yield from rows_of(9 * PIECE)
        raise Crash

    with pytest.raises(Crash):
        submit(sim.store, rows(), now_ms=sim.now)
    assert sim.store.client.hlen(sim.store.keys.part("g", "nodes")) == 9 * PIECE


def test_a_half_built_goal_is_hidden_and_removed_without_a_trace(sim: Sim) -> None:
    half_built(sim)
    with pytest.raises(GoalNotFound):
        sim.store.goals.record("g")
    assert sim.store.goals.due(sim.now + TTL_MS[3], 10) == ["g"], "beat knows of it"
    sim.tick(TTL_MS[3] - 1)
    assert sim.reap().advice == "wait"
    sim.tick(1)
    assert sim.reap().advice == "remove"
    assert sim.store.goals.remove("g", now_ms=sim.now) == "removed"
    assert list(sim.store.client.scan_iter("*")) == []


def test_the_same_document_goes_on_where_a_crash_left_it(sim: Sim) -> None:
    half_built(sim)
    submit(sim.store, iter(rows_of(9 * PIECE)), now_ms=sim.tick())
    assert sim.state == "RUNNING"
    assert sim.record()["total"] == str(9 * PIECE)


def test_pieces_of_a_goal_that_was_removed_meanwhile_are_refused(sim: Sim) -> None:
    def rows() -> Any:
        for index, one in enumerate(rows_of(10 * PIECE)):
            if index == 9 * PIECE:
                assert sim.store.goals.remove("g", now_ms=sim.now, most_slices=100) == "removed"
            yield one

    with pytest.raises(SubmissionLost, match="submit it again"):
        submit(sim.store, rows())
    assert list(sim.store.client.scan_iter("*")) == []


def test_pieces_of_a_goal_that_is_being_removed_are_refused(sim: Sim) -> None:
    def rows() -> Any:
        for index, one in enumerate(rows_of(10 * PIECE)):
            if index == 9 * PIECE:
                assert sim.store.goals.remove("g", now_ms=sim.now, most_slices=1) == "more"
            yield one

    with pytest.raises(SubmissionLost, match="submit it again"):
        submit(sim.store, rows())
    while sim.store.goals.remove("g", now_ms=sim.now) == "more":
        pass
    assert list(sim.store.client.scan_iter("*")) == []


def test_a_goal_that_is_being_built_cannot_be_acted_on(sim: Sim) -> None:
    """A cancel of a half-built goal once left nodes that were CANCELLED in a goal that then started."""
    half_built(sim)
    before = sim.dump()
    assert sim.cancel() == "gone"
    assert sim.pause() == "gone"
    assert sim.wake("n0", "approval", "done") == "gone"
    assert sim.store.goals.patch("g", 1, '{"drop":[],"edges":{},"targets":[]}', [], slots=SLOTS)[0] == "gone"
    assert sim.reopen() == "PLANNING"
    assert sim.dump() == before


def test_an_idempotency_key_stands_for_one_goal(crew: Crew) -> None:
    def submit_with(title: str, key: str = "k", **head: Any) -> str:
        return crew.submitter.submit(document([{"id": "a", "title": title}], idempotency_key=key, **head))

    first = submit_with("one")
    assert submit_with("one") == first
    assert submit_with("other content") == first
    assert submit_with("other content", goal_id="another") == first
    assert submit_with("one", key="k2") != first
    assert submit_with("one", owner="someone") != first, "keys are the owner's"
    assert 86_000 < crew.store.client.ttl(crew.store.keys.idempotency("default", "k")) <= 86_400


def test_a_new_key_does_not_hand_out_a_goal_that_is_not_its_own(crew: Crew) -> None:
    crew.submit(["a"], goal_id="g1")
    for _ in range(2):
        with pytest.raises(GoalExists):
            crew.submit(["a", "b"], goal_id="g1", idempotency_key="k")
    assert crew.submit(["a"], goal_id="g1") == "g1"


def test_a_hundred_thousand_nodes_are_stored_in_bounded_pieces(store: Store) -> None:
    store.client.config_set("slowlog-log-slower-than", 0)
    store.client.config_set("slowlog-max-len", 100_000)
    store.client.slowlog_reset()
    try:
        submit(store, (row(f"n{index}") for index in range(100_000)))
        slow = [entry["duration"] for entry in store.client.slowlog_get(100_000)]
    finally:
        store.client.config_set("slowlog-log-slower-than", 10_000)
    assert store.client.hlen(store.keys.part("g", "nodes")) == 100_000
    assert len(slow) > 100
    assert max(slow) < 500_000, "no script holds the server for long (microseconds)"
    assert store.goals.field("g", "n:READY") == "100000"


def test_a_sub_goal_that_was_stored_by_half_is_stored_by_the_next_attempt(crew: Crew) -> None:
    crew.submit([{"id": "n", "kind": "goal", "goal": {"nodes": [{"id": "inner"}]}}])
    run, sealed = crew.store.goals._scripts.run, crew.store.goals._scripts

    def crash(name: str, *args: Any) -> Any:
        if name == "submit_piece":
            sealed.run = run  # type: ignore[method-assign]
            raise redis.ConnectionError("the worker's line is cut")
        return run(name, *args)

    sealed.run = crash  # type: ignore[method-assign, assignment]
    crew.work()
    assert sealed.run is run, "it crashed once"
    assert crew.store.goals.field("g", "state") == "DONE"
