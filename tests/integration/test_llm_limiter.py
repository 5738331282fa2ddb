"""The limiter as code uses it: threads on a real server and the real clock."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from orchestrator.events.rules.permits import check_permits
from orchestrator.llm.errors import BreakerOpen, OverBudget, PermitLost, TooLarge, WaitOver, Withdrawn
from orchestrator.llm.limiter import Limiter
from orchestrator.llm.limits import Cost, Limits
from orchestrator.store.store import Store
from support.invariants import unknown_keys
from support.servers import until

ONE = Cost(1, 0)


@pytest.fixture
def limiter(store: Store) -> Iterator[Callable[..., Limiter]]:
    """Makes limiters for the account "acme"."""
    made: list[Limiter] = []

    def make(**limits: Any) -> Limiter:
        made.append(Limiter(store, {"acme": Limits(**limits)}))
        return made[-1]

    yield make
    for one in made:
        one.close()
    assert unknown_keys(store) == []


def waiting(one: Limiter, count: int) -> None:
    until(lambda: one.status("acme").waiting == count, what=f"{count} wait")


def started(action: Callable[[], Any]) -> Future[Any]:
    """What the action gives, or raises, once it is done."""
    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(action())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def test_threads_share_the_places(limiter: Callable[..., Limiter]) -> None:
    one = limiter(concurrency=3)
    inside: list[int] = []
    most = Counter[str]()
    lock = threading.Lock()

    def call(index: int) -> None:
        with one.acquire("acme", ONE, owner=f"o{index % 3}"):
            with lock:
                inside.append(index)
                most["calls"] = max(most["calls"], len(inside))
            time.sleep(0.002)
            with lock:
                inside.remove(index)

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(call, range(120)))
    assert most["calls"] == 3
    seen = one.status("acme")
    assert (seen.waiting, seen.leases, seen.usage["requests"].used) == (0, (), 120)
    assert check_permits(one._store.llm.events("acme", most=10_000)) == []


def test_a_wait_that_runs_out_says_so_and_leaves_nothing(limiter: Callable[..., Limiter]) -> None:
    one = limiter(concurrency=1)
    with one.acquire("acme", ONE, owner="a"):
        with pytest.raises(
            WaitOver, match=r"account acme: no turn within 0\.05 s, next of its own goal; .* concurrent \(1 of 1\)"
        ):
            one.acquire("acme", ONE, owner="a", wait_seconds=0.05)
        assert one.status("acme").waiting == 0
    with one.acquire("acme", ONE, owner="a", wait_seconds=0):
        pass


def test_the_timer_lets_waiters_out_when_the_window_does(limiter: Callable[..., Limiter]) -> None:
    one = limiter(requests_per_minute=20, window_seconds=0.5)
    begun = time.monotonic()
    with ThreadPoolExecutor(10) as pool:
        list(pool.map(lambda _: one.acquire("acme", ONE, owner="a").settle(ONE), range(60)))
    assert 0.9 <= time.monotonic() - begun <= 5


def test_errors_say_why(limiter: Callable[..., Limiter]) -> None:
    one = limiter(tokens_per_minute=100)
    with pytest.raises(TooLarge, match="limit of tokens"):
        one.acquire("acme", Cost(60, 41), owner="a")
    one.set_budget("acme", owner="poor", tokens=10)
    with pytest.raises(OverBudget, match="owner:poor"):
        one.acquire("acme", Cost(11, 0), owner="poor")
    with one.acquire("acme", ONE, owner="a") as permit:
        permit.open(30, "insufficient_quota")
    with pytest.raises(BreakerOpen, match="insufficient_quota"):
        one.acquire("acme", ONE, owner="a")
    one.close_breaker("acme")
    one.acquire("acme", ONE, owner="a").settle(ONE)


@pytest.mark.parametrize(
    "wrong",
    [
        {"account": "a{b}"}, {"owner": ""}, {"owner": "a\x01b"}, {"goal": "a\nb"}, {"weight": 0}, {"ttl_seconds": 0.5},
        {"owner_weight": float("nan")},
    ],
)  # fmt: skip
def test_arguments_that_make_no_sense_are_refused(limiter: Callable[..., Limiter], wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"account|owner|goal|weight|ttl"):
        limiter().acquire(**{"account": "acme", "cost": ONE, "owner": "a", **wrong})


def test_a_block_that_raises_is_settled_as_reserved(limiter: Callable[..., Limiter]) -> None:
    one = limiter(concurrency=1)
    with pytest.raises(RuntimeError, match="mine"), one.acquire("acme", Cost(5, 5), owner="a"):
        raise RuntimeError("mine")
    seen = one.status("acme")
    assert (seen.usage["tokens"].used, seen.leases, seen.breaker) == (10, (), "closed")


def test_leases_are_renewed_and_a_lost_one_is_noticed(limiter: Callable[..., Limiter], store: Store) -> None:
    one = limiter(concurrency=1)
    permit = one.acquire("acme", ONE, owner="a", ttl_seconds=2)
    first = one.status("acme").leases[0]
    until(lambda: one.status("acme").leases[0].seconds > 2.2, what="it outlives its lease")
    assert one.status("acme").leases[0].fence == first.fence
    permit.renew()
    store.client.delete(store.keys.llm_part("acme", "held"), store.keys.llm_part("acme", "leases"))
    with pytest.raises(PermitLost):
        permit.renew()
    with pytest.raises(PermitLost):
        permit.settle(ONE)
    permit.settle(ONE)


def test_a_goal_that_is_cancelled_leaves_the_line(limiter: Callable[..., Limiter]) -> None:
    one = limiter(concurrency=1)
    with one.acquire("acme", ONE, owner="a"):
        waiter = started(lambda: one.acquire("acme", ONE, owner="a", goal="g"))
        waiting(one, 1)
        assert one.withdraw("acme", "a", "g") == 1
        with pytest.raises(Withdrawn):
            waiter.result(10)


def test_another_process_of_the_line_is_woken(limiter: Callable[..., Limiter]) -> None:
    one, other = limiter(concurrency=1), limiter(concurrency=1)
    permit = one.acquire("acme", ONE, owner="a")
    waiter = started(lambda: other.acquire("acme", ONE, owner="a"))
    waiting(one, 1)
    permit.settle(ONE)
    assert waiter.result(10).fence > permit.fence


def test_waiters_join_again_when_redis_has_lost_everything(limiter: Callable[..., Limiter], store: Store) -> None:
    one = limiter(concurrency=1)
    lost = one.acquire("acme", ONE, owner="a")
    waiter = started(lambda: one.acquire("acme", ONE, owner="a"))
    waiting(one, 1)
    store.client.flushall()
    assert waiter.result(10).fence > lost.fence
    with pytest.raises(PermitLost):
        lost.settle(ONE)


def test_an_operator_can_hold_drain_and_change_limits(limiter: Callable[..., Limiter]) -> None:
    one = limiter(concurrency=1)
    one.drain("acme")
    waiter = started(lambda: one.acquire("acme", ONE, owner="a", goal="g"))
    waiting(one, 1)
    seen = one.status("acme")
    assert seen.draining
    assert [(flow.owner, flow.goal, flow.count) for flow in seen.flows] == [("a", "g", 1)]
    one.drain("acme", on=False)
    waiter.result(10).settle(ONE)
    one.hold("acme", 0.3, "maintenance")
    with pytest.raises(WaitOver, match="maintenance"):
        one.acquire("acme", ONE, owner="a", wait_seconds=0.01)
    one.acquire("acme", ONE, owner="a").settle(ONE)
    one.set_limits("acme", {"concurrency": 2})
    with one.acquire("acme", ONE, owner="a"), one.acquire("acme", ONE, owner="a", wait_seconds=5):
        assert one.status("acme").usage["concurrent"].limit == 2
    assert one.accounts() == ["acme"]


def test_a_fork_has_a_station_of_its_own(limiter: Callable[..., Limiter]) -> None:
    one = limiter(concurrency=5)
    one.acquire("acme", ONE, owner="a").settle(ONE)
    parent = one._station("acme")
    one._forget_parent()
    assert one._station("acme").process != parent.process
    parent.close()
    one.acquire("acme", ONE, owner="a").settle(ONE)
