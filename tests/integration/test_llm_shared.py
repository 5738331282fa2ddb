"""Answers and calls that processes share through Redis."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from orchestrator.llm.client import Client
from orchestrator.llm.errors import OverBudget
from orchestrator.llm.failures import (
    CallFailed,
    Failure,
    FailureKind,
    LlmCancelled,
    LlmDeadline,
    LlmRefused,
    LlmUnavailable,
)
from orchestrator.llm.messages import Reply, ToolCall, Usage
from orchestrator.llm.scripted import Scripted, Step
from orchestrator.llm.shared import MOST_BYTES, SharedCache, SharedFlights
from orchestrator.llm.sharing import request_hash
from orchestrator.llm.upkeep import Upkeep
from orchestrator.store.keys import Keys
from orchestrator.store.llm_shared import SharedCalls
from orchestrator.store.store import Store
from support.invariants import unknown_keys
from support.model_calls import Open, ask, profiles
from support.servers import server, until

KEY = "0" * 64
REPLY = Reply(
    text="Yes \u2603", parsed={"a": [1, None]}, tool_calls=(ToolCall(id="1", name="f", arguments="{"),), finish_reason="stop",
    model="a", account="first", usage=Usage(input_tokens=3, output_tokens=5), micro_usd=7,
)  # fmt: skip


@pytest.fixture
def calls(store: Store) -> Iterator[SharedCalls]:
    yield SharedCalls(store)
    assert unknown_keys(store) == []


@pytest.fixture
def away() -> Iterator[SharedCalls]:
    """On a server that is gone."""
    with server() as one:
        lost = Store(one.url, Keys(), 2000)
        lost.client.ping()
        one.stop(signal.SIGKILL)
        yield SharedCalls(lost)
        lost.close()


def never() -> bool:
    return False


# -- cache ----------------------------------------------------------------------------------------------------------------


def test_a_kept_answer_is_the_same_until_it_ends(calls: SharedCalls, store: Store) -> None:
    cache = SharedCache(calls)
    assert cache.get(KEY, 60) is None
    cache.put(KEY, REPLY, 60)
    assert SharedCache(SharedCalls(store)).get(KEY, 60) == REPLY
    assert 0 < store.client.pttl(f"llm:cache:{KEY}") <= 60_000
    store.client.pexpire(f"llm:cache:{KEY}", 20_000)  # as if 40 s had gone by
    assert cache.get(KEY, 39) is None, "older than the caller wants"
    assert cache.get(KEY, 41) == REPLY
    store.client.persist(f"llm:cache:{KEY}")
    assert cache.get(KEY, 1e9) is None, "of unknown age"


def test_large_answers_are_not_kept(calls: SharedCalls, store: Store) -> None:
    cache = SharedCache(calls)
    cache.put(KEY, REPLY.model_copy(update={"text": "\u2603" * (MOST_BYTES // 3)}), 60)
    assert store.client.keys("*") == []
    cache.put(KEY, REPLY.model_copy(update={"text": "x" * (MOST_BYTES - 1000)}), 1e300)
    assert cache.get(KEY, 60) is not None
    assert store.client.pttl(f"llm:cache:{KEY}") <= 30 * 86_400_000


def test_an_answer_that_another_version_wrote_counts_as_none(calls: SharedCalls) -> None:
    calls.keep(KEY, '{"answer": 1}', 60_000)
    assert SharedCache(calls).get(KEY, 60) is None


def test_prompts_are_not_in_redis_and_the_second_call_is_free(calls: SharedCalls, store: Store) -> None:
    limiter = Open()
    request = ask("a secret prompt", cache_seconds=60.0)
    for _ in range(2):
        one = Client(
            limiter,
            profiles(),
            Scripted([Step(text="fine", times=None)]),
            flights=SharedFlights(calls),
            cache=SharedCache(calls),
        )
        reply = one.complete(request)
    assert (reply.source, reply.micro_usd, len(limiter.permits)) == ("cache", 0, 1)
    assert store.client.keys("llm:cache:*") == [f"llm:cache:{request_hash(request)}"]
    for key in store.client.keys("*"):
        assert "secret" not in str(store.client.get(key))


def test_while_redis_is_away_nothing_is_kept_and_no_call_fails(away: SharedCalls) -> None:
    cache, flights = SharedCache(away), SharedFlights(away)
    cache.put(KEY, REPLY, 60)
    assert cache.get(KEY, 60) is None
    assert flights.run(KEY, lambda: REPLY, 5, never) == (REPLY, False)


# -- flights --------------------------------------------------------------------------------------------------------------


class Airport:
    """Processes, each a thread with flights of its own, that ask the same; the test lets them go on."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.flown: list[str] = []
        self.go = threading.Event()
        self.pool = ThreadPoolExecutor(16)

    def start(self, name: str, work: Callable[[], Reply] | None = None, **more: Any) -> Future[tuple[Reply, bool]]:
        flights = more.pop("flights", None) or SharedFlights(SharedCalls(self.store))
        wait, cancelled = more.pop("wait", 30.0), more.pop("cancelled", never)

        def fly() -> Reply:
            self.flown.append(name)
            assert self.go.wait(20)
            return work() if work else REPLY.model_copy(update={"text": name})

        return self.pool.submit(flights.run, KEY, fly, wait, cancelled)

    def lead(self, name: str, **more: Any) -> Future[tuple[Reply, bool]]:
        """It is the first one."""
        future = self.start(name, **more)
        until(lambda: name in self.flown, what=f"{name} flies")
        return future

    def looks(self) -> int:
        """How often anybody has looked for an outcome."""
        return int(self.store.client.info("commandstats").get("cmdstat_get", {}).get("calls", 0))


