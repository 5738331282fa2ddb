"""The client, through the real limiter, against a provider that keeps quotas, refuses, breaks off and recovers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from orchestrator.llm.calls import Answer, Call
from orchestrator.llm.client import Client
from orchestrator.llm.errors import BreakerOpen
from orchestrator.llm.failures import Failure, FailureKind, LlmQuotaSpent, LlmUnavailable
from orchestrator.llm.headers import Window
from orchestrator.llm.limiter import Limiter
from orchestrator.llm.messages import Chunk, Message, Reply, Request, Speaker, Tool
from orchestrator.llm.openai_provider import OpenAIProvider
from orchestrator.store.store import Store
from support.llmock_server import Llmock, llmock
from support.model_calls import ask, profiles
from support.servers import until

PER_MINUTE = 120
TOKENS_PER_MINUTE = 12_000
APIS = ["chat", "responses"]


class Heard(OpenAIProvider):
    """Writes down how attempts failed."""

    def __init__(self) -> None:
        super().__init__({})
        self.failures: list[Failure] = []

    def send(self, call: Call) -> Answer | Failure:
        result = super().send(call)
        if isinstance(result, Failure):
            self.failures.append(result)
        return result


class Desk:
    """A client with all that belongs to it."""

    def __init__(self, store: Store, known: Any) -> None:
        self.limiter = Limiter(store, known.limits())
        self.provider = Heard()
        self.windows: list[dict[str, Window]] = []
        self.client = Client(
            self.limiter, known, self.provider, on_windows=lambda _, seen: self.windows.append(dict(seen))
        )

    def many(self, count: int, **changes: Any) -> list[Reply]:
        """So many calls at once."""
        with ThreadPoolExecutor(count) as pool:
            return list(
                pool.map(lambda index: self.client.complete(ask(f"{index}", share=False, **changes)), range(count))
            )

    def close(self) -> None:
        self.client.close()
        self.limiter.close()


@pytest.fixture(scope="module")
def _plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Llmock]:
    with llmock(tmp_path_factory.mktemp("plain")) as one:
        yield one


@pytest.fixture(scope="module")
def _strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Llmock]:
    with llmock(tmp_path_factory.mktemp("strict"), "--rpm", str(PER_MINUTE)) as one:
        yield one


@pytest.fixture
def by_tokens(tmp_path: Path) -> Iterator[Llmock]:
    """A server that allows TOKENS_PER_MINUTE, counting what a call reserves, with a thousand of them left."""
    with llmock(tmp_path, "--tpm", str(TOKENS_PER_MINUTE)) as one:
        one.spend(1, max_tokens=TOKENS_PER_MINUTE - 1000)
        yield one


@pytest.fixture
def mock(_plain: Llmock) -> Llmock:
    """A server without a quota."""
    _plain.reset()
    return _plain


@pytest.fixture
def strict(_strict: Llmock) -> Llmock:
    """A server that allows PER_MINUTE requests a minute, with four of them left: its bucket gets two a second."""
    _strict.reset()
    _strict.spend(PER_MINUTE - 4)
    return _strict


@pytest.fixture
def desk(store: Store) -> Iterator[Callable[..., Desk]]:
    """Makes clients of a server."""
    made: list[Desk] = []

    def make(server: Llmock, api: str = "chat", attempts: int = 3, silence: float = 20.0, **limits: Any) -> Desk:
        account = {"api": api, "limits": limits, "silence_seconds": silence}
        made.append(Desk(store, profiles(server.url, account=account, retry={"attempts": attempts})))
        return made[-1]

    yield make
    for one in made:
        with closing(one):
            assert one.limiter.status("first").usage["concurrent"].used == 0, "every permit ended"


@pytest.mark.parametrize("api", APIS)
def test_an_answer_and_its_tokens_are_booked(mock: Llmock, desk: Callable[..., Desk], api: str) -> None:
    one = desk(mock, api, tokens_per_minute=100_000, charges="used")
    reply = one.client.complete(ask())
    assert reply.text
    assert (reply.finish_reason, reply.attempts, reply.usage.estimated) == ("stop", 1, False)
    used = one.limiter.status("first").usage["tokens"].used
    assert used == reply.usage.input_tokens + reply.usage.output_tokens


@pytest.mark.parametrize("api", APIS)
def test_a_stream_is_the_whole_answer(mock: Llmock, desk: Callable[..., Desk], api: str) -> None:
    chunks: list[Chunk] = []
    reply = desk(mock, api).client.complete(ask(), receive=chunks.append)
    assert len(chunks) > 1
    assert "".join(chunk.text for chunk in chunks) == reply.text
    assert not reply.usage.estimated


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("api", APIS)
def test_a_tool_is_called_and_its_answer_taken(mock: Llmock, desk: Callable[..., Desk], api: str, stream: bool) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    tools = (Tool(name="weather", description="The weather of a city.", parameters=schema),)
    question = Message(speaker=Speaker.USER, text="How is the weather?")
    client = desk(mock, api).client
    first = client.complete(Request(model="a", messages=(question,), tools=tools, stream=stream))
    assert (first.finish_reason, [call.name for call in first.tool_calls]) == ("tool_calls", ["weather"])
    assert "city" in first.tool_calls[0].arguments
    told = (
        question,
        Message(speaker=Speaker.ASSISTANT, tool_calls=first.tool_calls),
        Message(speaker=Speaker.TOOL, text="sunny", tool_call_id=first.tool_calls[0].id),
    )
    last = client.complete(Request(model="a", messages=told, tools=tools, stream=stream))
    assert last.text
    assert not last.tool_calls


class Place(BaseModel):
    name: str
    people: int
    sights: list[str]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("api", APIS)
def test_an_answer_is_an_instance_of_the_model(mock: Llmock, desk: Callable[..., Desk], api: str, stream: bool) -> None:
    reply = desk(mock, api).client.complete(ask(stream=stream), answer=Place)
    assert isinstance(reply.parsed, Place)
    assert reply.attempts == 1


def test_an_answer_that_does_not_follow_the_schema_is_asked_for_again(mock: Llmock, desk: Callable[..., Desk]) -> None:
    mock.script({"type": "reply", "text": '{"name": "Rome"}'}, {"type": "reply", "text": "no JSON at all"})
    one = desk(mock)
    reply = one.client.complete(ask(), answer=Place)
    assert isinstance(reply.parsed, Place)
    assert reply.attempts == 3
    assert one.limiter.status("first").breaker == "closed", "the model's weakness is not the provider's failure"


# -- quotas -----------------------------------------------------------------------------------------------------------


def test_with_the_providers_limit_no_call_is_refused(strict: Llmock, desk: Callable[..., Desk]) -> None:
    one = desk(strict, requests_per_minute=PER_MINUTE)
    before = len(strict.served())
    assert len(one.many(10)) == 10
    assert [served.status for served in strict.served()[before:]] == [200] * 10
    assert one.limiter.status("first").factor == 1.0
    assert {seen["requests"].limit for seen in one.windows} == {PER_MINUTE}
    remaining = [seen["requests"].remaining for seen in one.windows]
    assert len(remaining) == 10
    assert all(left is not None and left < PER_MINUTE for left in remaining)


def test_with_a_limit_set_too_high_the_rate_falls_and_every_call_is_answered(
    strict: Llmock, desk: Callable[..., Desk]
) -> None:
    one = desk(strict, attempts=20, requests_per_minute=100 * PER_MINUTE)
    before = len(strict.served())
    assert len(one.many(10)) == 10
    answers = [served.status for served in strict.served()[before:]]
    assert answers.count(200) == 10
    assert answers.count(429) >= 1
    assert {failure.kind for failure in one.provider.failures} == {FailureKind.RATE_LIMIT}
    assert one.limiter.status("first").factor < 1.0
    assert one.limiter.status("first").breaker == "closed", "a limit is not a failure"


def test_with_a_token_limit_that_charges_reservations_no_call_is_refused(
    by_tokens: Llmock, desk: Callable[..., Desk]
) -> None:
    one = desk(by_tokens, attempts=20, tokens_per_minute=TOKENS_PER_MINUTE * 2 // 3)
    before = len(by_tokens.served())
    assert len(one.many(12)) == 12
    assert [served.status for served in by_tokens.served()[before:]] == [200] * 12


@pytest.mark.parametrize(("seconds", "said"), [(0.4, 0.4), (1.5, 1.5)])
def test_nothing_goes_out_before_the_provider_allows_it(
    mock: Llmock, desk: Callable[..., Desk], seconds: float, said: float
) -> None:
    mock.script({"type": "fail", "status": 429, "retry_after": seconds})  # sends Retry-After too, in whole seconds
    one = desk(mock)
    reply = one.client.complete(ask())
    assert reply.attempts == 2
    assert [failure.retry_after_seconds for failure in one.provider.failures] == [said]
    first, second = mock.served()
    assert (first.status, second.status) == (429, 200)
    assert second.started_at - first.ended_at >= seconds


def test_a_spent_quota_is_not_tried_again_by_anybody(mock: Llmock, desk: Callable[..., Desk]) -> None:
    mock.script({"type": "fail", "status": 429, "code": "insufficient_quota", "times": None})
    one = desk(mock)
    with pytest.raises(LlmQuotaSpent):
        one.client.complete(ask("one"))
    with pytest.raises(BreakerOpen, match="insufficient_quota"):
        one.client.complete(ask("two"))
    assert len(mock.served()) == 1
    seen = one.limiter.status("first")
    assert (seen.breaker, seen.usage["tokens"].used) == ("open", 0)


# -- failures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["disconnect", "truncate", "malformed"])
@pytest.mark.parametrize("api", APIS)
def test_a_broken_stream_is_no_answer(mock: Llmock, desk: Callable[..., Desk], api: str, kind: str) -> None:
    mock.script({"type": "stream_fault", "kind": kind, "after_chunks": 4})
    chunks: list[Chunk] = []
    one = desk(mock, api)
    reply = one.client.complete(ask(), receive=chunks.append)
    assert [failure.kind for failure in one.provider.failures] == [
        FailureKind.CONNECTION if kind == "disconnect" else FailureKind.INVALID
    ]
    assert reply.attempts == 2
    assert "".join(chunk.text for chunk in chunks if chunk.attempt == 2) == reply.text
    assert {chunk.attempt for chunk in chunks} <= {1, 2}


def test_a_stream_that_stalls_is_given_up(mock: Llmock, desk: Callable[..., Desk]) -> None:
    mock.script({"type": "stream_fault", "kind": "stall", "after_chunks": 2, "stall_seconds": 30.0})
    one = desk(mock, silence=0.5)
    reply = one.client.complete(ask(stream=True))
    assert reply.attempts == 2
    assert [failure.kind for failure in one.provider.failures] == [FailureKind.TIMEOUT]


@pytest.mark.parametrize("status", [500, 503])
def test_a_storm_of_errors_opens_the_breaker_and_one_probe_closes_it(
    mock: Llmock, desk: Callable[..., Desk], status: int
) -> None:
    mock.script({"type": "fail", "status": status, "retry_after": 0.0, "times": None})
    one = desk(mock, breaker_failures=3, breaker_seconds=0.5)
    with pytest.raises(LlmUnavailable):
        one.client.complete(ask("first"))
    with pytest.raises(BreakerOpen, match="server"):
        one.client.complete(ask("second"))
    assert len(mock.served()) == 3
    mock.unscript()
    until(lambda: one.limiter.status("first").breaker == "half-open", 10, "a probe may go out")
    assert one.client.complete(ask("third")).attempts == 1
    assert len(mock.served()) == 4
    assert one.limiter.status("first").breaker == "closed"
    assert len(one.many(5)) == 5
