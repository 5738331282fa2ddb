"""Limits of a model beside those of its account, and limits that a provider states, on a real line."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from typing import Any

import pytest

from orchestrator.llm.errors import BreakerOpen, OverBudget, PermitLost, TooLarge, WaitOver
from orchestrator.llm.failures import InvalidProfiles
from orchestrator.llm.headers import Window
from orchestrator.llm.joint import JointLimiter, joint
from orchestrator.llm.limiter import Limiter
from orchestrator.llm.limits import Cost, Limits
from orchestrator.llm.lines import line_of, model_limits
from orchestrator.llm.profile_file import read_profiles
from orchestrator.llm.profiles import Profiles
from orchestrator.llm.windows import FleetLines, WindowKeeper
from orchestrator.store.store import Store
from support.invariants import unknown_keys
from support.servers import until

LARGE = "acme/large"
COST = Cost(10, 20)


def make(account: dict[str, Any], large: dict[str, Any] | None) -> Profiles:
    return read_profiles(
        {
            "accounts": {
                "acme": {
                    "kind": "self-hosted",
                    "base_url": "http://127.0.0.1:9/v1",
                    "limits": {"burst_seconds": 60} | account,
                }
            },
            "models": {
                "large": {"account": "acme", "limits": None if large is None else {"burst_seconds": 60} | large},
                "small": {"account": "acme"},
            },
        }
    )


class Both:
    """Two lines of one account."""

    def __init__(self, store: Store, account: dict[str, Any], large: dict[str, Any] | None) -> None:
        self.profiles = make(account, large)
        self.limiter = Limiter(store, self.profiles.limits() | model_limits(self.profiles))
        self.joint: JointLimiter = joint(self.limiter, store, self.profiles)

    def ask(self, line: str = LARGE, wait: float = 0.0, **more: Any) -> Any:
        return self.joint.acquire(line, more.pop("cost", COST), owner="o", wait_seconds=wait, **more)

    def used(self, line: str) -> tuple[int, int, int]:
        """Requests and tokens in the window, calls in flight."""
        usage = self.limiter.status(line).usage
        return usage["requests"].used, usage["tokens"].used, usage["concurrent"].used


@pytest.fixture
def both(store: Store) -> Iterator[Callable[..., Both]]:
    made: list[Both] = []

    def build(account: dict[str, Any] | None = None, large: dict[str, Any] | None = None) -> Both:
        made.append(Both(store, account or {}, {} if large is None else large))
        return made[-1]

    yield build
    for one in made:
        one.limiter.close()
    assert unknown_keys(store) == []


def test_names_of_lines() -> None:
    profiles = make({}, {"concurrency": 2})
    assert model_limits(profiles) == {LARGE: Limits(concurrency=2, burst_seconds=60.0)}
    assert (line_of(profiles, "large"), line_of(profiles, "small")) == (LARGE, "acme")
    assert line_of(make({}, None), "large") == "acme"
    clash = profiles.model_copy(update={"accounts": {**profiles.accounts, LARGE: profiles.accounts["acme"]}})
    with pytest.raises(InvalidProfiles, match=r"accounts\.acme/large: a model with limits of its own"):
        model_limits(clash)


def test_a_call_counts_on_both_lines_and_is_settled_on_both(both: Callable[..., Both]) -> None:
    one = both()
    with one.ask() as permit:
        assert (one.used(LARGE), one.used("acme")) == ((1, 30, 1), (1, 30, 1))
        permit.settle(Cost(10, 5), "large\1judge")
    assert (one.used(LARGE), one.used("acme")) == ((1, 15, 0), (1, 15, 0))
    one.ask("acme").unused()
    assert one.used(LARGE) == (1, 15, 0)


@pytest.mark.parametrize("end", ["unused", "abandon", "fail", "leave", "break"])
def test_however_it_ends_nothing_stays_in_flight(both: Callable[..., Both], end: str) -> None:
    one = both(large={"breaker_failures": 1}, account={"breaker_failures": 1})
    if end in ("leave", "break"):
        with suppress(ZeroDivisionError), one.ask():
            assert end == "leave" or 1 // 0
    else:
        permit = one.ask()
        permit.fail("500") if end == "fail" else getattr(permit, end)()
    tokens = 0 if end == "unused" else 30
    assert one.used(LARGE)[1:] == one.used("acme")[1:] == (tokens, 0)
    states = {line: one.limiter.status(line).breaker for line in (LARGE, "acme")}
    assert set(states.values()) == {"open" if end == "fail" else "closed"}


def test_a_model_at_its_limit_leaves_the_account_to_others(both: Callable[..., Both]) -> None:
    one = both(account={"requests_per_minute": 10}, large={"requests_per_minute": 2})
    permits = [one.ask() for _ in range(2)]
    with pytest.raises(WaitOver, match="account acme/large: no turn"):
        one.ask()
    assert one.used("acme")[0] == 2
    permits += [one.ask("acme") for _ in range(8)]
    assert one.used("acme")[0] == 10
    for permit in permits:
        permit.settle(COST)


@pytest.mark.parametrize(
    ("account", "cost", "error"),
    [
        ({"requests_per_minute": 1}, COST, WaitOver),
        ({"tokens_per_minute": 100}, Cost(90, 20), TooLarge),
        ({"concurrency": 1}, COST, WaitOver),
    ],
)
def test_what_the_account_refuses_costs_the_model_nothing(
    both: Callable[..., Both], account: dict[str, Any], cost: Cost, error: type[Exception]
) -> None:
    one = both(account=account)
    held = one.ask("acme", cost=Cost(1, 1))
    with pytest.raises(error):
        one.ask(cost=cost)
    assert one.used(LARGE) == (0, 0, 0)
    held.settle(Cost(1, 1))


def test_a_budget_and_a_breaker_of_the_account_refuse_too(both: Callable[..., Both]) -> None:
    one = both()
    one.limiter.set_budget("acme", owner="o", tokens=5)
    with pytest.raises(OverBudget):
        one.ask()
    one.limiter.forget("acme", owner="o")
    permit = one.ask()
    permit.open(60, "insufficient_quota")
    permit.abandon()
    with pytest.raises(BreakerOpen, match="account acme: "):
        one.ask()
    assert one.used(LARGE) == (1, 30, 0)


def test_a_429_holds_the_model_and_not_the_account(both: Callable[..., Both]) -> None:
    one = both()
    permit = one.ask()
    permit.hold(60, "rate_limit")
    permit.abandon()
    assert one.limiter.status(LARGE).hold_seconds > 50
    one.ask("acme").unused()
    with pytest.raises(WaitOver):
        one.ask()


def test_an_interrupted_wait_gives_the_models_permit_back(
    both: Callable[..., Both], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = both()
    whole = one.limiter.acquire

    def interrupted(account: str, cost: Cost, **more: Any) -> Any:
        if account == "acme":
            raise KeyboardInterrupt
        return whole(account, cost, **more)

    monkeypatch.setattr(one.limiter, "acquire", interrupted)
    with pytest.raises(KeyboardInterrupt):
        one.ask()
    assert one.used(LARGE) == (0, 0, 0)


def test_a_charge_does_not_leave_the_models_window_while_its_call_waits_for_the_account(
    both: Callable[..., Both],
) -> None:
    one = both(account={"concurrency": 1}, large={"requests_per_minute": 1, "window_seconds": 1.5})
    held = one.ask("acme")
    with ThreadPoolExecutor(1) as pool:
        waits = pool.submit(one.ask, wait=30.0)
        until(lambda: one.limiter.status("acme").waiting == 1, what="it waits for the account")
        began = one.limiter.status(LARGE).at_ms
        until(lambda: one.limiter.status(LARGE).at_ms - began > 4000, what="more than two windows go by")
        with pytest.raises(WaitOver):
            one.ask()
        assert one.used(LARGE) == (1, 30, 1)
        before = one.limiter.status(LARGE).at_ms
        held.settle(COST)
        permit = waits.result(20)
        with pytest.raises(WaitOver):
            one.ask()
        permit.settle(COST)
        one.ask(wait=20.0).unused()
        assert one.limiter.status(LARGE).at_ms - before >= 1500, "its window began when it went out, not when it asked"


def test_when_the_models_permit_is_lost_both_are_taken_anew(both: Callable[..., Both]) -> None:
    one = both()
    answers = iter([False, True])
    seconds = count()
    slow = JointLimiter(one.limiter, one.joint._lines, lambda *_: next(answers), lambda: float(next(seconds)))
    permit = slow.acquire(LARGE, COST, owner="o", wait_seconds=30)
    assert (one.used(LARGE), one.used("acme")) == ((1, 30, 1), (1, 30, 1))
    permit.settle(COST)
    assert next(answers, None) is None


def test_a_lost_lease_of_one_line_still_ends_the_other(both: Callable[..., Both], store: Store) -> None:
    one = both()
    permit = one.ask()
    held = store.keys.llm_part("acme", "held")
    store.client.delete(held)
    with pytest.raises(PermitLost):
        permit.settle(Cost(1, 1))
    assert one.used(LARGE) == (1, 2, 0)


def test_many_calls_of_both_kinds_end_and_no_line_is_exceeded(both: Callable[..., Both]) -> None:
    one = both(account={"concurrency": 4}, large={"concurrency": 2})
    flying: dict[str, int] = {LARGE: 0, "acme": 0}
    most = dict(flying)
    lock = threading.Lock()

    def call(index: int) -> None:
        line = LARGE if index % 2 else "acme"
        with one.ask(line, wait=60.0) as permit:
            for name in {line, "acme"}:
                with lock:
                    flying[name] += 1
                    most[name] = max(most[name], flying[name])
            for name in {line, "acme"}:
                with lock:
                    flying[name] -= 1
            permit.settle(COST)

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(call, range(120)))
    assert most[LARGE] <= 2
    assert most["acme"] <= 4
    assert one.used(LARGE) == (60, 60 * 30, 0)
    assert one.used("acme") == (120, 120 * 30, 0)


# -- what providers state -------------------------------------------------------------------------------------------------


def test_a_stated_limit_counts_for_every_process_and_an_operators_stands_over_it(
    both: Callable[..., Both], store: Store
) -> None:
    one = both(account={"requests_per_minute": 500})
    now = [0.0]
    keeper = WindowKeeper(FleetLines(one.limiter, store), lambda: now[0])
    keeper("acme", {"requests": Window(100, 99, 0.6), "tokens": Window(5000, 4990, 0.1)})
    usage = Limiter(store, one.profiles.limits()).status("acme").usage
    assert (usage["requests"].limit, usage["tokens"].limit) == (100, 5000)
    one.limiter.set_limits("acme", {"requests_per_minute": 300, "tokens_per_minute": 5000})
    other = WindowKeeper(FleetLines(one.limiter, store), lambda: now[0])
    other("acme", {"requests": Window(90, 89, 0.6), "tokens": Window(4000, 3990, 0.1)})
    usage = one.limiter.status("acme").usage
    assert (usage["requests"].limit, usage["tokens"].limit) == (300, 4000)


def test_less_that_remains_at_the_provider_holds_the_account(both: Callable[..., Both], store: Store) -> None:
    one = both(account={"requests_per_minute": 100})
    keeper = WindowKeeper(FleetLines(one.limiter, store))
    one.ask("acme").settle(COST)
    keeper("acme", {"requests": Window(100, 49, 30.6)})
    seen = one.limiter.status("acme")
    assert 20 < seen.hold_seconds <= 30
    assert seen.hold_reason == "the provider has less left: requests"
