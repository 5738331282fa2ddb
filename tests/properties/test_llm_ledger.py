"""The books of an account, after every single operation, against books that are kept beside it: with crashes, stops,
cancellations, clocks that go back and calls that use less or more than they reserved.

What the cells of the window hold is what the calls in it used, or reserved where that is not known; nothing is refunded
twice or into another cell. A purse is overspent by no more than what its calls used beyond their reservations. Fences rise
with every grant. Nothing goes out while the account is held or drained.
"""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.llm.limits import Limits
from orchestrator.store.store import Store
from properties.test_llm_limiter import SEEDS, ask_of, crowd, error, some_limits
from support.ledger import Ledger
from support.line import ACCOUNT, EPOCH_MS, Line, Process

BUDGETS = {"owner:ann:tokens": 2500, "goal:g1:tokens": 1500, "owner:bob:usd": 400}


def kept(line: Line) -> Ledger:
    """Books for the line."""
    for purse, most in BUDGETS.items():
        line.store.llm.adjust(ACCOUNT, line.caller(), "budget", str(most), purse)
    ledger = Ledger(line, frozenset(purse.rpartition(":")[0] for purse in BUDGETS))

    def check() -> None:
        assert ledger.check() == []
        for purse, most in BUDGETS.items():
            assert line.spend().get(purse, 0) <= most + error(line, purse), purse

    line.after_each = check
    return ledger


@settings(max_examples=30)
@given(limits=some_limits(), seed=SEEDS, honest=st.booleans())
def test_the_books_balance_after_every_operation(store: Store, limits: Limits, seed: int, honest: bool) -> None:
    store.client.flushall()
    line = Line(store, limits, seed)
    ledger = kept(line)
    crowd(line, 50, honest)
    line.run(30_000)
    assert len(ledger.grants) > 10
    # A call that went back into the line and was granted again has the fence of the last time.
    last = {grant.call.id: index for index, grant in enumerate(ledger.grants)}
    order = sorted((call for call in line.calls if call.fence), key=lambda call: last[call.id])
    assert all(one.fence < other.fence for one, other in pairwise(order))


@settings(max_examples=20)
@given(seed=SEEDS, pauses=st.lists(st.tuples(st.booleans(), st.integers(0, 6000), st.integers(1, 1500)), max_size=4))
def test_nothing_goes_out_while_the_account_is_held_or_drained(
    store: Store, seed: int, pauses: list[tuple[bool, int, int]]
) -> None:
    store.client.flushall()
    line = Line(store, Limits(requests_per_minute=40, window_seconds=1.0, breaker_failures=1000), seed)
    ledger = kept(line)

    def say(what: str, value: int) -> None:
        store.llm.adjust(ACCOUNT, line.caller(), what, str(value), "said so")

    for drains, at, ms in pauses:
        if drains:
            line.at(at, lambda: say("drain", 1))
            line.at(at + ms, lambda: say("drain", 0))
        else:
            line.at(at, lambda ms=ms: say("hold", ms))  # type: ignore[misc]

    def arrive(process: Process) -> None:
        line.arrive(process, ask_of(line.random, process, 20), (1, 1, 1))

    for _ in range(60):
        process = line.random.choice(line.processes)
        line.at(line.random.randint(0, 6000), lambda process=process: arrive(process), process)  # type: ignore[misc]
    line.run(30_000)
    shut = [(EPOCH_MS + at, EPOCH_MS + at + ms, drains) for drains, at, ms in pauses]
    # The first `drain 0` ends all drains.
    ends = sorted(end for _, end, drains in shut if drains)
    shut = [(at, min([end, *(one for one in ends if drains and one > at)]), drains) for at, end, drains in shut]
    broken = [(grant.at, at, end) for grant in ledger.grants for at, end, _ in shut if at < grant.at < end]
    assert broken == []
    assert len(ledger.grants) == 60
