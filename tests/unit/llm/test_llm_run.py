"""The way of a call: permits, retries, fallbacks, settlement. The provider is scripted, the clock is the test's."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from orchestrator.llm.errors import BreakerOpen
from orchestrator.llm.estimates import LocalEstimates
from orchestrator.llm.failures import (
    ContextTooLong,
    LlmCancelled,
    LlmDeadline,
    LlmInvalidAnswer,
    LlmQuotaSpent,
    LlmRefused,
    LlmUnavailable,
    UnknownModel,
)
from orchestrator.llm.limits import Cost
from orchestrator.llm.messages import Chunk, Usage
from orchestrator.llm.scripted import Scripted, Step
from support.model_calls import Open, ask, client, profiles

USED = Usage(input_tokens=10, cached_input_tokens=4, output_tokens=6)
GOOD = Step(text="hello", usage=USED, times=None)


def failing(kind: str, times: int | None = 1, **more: Any) -> Step:
    return Step.model_validate({"failure": {"kind": kind, **more}, "times": times})


class City(BaseModel):
    name: str
    people: int = 0


def test_an_answer_is_settled_with_what_it_used() -> None:
    limiter = Open()
    reply = client(Scripted([GOOD]), limiter).complete(ask(owner="team", goal="g", priority=3, weight=2.0))
    assert (reply.text, reply.finish_reason, reply.model, reply.account) == ("hello", "stop", "a", "first")
    assert reply.micro_usd == 6 * 2 + 4 * 1 + 6 * 10
    permit = limiter.permits[0]
    assert permit.ended == [("settle", Cost(10, 6, 76))]
    assert permit.cost.output_tokens == 100, "the reservation is the limit that is sent"
    assert permit.asked["owner"] == "team"
    assert (permit.asked["goal"], permit.asked["priority"], permit.asked["weight"]) == ("g", 3, 2.0)
    assert permit.asked["ttl_seconds"] == 5.0, "short: the process that makes the call renews it"


def test_cached_input_does_not_count_against_limits_of_the_anthropic_kind() -> None:
    limiter = Open()
    known = profiles(account={"kind": "anthropic"})
    client(Scripted([GOOD]), limiter, known).complete(ask())
    assert limiter.permits[0].ended == [("settle", Cost(6, 6, 76))]


@pytest.mark.parametrize("kind", ["server", "timeout", "connection"])
def test_failures_of_the_provider_are_repeated_under_new_permits(kind: str) -> None:
    limiter = Open()
    reply = client(Scripted([failing(kind, 2), GOOD]), limiter).complete(ask())
    assert reply.attempts == 3
    assert limiter.ends == [f"fail {kind}", f"fail {kind}", "settle"]


@pytest.mark.parametrize(("status", "times"), [(400, 1), (401, 1), (403, 1), (404, 1), (422, 1)])
def test_refusals_are_not_repeated_and_do_not_fall_back(status: int, times: int) -> None:
    limiter, script = Open(), Scripted([failing("fatal", status=status), GOOD])
    with pytest.raises(LlmRefused, match=str(status)) as caught:
        client(script, limiter).complete(ask(model="default"))
    assert caught.value.attempts == len(script.calls) == times
    assert limiter.permits[0].ended == [("abandon", Cost(0, 0))]


def test_a_429_holds_the_account_as_long_as_the_provider_says() -> None:
    limiter = Open()
    script = Scripted([failing("rate_limit", status=429, retry_after_seconds=2.5), GOOD])
    assert client(script, limiter).complete(ask()).attempts == 2
    assert limiter.permits[0].said == [("hold", 2.5, "rate_limit")]
    assert limiter.permits[0].ended == [("abandon", Cost(0, 0))]


def test_a_spent_quota_opens_the_breaker_is_not_repeated_and_falls_back() -> None:
    limiter, script = Open(), Scripted([failing("quota", status=429), GOOD])
    reply = client(script, limiter).complete(ask(model="default"))
    assert (reply.model, reply.account, reply.attempts) == ("b", "second", 2)
    assert [word for word, _, _ in limiter.permits[0].said] == ["open"]
    with pytest.raises(LlmQuotaSpent):
        client(Scripted([failing("quota", None)])).complete(ask())


def test_the_next_model_takes_over_when_one_is_exhausted() -> None:
    script = Scripted([failing("server", 3), GOOD])
    assert client(script).complete(ask(model="default")).model == "b"
    assert [call.model for call in script.calls] == ["a", "a", "a", "b"]


def test_the_next_model_takes_over_when_a_breaker_is_open() -> None:
    def refuse(account: str) -> None:
        if account == "first":
            raise BreakerOpen("open", account)

    assert client(Scripted([GOOD]), Open(refuse=refuse)).complete(ask(model="default")).model == "b"
    with pytest.raises(BreakerOpen):
        client(Scripted([GOOD]), Open(refuse=refuse)).complete(ask(model="a"))


def test_when_all_are_exhausted_the_last_failure_is_told() -> None:
    with pytest.raises(LlmUnavailable, match=r"'b' of account 'second'.*server: HTTP 503") as caught:
        client(Scripted([failing("server", None, status=503)])).complete(ask(model="default"))
    assert caught.value.failure is not None
    assert caught.value.failure.status == 503


def test_an_answer_that_does_not_follow_the_schema_is_repeated_and_paid() -> None:
    limiter = Open()
    script = Scripted(
        [Step(text="no", usage=USED), Step(text='{"name": 1}', usage=USED), Step(text='{"name": "Rome"}')]
    )
    reply = client(script, limiter).complete(ask(), answer=City)
    assert reply.parsed == City(name="Rome")
    assert limiter.ends == ["abandon", "abandon", "settle"]
    assert limiter.permits[0].ended == [("abandon", Cost(10, 6, 76))]
    assert reply.micro_usd is not None
    assert reply.micro_usd > 2 * 76, "what the bad answers cost is in it"
    schema = script.calls[0].request.response_schema
    assert schema is not None
    assert schema["required"] == ["name", "people"]
    assert schema["additionalProperties"] is False
    with pytest.raises(LlmInvalidAnswer, match="schema"):
        client(Scripted([Step(text="no", times=None)])).complete(ask(), answer=City)


def test_a_reservation_that_was_learnt_grows_when_it_cuts_an_answer_off() -> None:
    seen = LocalEstimates([("a", "writer", 50)])
    script = Scripted([Step(finish_reason="length", text="x"), Step(text="whole", usage=USED)])
    reply = client(script, estimates=seen).complete(ask(max_output_tokens=None, role="writer"))
    assert [call.max_output_tokens for call in script.calls] == [100, 200]
    assert reply.text == "whole"
    assert seen.tokens("a", "writer") == 100, "two times the longest of 50 and 6"


def test_a_reservation_of_the_caller_stays() -> None:
    script = Scripted([Step(finish_reason="length", text="x")])
    assert client(script).complete(ask()).finish_reason == "length"


def test_a_request_that_does_not_fit_goes_to_a_model_where_it_does() -> None:
    models = {"a": {"account": "first", "context_tokens": 50}, "b": {"account": "second"}}
    known = profiles(models=models)
    assert client(Scripted([GOOD]), known=known).complete(ask(model="default")).model == "b"
    with pytest.raises(ContextTooLong):
        client(Scripted([GOOD]), known=known).complete(ask())


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_pauses_are_drawn_between_nothing_and_a_doubling_ceiling() -> None:
    clock, drawn = Clock(), []

    def uniform(low: float, high: float) -> float:
        drawn.append((low, high))
        return high

    known = profiles(retry={"attempts": 4, "backoff_seconds": 5.0, "backoff_cap_seconds": 15.0})
    script = Scripted([failing("server", 3), GOOD])
    client(script, known=known, clock=clock, sleep=clock.sleep, uniform=uniform).complete(ask())
    assert drawn == [(0.0, 5.0), (0.0, 10.0), (0.0, 15.0)]
    assert clock.now == pytest.approx(30.0)


def test_no_pause_goes_beyond_the_calls_time() -> None:
    clock = Clock()
    known = profiles(retry={"backoff_seconds": 100.0}, total_seconds=50.0)
    script = Scripted([failing("server", None)])
    with pytest.raises(LlmUnavailable):
        client(script, known=known, clock=clock, sleep=clock.sleep, uniform=lambda _, high: high).complete(ask())
    assert (len(script.calls), clock.now) == (1, 0.0)
    assert script.calls[0].until == 5.0, "one attempt's limit"
    clock.now = 40.0
    with pytest.raises(LlmDeadline):
        client(script, known=profiles(total_seconds=1e-9)).complete(ask())


def test_a_cancelled_call_stops_between_attempts_and_while_it_is_written() -> None:
    script = Scripted([failing("server", None)])
    with pytest.raises(LlmCancelled):
        client(script).complete(ask(), cancelled=lambda: len(script.calls) >= 2)
    assert len(script.calls) == 2

    limiter = Open()
    got: list[Chunk] = []
    with pytest.raises(LlmCancelled):
        client(Scripted([Step(text="a" * 64)]), limiter).complete(
            ask(), receive=got.append, cancelled=lambda: len(got) == 2
        )
    assert limiter.permits[0].ended == [("abandon", None)], "nobody knows what it cost: as reserved"


def test_pieces_say_of_which_attempt_they_are() -> None:
    got: list[Chunk] = []
    client(Scripted([failing("server"), Step(text="a" * 20)])).complete(ask(), receive=got.append)
    assert [(chunk.attempt, len(chunk.text)) for chunk in got] == [(2, 16), (2, 4)]


def test_an_error_of_the_receiver_is_the_callers() -> None:
    def receive(chunk: Chunk) -> None:
        raise ValueError(chunk.text)

    with pytest.raises(ValueError, match="hello"):
        client(Scripted([GOOD])).complete(ask(), receive=receive)


def test_an_unknown_model_is_named_with_those_that_are_known() -> None:
    with pytest.raises(UnknownModel, match="'c'; known: a, b, default"):
        client(Scripted([GOOD])).complete(ask(model="c"))


def test_what_the_script_does_not_know_is_refused() -> None:
    script = Scripted([Step(text="x", role="writer"), Step(text="y", contains="number 7"), Step(text="z", model="b")])
    one = client(script)
    assert one.complete(ask("This is number 7.")).text == "y"
    assert one.complete(ask(model="b")).text == "z"
    assert one.complete(ask(role="writer")).text == "x"
    with pytest.raises(LlmRefused, match="no_script"):
        one.complete(ask(role="writer"))
