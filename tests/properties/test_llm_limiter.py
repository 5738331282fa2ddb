"""The limiter under random arrivals, costs, crashes, stops and clocks, with simulated time on the real scripts.

At every prefix: no window holds more than the limits (I7), by a recount of what really went out and by the rule that reads
the events; nobody starves; refunds balance; budgets are not overspent.
"""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.events.rules.permits import check_permits
from orchestrator.llm.limits import Limits
from orchestrator.store.llm_records import Ask
from orchestrator.store.store import Store
from support.line import ACCOUNT, CLAIM_MS, EPOCH_MS, TTL_MS, Line, Process

SEEDS = st.integers(0, 2**32)
OWNERS = ("ann", "bob", "cyd")


@st.composite
def some_limits(draw: st.DrawFn) -> Limits:
    """Short windows, so that many of them pass."""
    return Limits(
        requests_per_minute=draw(st.none() | st.integers(5, 40)),
        input_tokens_per_minute=draw(st.none() | st.integers(200, 3000)),
        output_tokens_per_minute=draw(st.none() | st.integers(200, 3000)),
        tokens_per_minute=draw(st.none() | st.integers(300, 4000)),
        concurrency=draw(st.none() | st.integers(1, 8)),
        window_seconds=draw(st.sampled_from([1.0, 2.0, 5.0])),
        burst_seconds=draw(st.sampled_from([None, 0.0, 0.5, 10.0])),
        breaker_failures=1000,
    )


