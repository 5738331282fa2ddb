"""Holds, the factor, the breaker, draining, budgets, and what follows when Redis has lost writes."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.llm.errors import WaitOver
from orchestrator.llm.limiter import Limiter
from orchestrator.llm.limits import Cost, Limits
from orchestrator.store.llm_records import Outcome, Release
from orchestrator.store.store import Store
from support.desk import ACCOUNT

MINUTE = 60_000


def test_after_a_429_nothing_goes_out_until_the_hold_ends(desk: Any) -> None:
    line = desk(requests_per_minute=10)
    line.ask("a")
    line.adjust("throttled", 3000, f"{line.fences['a']} 429")
    assert line.ask("b") == "queued 1"
    line.later(2999).beat("a")
    assert line.inbox() == {}
    assert line.seen_now().hold_reason == "429"
    line.later(1).tick()
    assert line.inbox() == {"b": "granted"}


def test_the_factor_falls_once_for_all_calls_in_flight_and_grows_back(desk: Any) -> None:
    line = desk(requests_per_minute=10)
    for name in "abc":
        line.ask(name)
    outcomes = [line.adjust("throttled", 0, f"{line.fences[name]} 429") for name in "abc"]
    assert outcomes == ["adjusted", "unchanged", "unchanged"]
    assert line.seen_now().factor == pytest.approx(0.7)
    answers = [line.ask(f"d{index}") for index in range(5)]
    assert answers.count("granted") == 4, "7 of 10, 3 of them before"
    line.adjust("throttled", 0, f"{line.fences['d0']} 429")
    assert line.seen_now().factor == pytest.approx(0.49)
    line.later(2 * MINUTE).tick()
    assert line.seen_now().factor == pytest.approx(0.69)
    line.later(20 * MINUTE).tick()
    assert line.seen_now().factor == 1


def test_a_call_that_only_the_full_limit_can_carry_goes_out_alone(desk: Any) -> None:
    line = desk(tokens_per_minute=100, window_seconds=1.0)
    line.ask("a", 1)
    line.adjust("throttled", 0, f"{line.fences['a']} 429")
    line.end("a", 1)
    assert line.ask("b", 100) == "queued 1"
    line.later(1200).tick()
    assert line.inbox() == {"b": "granted"}


def test_failures_in_a_row_open_the_breaker_and_a_probe_closes_it(desk: Any) -> None:
    line = desk(breaker_failures=2, breaker_seconds=5.0, concurrency=3)
    for name in "abc":
        line.ask(name)
    assert line.ask("waits") == "queued 1"
    line.end("a", how=Release.FAILED, reason="500")
    assert line.inbox() == {"waits": "granted"}
    line.end("b", how=Release.FAILED, reason="503 busy")
    assert line.seen_now().breaker == "open"
    assert line.ask("d") == "breaker 503 busy"
    line.later(5001).beat("c", "waits")
    assert line.ask("probe") == "granted"
    assert line.ask("e") == "queued 1"
    assert line.seen_now().breaker == "half-open"
    line.end("c")
    assert line.seen_now().breaker == "half-open", "c was granted before the breaker opened: it is no probe"
    line.end("probe")
    assert line.seen_now().breaker == "closed"
    assert line.inbox() == {"e": "granted"}


def test_a_probe_that_fails_opens_it_for_twice_as_long(desk: Any) -> None:
    line = desk()
    line.adjust("open", 5000, "insufficient_quota")
    assert line.ask("a") == "breaker insufficient_quota"
    for wait in (5000, 10_000, 20_000):
        name = f"probe{wait}"
        line.later(wait)
        assert line.ask(name) == "granted"
        line.end(name, how=Release.FAILED, reason="still")
        assert line.seen_now().breaker_seconds == pytest.approx(2 * wait / 1000)
    line.adjust("close")
    assert line.ask("z") == "granted"


def test_a_probe_that_is_lost_makes_room_for_another(desk: Any) -> None:
    line = desk()
    line.adjust("open", 1000, "down")
    line.later(1000)
    assert line.ask("a") == "granted"
    line.tick("a")
    assert line.ask("b") == "queued 1"
    for _ in range(3):
        line.later(1400).beat()
    assert line.inbox() == {}
    line.later(1000).beat()
    assert line.inbox() == {"b": "granted"}
    line.end("b")
    assert line.seen_now().breaker == "closed"


def test_draining_lets_calls_end_and_grants_nothing(desk: Any) -> None:
    line = desk()
    line.ask("a")
    line.adjust("drain", 1)
    assert line.ask("b") == "queued 1"
    assert line.end("a") == "settled"
    assert line.inbox() == {}
    line.adjust("drain", 0)
    assert line.inbox() == {"b": "granted"}


def test_budgets_are_reserved_with_the_grant_and_settled_with_the_call(desk: Any) -> None:
    line = desk()
    line.adjust("budget", 100, "goal:g:tokens")
    line.adjust("budget", 50, "owner:o:usd")
    assert line.ask("a", 80, goal="g", micro_usd=20) == "granted"
    assert line.ask("b", 30, goal="g") == "over_budget goal:g"
    assert line.ask("c", 30, goal="h", micro_usd=31) == "over_budget owner:o"
    line.end("a", 70, usd=10)
    assert line.ask("b", 30, goal="g") == "granted"
    line.end("b", how=Release.UNUSED)
    seen = line.seen_now()
    assert seen.spend == {
        "account:tokens": 70, "owner:o:tokens": 70, "goal:g:tokens": 70, "account:usd": 10, "owner:o:usd": 10,
        "goal:g:usd": 10,
    }  # fmt: skip
    assert seen.budgets == {"goal:g:tokens": 100, "owner:o:usd": 50}
    line.adjust("forget", "goal:g")
    assert "goal:g:tokens" not in line.seen_now().spend


def test_after_lost_writes_calls_go_out_evenly_and_fences_stay_above_those_that_were_seen(desk: Any) -> None:
    line = desk(requests_per_minute=60, burst_seconds=60.0)
    line.ask("a")
    line.store.client.flushall()
    line.seen = 77
    assert line.ask("b") == "granted"
    assert line.fences["b"] > 77
    assert line.ask("c") == "queued 1", "without a burst"
    line.later(1000).tick()
    assert line.inbox() == {"c": "granted"}
    line.later(MINUTE).tick()
    assert {line.ask(f"d{index}") for index in range(20)} == {"granted"}, "one window later all is as before"


def test_fences_and_events_go_on_when_only_the_record_is_lost(desk: Any) -> None:
    line = desk()
    line.ask("a")
    line.store.client.delete(line.store.keys.llm(ACCOUNT))
    line.later(-1000)
    assert line.ask("b") == "granted", "its event has a stream id that is not below the last one's"


def test_scripts_that_the_server_forgot_are_sent_again(desk: Any) -> None:
    line = desk(concurrency=1)
    for step in (line.ask, line.begin, line.beat, line.end):
        line.store.client.script_flush()
        step("a")
    assert line.seen_now().usage["concurrent"].used == 0


def test_an_idle_account_leaves_no_line_and_no_window(desk: Any) -> None:
    line = desk(requests_per_minute=5, concurrency=1)
    for name in "abc":
        line.ask(name, 1)
    for name in "abc":
        line.inbox()
        line.end(name, 1)
    line.later(2 * MINUTE).tick()
    parts = {key.rpartition(":")[2] for key in line.store.client.scan_iter("{llm:*")}
    assert parts == {"state", "events", "spend", "live", "recent"}


def test_who_only_looks_brings_no_limits_of_his_own(store: Store) -> None:
    """Operators' commands and beat may have other profiles than the workers that call."""
    limiter, operator = Limiter(store, {"acme": Limits(requests_per_minute=1)}), Limiter(store, {})
    with limiter.acquire("acme", Cost(1, 1), owner="o"), pytest.raises(WaitOver):
        limiter.acquire("acme", Cost(1, 1), owner="o", wait_seconds=0.05)
    word = limiter.join("acme", "waiting", Cost(1, 1), nonce="n", owner="o", goal="")
    assert word.outcome is Outcome.QUEUED
    for look in (lambda: operator.status("acme"), lambda: operator.set_slots("acme", 5)):
        look()
    seen = operator.status("acme")
    assert (seen.usage["requests"].limit, seen.waiting) == (1, 1)
    limiter.close()