@pytest.fixture
def airport(store: Store) -> Iterator[Airport]:
    made = Airport(store)
    store.client.config_resetstat()
    yield made
    made.go.set()
    made.pool.shutdown()
    assert unknown_keys(store) == []


def followed(airport: Airport, *futures: Future[Any]) -> None:
    """Every follower has looked at least twice, so that it knows whom it follows."""
    until(lambda: airport.looks() >= 4 * len(futures), what="the followers look")
    assert not any(future.done() for future in futures)


def test_the_same_in_several_processes_is_one_call(airport: Airport, store: Store) -> None:
    first = airport.lead("first")
    rest = [airport.start(f"other{index}") for index in range(5)]
    followed(airport, *rest)
    airport.go.set()
    assert first.result(20) == (REPLY.model_copy(update={"text": "first"}), False)
    assert [future.result(20) for future in rest] == [(REPLY.model_copy(update={"text": "first"}), True)] * 5
    assert airport.flown == ["first"]
    later = airport.start("later")
    assert later.result(20)[0].text == "later", "an outcome is only for who asked at the same time"
    assert store.client.keys("*:lease") == []
    assert all(0 < store.client.pttl(key) <= 30_000 for key in store.client.keys("*"))


def test_threads_of_one_process_wait_inside_it(airport: Airport) -> None:
    mine = SharedFlights(SharedCalls(airport.store))
    airport.lead("first", flights=mine)
    before = airport.looks()
    rest = [airport.start(f"other{index}", flights=mine) for index in range(8)]
    outsider = airport.start("outsider")
    until(lambda: airport.looks() >= before + 6, what="the outsider looks")
    airport.go.set()
    assert [future.result(20)[1] for future in (*rest, outsider)] == [True] * 9
    assert airport.flown == ["first"]


def test_what_the_provider_did_is_shared_whole(airport: Airport) -> None:
    usage = Usage(input_tokens=1, output_tokens=2)
    failure = Failure(FailureKind.RATE_LIMIT, "busy", 429, "req-1", 1.5, usage, sent=True)

    def fail() -> Reply:
        raise LlmUnavailable("no answer", "first", failure, 3)

    airport.lead("first", work=fail)
    other = airport.start("other")
    followed(airport, other)
    airport.go.set()
    error = other.exception(20)
    assert type(error) is LlmUnavailable
    assert (str(error), error.account, error.failure, error.attempts) == ("no answer", "first", failure, 3)
    assert airport.flown == ["first"]


