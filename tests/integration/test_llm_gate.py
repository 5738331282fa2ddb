"""Gated calls: joined by anybody, granted through an inbox that gates share, begun by the process that makes the call."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.llm.errors import PermitLost
from orchestrator.llm.limiter import Limiter
from orchestrator.llm.limits import Cost, Limits
from orchestrator.store.llm import GATE
from orchestrator.store.llm_records import Outcome, Word
from orchestrator.store.store import Store
from support import gatekeeper
from support.desk import ACCOUNT
from support.invariants import unknown_keys
from support.servers import until

ONE = Cost(1, 0)
GATED = {"process": GATE, "gated": True}


class Gate:
    """A limiter, and the words that its gate published."""

    def __init__(self, store: Store, **limits: Any) -> None:
        self.limiter = Limiter(store, {ACCOUNT: Limits(**limits)})
        self.words: dict[str, list[Word]] = {}
        self.calls = False
        """Each call that is granted is begun and ended at once."""
        self._lock = threading.Lock()

    def open(self) -> Gate:
        self.limiter.open_gate(ACCOUNT, self.publish)
        until(lambda: self.limiter._store.client.zscore(f"{{llm:{ACCOUNT}}}:live", GATE), what="the gate lives")
        return self

    def publish(self, word: Word) -> None:
        with self._lock:
            self.words.setdefault(word.id, []).append(word)
        if self.calls:
            permit = self.limiter.take_up(ACCOUNT, word.id, word.fence, "n", ONE)
            assert permit is not None
            permit.settle(ONE)

    def join(self, name: str, cost: Cost = ONE, **fields: Any) -> Word:
        return self.limiter.join(ACCOUNT, name, cost, **({"nonce": "n", "owner": "o", "goal": "g"} | fields))

    def outcomes(self) -> dict[str, list[str]]:
        return {name: [str(word.outcome) for word in words] for name, words in self.words.items()}


@pytest.fixture
def gate(store: Store) -> Iterator[Callable[..., Gate]]:
    made: list[Gate] = []

    def make(**limits: Any) -> Gate:
        made.append(Gate(store, **limits))
        return made[-1]

    yield make
    for one in made:
        one.limiter.close()
    assert unknown_keys(store) == []


# -- with time in the test's hand -----------------------------------------------------------------------------------------


def test_without_a_gate_gated_calls_wait_and_let_direct_ones_pass(desk: Any) -> None:
    line = desk(concurrency=2)
    outside = line.caller(process="")
    for name in "ab":
        line.asks[name] = line.ask_of(goal="g", **GATED)
        assert line.store.llm.acquire(ACCOUNT, outside, name, line.asks[name]).outcome == "queued"
    assert line.ask("direct", goal="h") == "granted"
    assert line.ask("other", owner="p") == "granted"
    assert line.inbox(GATE) == {}
    line.end("direct")
    line.tick(process=GATE)
    assert line.inbox(GATE) == {"a": "granted"}


def test_many_gated_flows_cost_a_direct_call_nothing(desk: Any) -> None:
    line = desk(concurrency=50)
    line.adjust("slots", 0)
    for index in range(300):
        line.ask(f"g{index}", goal=f"goal{index}", **GATED)
    assert line.tick(process=GATE).alarm_ms > line.now, "nobody is told to come back at once"
    assert line.ask("direct", owner="other") == "granted"
    line.adjust("slots", 300)
    assert len(line.inbox(GATE)) == 49


def test_a_caller_without_a_process_wakes_a_gate_once(desk: Any) -> None:
    line = desk(requests_per_minute=1)
    line.tick(process=GATE)
    line.ask("a")
    line.end("a")
    line.later(1400).tick(process=GATE)
    line.later(1400)
    for name in "bc":
        ask = line.ask_of(**GATED)
        assert line.store.llm.acquire(ACCOUNT, line.caller(process=""), name, ask).outcome == "queued"
    assert line.store.client.lrange(line.store.keys.llm_part(ACCOUNT, f"in:{GATE}"), 0, -1) == [""]
    assert line.tick(process=GATE).alarm_ms > line.now, "it is elected"


def test_a_granted_call_that_did_not_begin_can_leave(desk: Any) -> None:
    line = desk(requests_per_minute=1)
    line.ask("a", **GATED)
    line.ask("b")
    assert line.cancel("a").outcome is Outcome.CANCELLED
    assert line.inbox() == {"b": "granted"}
    assert line.begin("a") == "lost"
    line.ask("c", **GATED)
    line.end("b")
    assert line.begin("b") == "lost"


# -- on the real clock ------------------------------------------------------------------------------------------------------


def test_a_call_of_no_process_goes_out_through_the_gate_when_the_window_has_room(gate: Callable[..., Gate]) -> None:
    one = gate(requests_per_minute=1, window_seconds=0.5).open()
    outside = gate(requests_per_minute=1, window_seconds=0.5)
    outside.limiter.acquire(ACCOUNT, ONE, owner="a").settle(ONE)
    outside.limiter.close()
    assert outside.join("x").outcome is Outcome.QUEUED
    until(lambda: "x" in one.words, what="the window has room")
    [word] = one.words["x"]
    permit = one.limiter.take_up(ACCOUNT, "x", word.fence, "n", ONE)
    assert permit is not None
    assert one.limiter.status(ACCOUNT).leases[0].started
    permit.settle(ONE)
    assert one.limiter.take_up(ACCOUNT, "x", word.fence, "n", ONE) is None


def test_joining_twice_is_joining_once(gate: Callable[..., Gate]) -> None:
    one = gate(concurrency=1).open()
    first = one.join("x")
    assert first.outcome is Outcome.GRANTED
    assert one.join("x") == first
    assert one.join("x", nonce="other").outcome is Outcome.TAKEN
    assert [one.join("y").outcome, one.join("y").outcome] == [Outcome.QUEUED, Outcome.QUEUED]
    assert one.limiter.leave(ACCOUNT, "y").outcome is Outcome.CANCELLED
    assert one.limiter.leave(ACCOUNT, "y").outcome is Outcome.UNKNOWN


@pytest.mark.parametrize("wrong", [{"id": "a b"}, {"id": ""}, {"owner": ""}])
def test_arguments_that_make_no_sense_are_refused(gate: Callable[..., Gate], wrong: dict[str, str]) -> None:
    fields: dict[str, Any] = {"account": ACCOUNT, "id": "a", "cost": ONE, "nonce": "n", "owner": "o", "goal": ""}
    with pytest.raises(ValueError, match=r"^(id|owner)"):
        gate().limiter.join(**(fields | wrong))


def test_gates_compete_and_each_word_reaches_one(gate: Callable[..., Gate]) -> None:
    limits = {"requests_per_minute": 10, "window_seconds": 0.2}
    gates = [gate(**limits) for _ in range(3)]
    for one in gates:
        one.calls = True
        one.open()
    outside = gate(**limits)
    outside.calls = True
    names = [f"c{index}" for index in range(60)]
    for name in names:
        if (word := outside.join(name)).outcome is Outcome.GRANTED:
            outside.publish(word)
    until(lambda: sum(len(one.words) for one in [*gates, outside]) == 60, what="all are granted")
    heard = [name for one in [*gates, outside] for name, words in one.words.items() for _ in words]
    assert sorted(heard) == sorted(names)


def test_what_a_gate_did_not_publish_goes_back_and_comes_again(gate: Callable[..., Gate]) -> None:
    one = gate(concurrency=1).open()
    blocker = one.limiter.acquire(ACCOUNT, ONE, owner="a")
    one.join("x")
    blocker.settle(ONE)
    until(lambda: len(one.words.get("x", [])) == 2, 20, "its claim ran out")
    first, second = one.words["x"]
    assert second.fence > first.fence
    assert one.limiter.take_up(ACCOUNT, "x", first.fence, "n", ONE) is None
    permit = one.limiter.take_up(ACCOUNT, "x", second.fence, "n", ONE)
    assert permit is not None
    permit.settle(ONE)
    assert one.limiter.status(ACCOUNT).leases == ()


def test_refusals_reach_the_gate(gate: Callable[..., Gate]) -> None:
    one = gate(concurrency=1, tokens_per_minute=100).open()
    blocker = one.limiter.acquire(ACCOUNT, ONE, owner="a")
    one.join("dear", Cost(50, 0), owner="poor")
    one.join("gone", goal="h")
    one.join("large", Cost(90, 0))
    one.limiter.set_budget(ACCOUNT, owner="poor", tokens=10)
    one.limiter.withdraw(ACCOUNT, "o", "h")
    one.limiter.set_limits(ACCOUNT, {"tokens_per_minute": 80})
    one.join("last", owner="zed")
    until(lambda: len(one.words) == 2, what="two are refused; of the withdrawn one nobody need hear")
    one.limiter.open_breaker(ACCOUNT, 30, "down")
    until(lambda: len(one.words) == 3, what="all are refused")
    assert one.outcomes() == {
        "dear": ["over_budget"], "large": ["too_large"], "last": ["breaker"],
    }  # fmt: skip
    assert one.join("no").outcome is Outcome.BREAKER
    blocker.settle(ONE)


def test_the_lease_lasts_as_who_takes_it_up_says_and_is_renewed(gate: Callable[..., Gate], store: Store) -> None:
    one = gate(concurrency=1).open()
    word = one.join("x")
    permit = one.limiter.take_up(ACCOUNT, "x", word.fence, "n", ONE, ttl_seconds=2)
    assert permit is not None
    lease = one.limiter.status(ACCOUNT).leases[0]
    assert lease.ends_in <= 2
    until(lambda: one.limiter.status(ACCOUNT).leases[0].seconds > 2.5, what="it outlives its lease")
    store.client.delete(store.keys.llm_part(ACCOUNT, "held"), store.keys.llm_part(ACCOUNT, "leases"))
    with pytest.raises(PermitLost):
        permit.settle(ONE)


def test_settled_calls_teach(gate: Callable[..., Gate], store: Store) -> None:
    one = gate()
    for tokens in (5, 7):
        one.limiter.acquire(ACCOUNT, Cost(1, 10), owner="a").settle(Cost(1, tokens), learn="small\1writer")
    one.limiter.acquire(ACCOUNT, Cost(1, 10), owner="a").settle(Cost(1, 9))
    assert store.llm.learned(ACCOUNT, "small", "writer") == [7, 5]
    assert store.llm.learned(ACCOUNT, "small", "") == []
    key = store.keys.llm_part(ACCOUNT, "learned:small\1writer")
    store.client.rpush(key, *range(300))
    one.limiter.acquire(ACCOUNT, Cost(1, 10), owner="a").settle(Cost(1, 8), learn="small\1writer")
    assert store.llm.learned(ACCOUNT, "small", "writer")[:3] == [8, 7, 5]
    assert store.client.llen(key) == 200
    assert 0 < store.client.ttl(key) <= 7 * 86400


def test_a_gate_survives_a_cut_connection(gate: Callable[..., Gate], store: Store) -> None:
    one = gate(concurrency=1).open()
    blocker = one.limiter.acquire(ACCOUNT, ONE, owner="a")
    one.join("x")
    store.client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    blocker.settle(ONE)
    until(lambda: "x" in one.words, 20, "the gate has read on")


def test_another_gate_keeps_time_when_the_one_that_did_is_killed(gate: Callable[..., Gate], store: Store) -> None:
    outside = gate(requests_per_minute=1, window_seconds=gatekeeper.WINDOW_SECONDS)
    script = str(Path(gatekeeper.__file__))
    keeper = subprocess.Popen([sys.executable, "-P", script, store.url, ACCOUNT])
    try:
        until(lambda: store.client.zscore(store.keys.llm_part(ACCOUNT, "live"), GATE), 30, "its gate lives")
        assert outside.join("first").outcome is Outcome.GRANTED
        assert outside.limiter.leave(ACCOUNT, "first").outcome is Outcome.CANCELLED
        outside.limiter.hold(ACCOUNT, 2.5, "test")
        assert outside.join("x").outcome is Outcome.QUEUED
        until(lambda: store.client.hget(store.keys.llm(ACCOUNT), "pacer"), what="it is elected")
        other = gate(requests_per_minute=1, window_seconds=gatekeeper.WINDOW_SECONDS).open()
    finally:
        keeper.send_signal(signal.SIGKILL)
        keeper.wait(10)
    until(lambda: "x" in other.words, 20, "the other one ticks")
