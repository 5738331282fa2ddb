"""Permits: fences, leases, claims that run out, dead processes and slots, with time in the test's hand."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.store.llm_records import Caller, Release
from support.desk import ACCOUNT


def test_a_place_among_the_calls_at_once_is_free_again_at_the_end(desk: Any) -> None:
    line = desk(concurrency=2)
    assert [line.ask("a"), line.ask("b"), line.ask("c")] == ["granted", "granted", "queued 1"]
    assert line.end("b") == "settled"
    assert line.inbox() == {"c": "granted"}
    assert line.fences == {"a": 1, "b": 2, "c": 3}


@pytest.mark.parametrize("wrong", ["fence", "nonce", "id"])
def test_nothing_but_the_permit_itself_ends_it(desk: Any, wrong: str) -> None:
    line = desk(concurrency=1)
    line.ask("a")
    if wrong == "fence":
        line.fences["a"] += 1
    elif wrong == "nonce":
        line.asks["a"] = line.asks["a"].__class__(**{**fields(line.asks["a"]), "nonce": "other"})
    else:
        line.asks["b"], line.fences["b"] = line.asks["a"], line.fences["a"]
    name = "b" if wrong == "id" else "a"
    assert (line.begin(name), line.beat(name), line.end(name)) == ("lost", (name,), "lost")
    assert line.seen_now().usage["concurrent"].used == 1


def fields(record: Any) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__slots__}


def test_operations_may_be_sent_again(desk: Any) -> None:
    line = desk(concurrency=1, requests_per_minute=10)
    assert [line.ask("a"), line.ask("a"), line.ask("b"), line.ask("b")] == [
        "granted",
        "granted",
        "queued 1",
        "queued 1",
    ]
    assert (line.begin("a"), line.begin("a")) == ("started", "started")
    assert (line.end("a"), line.end("a")) == ("settled", "repeated")
    assert line.seen_now().usage["requests"].used == 2
    assert line.ask("b", nonce="other").startswith("taken")


def test_a_lease_that_runs_out_frees_the_place_and_stays_charged(desk: Any) -> None:
    line = desk(concurrency=1, tokens_per_minute=100)
    line.ask("a", 60)
    line.tick("a")
    line.later(5001).ask("b", 30)
    assert line.seen_now().usage["tokens"].used == 90
    assert line.end("a") == "lost"
    assert line.events()[1] == ("llm.settled", "a", 60)


def test_renewed_leases_last(desk: Any) -> None:
    line = desk(concurrency=1)
    line.ask("a")
    line.tick("a")
    for _ in range(5):
        assert line.later(4000).beat("a") == ()
    assert line.end("a") == "settled"


def test_a_grant_that_was_never_read_is_refunded_and_goes_to_the_next_that_lives(desk: Any) -> None:
    line = desk(requests_per_minute=1, window_seconds=60.0)
    line.ask("a")
    line.ask("b", process="dying")
    line.end("a", how=Release.UNUSED)
    line.ask("c")
    line.later(1001).beat()
    assert line.inbox() == {}, "the dying one is not known to be dead yet: it keeps its place"
    line.later(1001).beat()
    assert line.inbox() == {"c": "granted"}
    assert line.inbox("dying") == {}
    assert [kind for kind, permit, _ in line.events() if permit == "b"].count("llm.released") == 2


def test_a_grant_that_was_read_counts_as_started(desk: Any) -> None:
    line = desk(requests_per_minute=1, window_seconds=10.0)
    line.ask("a")
    line.ask("b")
    line.end("a", how=Release.UNUSED)
    assert line.inbox() == {"b": "granted"}
    line.later(1001).beat()
    assert line.seen_now().leases[0].started
    assert line.later(3000).end("b") == "settled"


def test_a_gated_call_that_was_never_begun_goes_back_to_its_place(desk: Any) -> None:
    line = desk(requests_per_minute=1)
    gated = {"process": "gate", "gated": True, "claim_ms": 3000}
    assert line.ask("a", **gated) == "granted"
    line.ask("b", goal="other")
    line.later(3001).beat()
    assert line.inbox() == {"b": "granted"}, "no gate lives that could publish a"
    line.end("b", how=Release.UNUSED)
    line.ask("c")
    line.tick(process="gate")
    assert line.inbox("gate") == {"a": "granted"}, "before c"
    assert line.fences["a"] == 3
    assert line.begin("a") == "started"
    line.later(1).tick()
    assert line.inbox() == {}


def test_waiters_of_a_dead_process_are_passed_over(desk: Any) -> None:
    line = desk(concurrency=1)
    line.ask("a")
    line.ask("b", process="dead")
    line.ask("c")
    line.later(1400).beat("a")
    line.later(1400).beat("a")
    line.end("a")
    assert line.inbox() == {"c": "granted"}
    assert line.ask("b", process="dead").startswith("queued"), "when it lives again it asks again"


def test_gated_calls_never_exceed_the_slots(desk: Any) -> None:
    line = desk(concurrency=10)
    line.adjust("slots", 2)
    gated = {"process": "gate", "gated": True}
    assert [line.ask(name, **gated) for name in "abc"] == ["granted", "granted", "queued 1"]
    assert line.ask("direct", owner="other") == "granted"
    line.adjust("slots", 3)
    assert line.inbox("gate") == {"c": "granted"}
    assert line.seen_now().slots == 3


def test_a_late_begin_moves_the_charge(desk: Any) -> None:
    line = desk(requests_per_minute=1, window_seconds=5.0)
    line.ask("a")
    line.later(1001).tick()
    line.later(2000)
    assert line.begin("a") == "started"
    line.ask("b")
    line.later(4900).beat("a")
    assert line.inbox() == {}
    line.later(110).tick()
    assert line.inbox() == {"b": "granted"}


def test_a_start_is_charged_when_it_was_and_a_little_slack(desk: Any) -> None:
    line = desk(requests_per_minute=1, window_seconds=60.0)
    line.ask("a")
    began = line.now
    line.later(700)
    ages = [("a", line.fences["a"], line.now - began)]
    line.store.llm.tick(ACCOUNT, Caller(line.limits.as_json(), "p", started=ages, now_ms=line.now))
    line.ask("b")
    # A hundred ms of slack for the way from the grant to the wire, and the rest of a cell of 20 ms.
    end = (began + 100) // 20 * 20 + 20 + 60_000
    line.later(end - 1 - line.now).beat("a")
    assert line.inbox() == {}
    line.later(1).tick()
    assert line.inbox() == {"b": "granted"}


def test_a_start_is_never_charged_before_its_grant(desk: Any) -> None:
    line = desk(requests_per_minute=1, window_seconds=6.0)
    line.ask("a")
    ages = [("a", line.fences["a"], 5000)]
    line.store.llm.tick(ACCOUNT, Caller(line.limits.as_json(), "p", started=ages, now_ms=line.now))
    line.ask("b")
    line.later(5999).beat("a")
    assert line.inbox() == {}


def test_cells_stay_in_order_when_starts_are_told_late(desk: Any) -> None:
    line = desk(requests_per_minute=3, window_seconds=6.0)
    for name in "abc":
        line.ask(name)
    line.later(900).tick("c")
    ages = [("b", line.fences["b"], 300), ("a", line.fences["a"], 600)]
    line.store.llm.tick(ACCOUNT, Caller(line.limits.as_json(), "p", started=ages, now_ms=line.now))
    cells = [int(cell) for cell in line.store.client.lrange(line.store.keys.llm_part(ACCOUNT, "cells"), 0, -1)]
    assert cells == sorted(cells)
    assert len(cells) == 3
    assert line.seen_now().usage["requests"].used == 3
    line.later(5420).beat("a", "b", "c")
    assert line.seen_now().usage["requests"].used == 2, "a has left, 6.0 s after its start"


def test_waiters_may_join_with_any_operation(desk: Any) -> None:
    line = desk(concurrency=1)
    line.ask("a")
    asks = {name: line.ask_of() for name in "bc"}
    line.asks |= asks
    joined = list(asks.items())
    for _ in range(2):
        line.store.llm.tick(ACCOUNT, Caller(line.limits.as_json(), "p", now_ms=line.now, joined=joined))
    assert line.seen_now().waiting == 2
    line.end("a")
    assert line.inbox() == {"b": "granted"}


def test_a_process_that_lets_its_grants_lie_counts_as_dead(desk: Any) -> None:
    line = desk(concurrency=2)
    line.ask("a")
    line.ask("b")
    for name in "cde":
        line.ask(name, process="dying")
    line.ask("f")
    line.end("a")
    line.end("b")
    line.later(499).tick()
    assert line.inbox() == {}
    line.later(2).tick()
    assert line.inbox() == {"f": "granted"}, "before the second and a half of silence"
    assert line.inbox("dying") == {}
    assert [lease.id for lease in line.seen_now().leases] == ["f"]
    assert line.ask("c", process="dying") == "granted", "it lives: it joins again"


def test_pacing_follows_what_calls_really_use(desk: Any) -> None:
    line = desk(tokens_per_minute=1000, window_seconds=10.0, burst_seconds=0.0)
    assert [line.ask(name, output_tokens=100) for name in ("first", "second")] == ["granted", "queued 1"]
    line.cancel("second")
    line.end("first")
    for index in range(200):
        line.later(1000).ask(f"a{index}", output_tokens=100)
        line.end(f"a{index}")
    line.later(1000)
    assert [line.ask(name, output_tokens=100) for name in ("x", "y")] == ["granted", "granted"], "they use nothing"