def test_what_befell_the_leader_only_is_not(airport: Airport) -> None:
    def spent() -> Reply:
        raise OverBudget("spent", "first")

    first = airport.lead("first", work=spent)
    other = airport.start("other")
    followed(airport, other)
    airport.go.set()
    assert isinstance(first.exception(20), OverBudget)
    reply, shared = other.result(20)
    assert (reply.text, shared) == ("other", False)


def test_an_answer_too_large_to_share_is_asked_for_again(airport: Airport) -> None:
    airport.lead("first", work=lambda: REPLY.model_copy(update={"text": "x" * (MOST_BYTES + 1)}))
    other = airport.start("other")
    followed(airport, other)
    airport.go.set()
    assert other.result(20)[0].text == "other"


def test_followers_can_be_cancelled_and_have_a_deadline(airport: Airport) -> None:
    airport.lead("first")
    stop = threading.Event()
    cancelled = airport.start("cancelled", cancelled=stop.is_set)
    late = airport.start("late", wait=0.4)
    assert isinstance(late.exception(20), LlmDeadline)
    stop.set()
    assert isinstance(cancelled.exception(20), LlmCancelled)
    assert airport.flown == ["first"]


def test_a_leader_keeps_its_lease_for_as_long_as_it_flies(airport: Airport) -> None:
    flights = SharedFlights(SharedCalls(airport.store), lease_seconds=0.6, upkeep=Upkeep(0.05))
    key = f"{{llm-flight:{KEY}}}:lease"
    airport.lead("first", flights=flights)
    token, left, renewals = airport.store.client.get(key), 600, 0
    while renewals < 4:  # twice as long as the lease, at least
        now = airport.store.client.pttl(key)
        renewals += now > left
        left = now
        assert airport.store.client.get(key) == token
    other = airport.start("other")
    followed(airport, other)
    airport.go.set()
    assert other.result(20)[1] is True


def test_a_lost_lease_is_not_taken_from_the_next_leader(calls: SharedCalls) -> None:
    first = calls.board(KEY, 60_000)
    assert first
    calls.land(KEY, "not " + first, None)
    assert calls.board(KEY, 60_000) is None
    assert calls.stay(KEY, "not " + first, 60_000) is False
    calls.land(KEY, first, "answer {}")
    assert (calls.look(KEY).landed, calls.look(KEY).outcome, calls.look(KEY).flown) == (first, "answer {}", False)
    assert calls.board(KEY, 60_000)


LEADER = """
import sys, time
from orchestrator.llm.shared import SharedFlights
from orchestrator.store.keys import Keys
from orchestrator.store.llm_shared import SharedCalls
from orchestrator.store.store import Store
flights = SharedFlights(SharedCalls(Store(sys.argv[1], Keys(), 2000)), lease_seconds=1.0)
def work():
    print("flying", flush=True)
    time.sleep(600)
flights.run(sys.argv[2], work, 600, lambda: False)
"""


def test_when_the_leader_is_killed_one_follower_flies(airport: Airport) -> None:
    command = [sys.executable, "-c", LEADER, airport.store.url, KEY]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "flying\n"
        rest = [airport.start(f"other{index}") for index in range(3)]
        followed(airport, *rest)
    finally:
        process.kill()
        process.communicate()
    airport.go.set()
    texts = {future.result(20)[0].text for future in rest}
    assert texts == set(airport.flown)
    assert len(airport.flown) == 1


def test_a_refusal_shared_over_the_fleet_reaches_callers_as_their_own(calls: SharedCalls) -> None:
    token = calls.board(KEY, 60_000)
    assert token
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(SharedFlights(calls).run, KEY, lambda: REPLY, 20, never)
        until(lambda: calls._store.client.info("commandstats")["cmdstat_get"]["calls"] >= 4, what="it looks")
        calls.land(KEY, token, 'failure ["LlmRefused", "no", "first", 1, null]')
        error = other.exception(20)
    assert type(error) is LlmRefused
    assert isinstance(error, CallFailed)
    assert error.failure is None
