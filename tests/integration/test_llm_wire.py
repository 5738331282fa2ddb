"""Connections to a provider: used again, one call each at a time, and not once they are closed."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from orchestrator.llm.calls import Answer, Call
from orchestrator.llm.openai_provider import OpenAIProvider
from support.model_calls import ask, profiles
from support.model_server import Behaviour, Handler, ModelServer, chat, model_server, piece, says, streams

CALLS = 8


@dataclass
class Noted:
    """Behaves as told, and notes from which connection each request came."""

    behaviour: Behaviour
    seen: list[tuple[str, int]] = field(default_factory=list)
    together: threading.Barrier | None = None
    """Nobody is answered before so many have asked."""

    def __call__(self, handler: Handler) -> None:
        self.seen.append(handler.client_address)
        if self.together is not None:
            self.together.wait(20)
        self.behaviour(handler)

    @property
    def connections(self) -> int:
        """How many there were."""
        return len(set(self.seen))


@pytest.fixture
def model() -> Iterator[ModelServer]:
    with model_server() as one:
        yield one


@pytest.fixture
def provider() -> Iterator[OpenAIProvider]:
    one = OpenAIProvider({})
    yield one
    one.close()


def send(provider: OpenAIProvider, model: ModelServer, stream: bool = False) -> Answer:
    account = profiles(model.url).accounts["first"]
    answer = provider.send(Call(ask(stream=stream), "a", "m", "first", account, 100, time.monotonic() + 20))
    assert isinstance(answer, Answer), answer
    return answer


def test_calls_after_one_another_use_one_connection(provider: OpenAIProvider, model: ModelServer) -> None:
    noted = Noted(says(chat("hello")))
    model.does(noted)
    for _ in range(5):
        send(provider, model)
    assert noted.connections == 1


def test_calls_at_once_have_one_each_and_use_them_again(provider: OpenAIProvider, model: ModelServer) -> None:
    noted = Noted(says(chat("hello")), together=threading.Barrier(CALLS))
    model.does(noted)
    for _ in range(3):
        with ThreadPoolExecutor(CALLS) as pool:
            assert len(list(pool.map(lambda _: send(provider, model), range(CALLS)))) == CALLS
    assert len(noted.seen) == 3 * CALLS
    assert noted.connections == CALLS


def test_a_connection_that_the_server_closed_is_not_used(provider: OpenAIProvider, model: ModelServer) -> None:
    def closing(handler: Handler) -> None:
        says(chat("hello"))(handler)
        handler.close_connection = True  # without saying so
        handler.wfile.flush()
        handler.connection.shutdown(socket.SHUT_RDWR)  # on loopback its end has arrived when this returns
        closed.set()

    closed = threading.Event()
    noted = Noted(closing)
    model.does(noted)
    for _ in range(3):
        send(provider, model)
        assert closed.wait(20)
        closed.clear()
    assert noted.connections == 3


@pytest.mark.parametrize("done", [True, False])
def test_after_a_stream_a_call_is_answered(provider: OpenAIProvider, model: ModelServer, done: bool) -> None:
    noted = Noted(streams([piece("hel"), piece("lo", "stop")], done))
    model.does(noted)
    assert send(provider, model, stream=True).text == "hello"
    model.does(says(chat("again")))
    assert send(provider, model).text == "again"