def ask_of(rnd: random.Random, process: Process, most: int = 200) -> Ask:
    """What somebody asks for; never more than the smallest limit."""
    goal = rnd.choice(["", "g1", "g2"])
    return Ask(
        rnd.randint(0, most // 2), rnd.randint(0, most // 2), rnd.randint(0, 50), rnd.choice(OWNERS), goal, process.name,
        process.name, CLAIM_MS, TTL_MS, rnd.choice([-1, 0, 0, 9]), rnd.choice([0.5, 1.0, 3.0]), rnd.choice([1.0, 2.0]),
    )  # fmt: skip


def undrain(line: Line) -> None:
    line.store.llm.adjust(ACCOUNT, line.caller(), "drain", "0")


def disturb(line: Line) -> None:
    """One thing that goes wrong."""
    rnd, process = line.random, line.random.choice(line.processes)
    what = rnd.choice(["crash", "freeze", "freeze", "cancel", "clock", "outside"])
    if what == "crash" and sum(one.alive for one in line.processes) > 1 and rnd.random() < 0.5:
        line.crash(process)
    elif what == "freeze":
        line.freeze(process, rnd.choice([100, 700, 1200, 2500, 6000]))
    elif what == "cancel" and process.alive and process.waiting and process.frozen_until <= line.now:
        line.cancel(process, rnd.choice(list(process.waiting.values())))
    elif what == "clock":
        line.clock_error += rnd.choice([50, 900])  # back; a clock that jumps ahead shortens every window by its jump
    elif what == "outside":
        key = rnd.choice(["429", "drain"])
        outside = line.caller()
        if key == "429":
            line.store.llm.adjust(ACCOUNT, outside, "throttled", str(rnd.randint(0, 800)), f"{rnd.randint(0, 90)} 429")
        else:
            line.store.llm.adjust(ACCOUNT, outside, "drain", "1")
            line.at(rnd.randint(1, 1500), lambda: undrain(line))


def crowd(line: Line, calls: int, honest: bool = True) -> None:
    """Plan so many arrivals over a few seconds, and some disturbances."""
    rnd = line.random

    def arrive(process: Process) -> None:
        ask = ask_of(rnd, process)
        most = 1.0 if honest else 2.0
        used = tuple(
            int(amount * rnd.uniform(0, most)) for amount in (ask.input_tokens, ask.output_tokens, ask.micro_usd)
        )
        line.arrive(process, ask, (used[0], used[1], used[2]))

    for _ in range(calls):
        process = rnd.choice(line.processes)
        line.at(rnd.randint(0, 6000), lambda process=process: arrive(process), process)  # type: ignore[misc]
    for _ in range(rnd.randint(0, 6)):
        line.at(rnd.randint(0, 8000), lambda: disturb(line))


@settings(max_examples=40)
@given(limits=some_limits(), seed=SEEDS)
def test_no_window_ever_holds_more_than_the_limits_and_nobody_starves(store: Store, limits: Limits, seed: int) -> None:
    store.client.flushall()
    line = Line(store, limits, seed)
    crowd(line, 80)

    def within() -> None:
        if limits.concurrency is not None:
            assert store.client.zcard(store.keys.llm_part(ACCOUNT, "leases")) <= limits.concurrency

    line.after_each = within
    for _ in range(40):
        line.run(10_000)
        if not any(one.alive and (one.waiting or one.calling) for one in line.processes):
            break

    assert line.overrun() == []
    events = list(store.llm.events(ACCOUNT, most=100_000))
    assert [str(fault) for fault in check_permits(events)] == []
    alive = {one.name for one in line.processes if one.alive}
    starved = [call.id for call in line.calls if call.ask.process in alive and call.answered is None]
    assert starved == []
    assert sum(call.began is not None for call in line.calls) >= len(line.calls) / 4
    line.run(20_000)
    assert line.leftovers() == {}
    assert_spend_balances(line)


def assert_spend_balances(line: Line) -> None:
    """Spent is what calls used; what a lost holder had reserved may stay, the call may have been made."""
    began = [call for call in line.calls if call.began is not None]
    least = sum(call.used[0] + call.used[1] for call in began if not call.lost)
    reserved = sum(
        call.ask.input_tokens + call.ask.output_tokens
        for call in line.calls
        if call.lost or (call.answered is not None and call.began is None and not call.refused.startswith("cancel"))
    )
    # Grants that lay in the inbox of a process when it crashed were taken back: they weigh nothing.
    assert least <= line.spend().get("account:tokens", 0) <= least + reserved
    assert sum(line.spend().get(f"owner:{owner}:tokens", 0) for owner in OWNERS) == line.spend().get(
        "account:tokens", 0
    )


@settings(max_examples=20)
@given(seed=SEEDS, honest=st.booleans())
def test_budgets_are_not_overspent_beyond_the_error_of_the_reservations(store: Store, seed: int, honest: bool) -> None:
    store.client.flushall()
    line = Line(store, Limits(requests_per_minute=30, window_seconds=1.0, breaker_failures=1000), seed)
    budgets = {"owner:ann:tokens": 1500, "goal:g1:tokens": 900, "owner:bob:usd": 300}
    for purse, most in budgets.items():
        store.llm.adjust(ACCOUNT, line.caller(), "budget", str(most), purse)

    def within() -> None:
        spent = line.spend()
        for purse, most in budgets.items():
            assert spent.get(purse, 0) <= most + error(line, purse), purse

    line.after_each = within
    crowd(line, 120, honest)
    line.run(60_000)
    refused = [call for call in line.calls if call.refused.startswith("over_budget")]
    assert refused
    assert {call.refused.split(" ")[1] for call in refused} <= {"owner:ann", "goal:g1", "owner:bob"}


def error(line: Line, purse: str) -> int:
    """How much more than reserved the settled calls of a purse have used."""
    kind, name, unit = purse.split(":")
    total = 0
    for call in line.calls:
        if call.ended is not None and (call.ask.owner if kind == "owner" else call.ask.goal) == name:
            reserved = (call.ask.input_tokens + call.ask.output_tokens, call.ask.micro_usd)
            used = (call.used[0] + call.used[1], call.used[2])
            index = int(unit == "usd")
            total += max(0, used[index] - reserved[index])
    return total


@pytest.mark.parametrize("seed", range(3))
def test_the_recount_notices_a_limit_that_is_not_kept(store: Store, seed: int) -> None:
    line = Line(store, Limits(requests_per_minute=10, window_seconds=2.0), seed)
    crowd(line, 80)
    line.run(60_000)
    assert line.overrun() == []
    line.limits = Limits(requests_per_minute=9, window_seconds=2.0)
    assert line.overrun()


@settings(max_examples=15)
@given(seed=SEEDS, flood=st.integers(30, 60))
def test_owners_get_equal_shares_whatever_one_of_them_floods(store: Store, seed: int, flood: int) -> None:
    store.client.flushall()
    line = Line(store, Limits(requests_per_minute=40, window_seconds=2.0), seed, processes=1)
    [process] = line.processes

    def one_more(owner: str) -> None:
        cost = line.random.randint(10, 100)
        ask = Ask(cost, 0, 0, owner, "", process.name, process.name, CLAIM_MS, TTL_MS)
        line.arrive(process, ask, (cost, 0, 0))

    for owner, count in (("flood", flood), ("s1", 4), ("s2", 4)):
        for _ in range(count * 8):
            line.at(line.random.randint(0, 10), lambda owner=owner: one_more(owner))  # type: ignore[misc]
    line.run(2_000)
    began = {
        owner: [call for call in line.calls if call.ask.owner == owner and call.began]
        for owner in ("flood", "s1", "s2")
    }
    early = {owner: sum((call.began or 0) - EPOCH_MS < 2_000 for call in calls) for owner, calls in began.items()}
    assert max(early.values()) - min(early.values()) <= 2, early
