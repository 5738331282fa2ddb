"""The client on the real limiter: what it reports is what the account's books say."""

from __future__ import annotations

import pickle
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from orchestrator.llm.calls import Call
from orchestrator.llm.client import Client
from orchestrator.llm.errors import BreakerOpen, WaitOver
from orchestrator.llm.failures import CallFailed, LlmRefused, LlmUnavailable, MissingExtra
from orchestrator.llm.limiter import Limiter
from orchestrator.llm.messages import Reply
from orchestrator.llm.openai_provider import OpenAIProvider
from orchestrator.llm.scripted import Instant, Scripted, Step
from orchestrator.store.store import Store
from support.model_calls import Open, ask, profiles

LIMITS = {"tokens_per_minute": 10_000_000, "concurrency": 4, "breaker_failures": 3, "charges": "used"}
KNOWN = profiles(account={"limits": LIMITS}, wait_seconds=0.2)


@pytest.fixture
def limiter(store: Store) -> Iterator[Limiter]:
    with closing(Limiter(store, KNOWN.limits())) as one:
        yield one


def failing(kind: str, **more: Any) -> Step:
    return Step.model_validate({"failure": {"kind": kind, **more}, "times": None})


def test_what_is_used_is_booked_and_the_rest_given_back(limiter: Limiter) -> None:
    usage = {"input_tokens": 30, "output_tokens": 12}
    step = Step.model_validate({"text": "x", "usage": usage})
    Client(limiter, KNOWN, Scripted([step])).complete(ask())
    seen = limiter.status("first")
    assert (seen.usage["tokens"].used, seen.usage["concurrent"].used) == (42, 0)


def test_a_429_holds_the_account_for_everybody(limiter: Limiter) -> None:
    script = Scripted([failing("rate_limit", status=429, retry_after_seconds=30.0)])
    with pytest.raises(WaitOver, match=r"a hold of .* s: .*rate_limit"):
        Client(limiter, KNOWN, script).complete(ask())
    assert len(script.calls) == 1
    assert limiter.status("first").hold_seconds > 20


def test_a_spent_quota_opens_the_breaker_for_everybody(limiter: Limiter) -> None:
    client = Client(limiter, KNOWN, Scripted([Step(text="x", model="b", times=None), failing("quota")]))
    assert client.complete(ask(model="default")).model == "b"
    with pytest.raises(BreakerOpen, match="insufficient_quota"):
        client.complete(ask(model="a"))
    assert client.complete(ask(model="default")).attempts == 1, "the first model is not asked again"


def test_failures_in_a_row_open_the_breaker(limiter: Limiter) -> None:
    client = Client(limiter, KNOWN, Scripted([failing("server", status=500)]))
    with pytest.raises(LlmUnavailable):
        client.complete(ask())
    with pytest.raises(BreakerOpen):
        client.complete(ask())


def test_many_threads_leave_nothing_behind(limiter: Limiter) -> None:
    most, now, lock = [0], [0], threading.Lock()
    replies: list[Reply] = []

    def busy(_: Call) -> float:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        return 0.02

    def done(seconds: float) -> None:
        threading.Event().wait(seconds)
        with lock:
            now[0] -= 1

    known = profiles(account={"limits": {"concurrency": 4}})
    client = Client(limiter, known, Instant(seconds=busy, sleep=done))

    def work() -> None:
        for _ in range(5):
            replies.append(client.complete(ask(share=False)))

    threads = [threading.Thread(target=work) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(replies) == 60
    assert most[0] <= 4
    assert limiter.status("first").usage["concurrent"].used == 0


def test_errors_survive_pickling() -> None:
    with pytest.raises(CallFailed) as caught:
        Client(Open(), KNOWN, Scripted([])).complete(ask())
    again = pickle.loads(pickle.dumps(caught.value))
    assert type(again) is LlmRefused
    assert (str(again), again.failure, again.account) == (str(caught.value), caught.value.failure, "first")


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(MissingExtra, match=r"pip install 'chordal\[llm\]'"):
        OpenAIProvider({})
