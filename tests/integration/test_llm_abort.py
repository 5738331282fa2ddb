"""A call that is not wanted any more ends under way, wherever it stands, and says so to the one who pays."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from orchestrator.llm.abort import Watcher, watcher
from orchestrator.llm.calls import Answer, Call, never
from orchestrator.llm.failures import Failure, FailureKind, LlmCancelled
from orchestrator.llm.openai_provider import OpenAIProvider
from orchestrator.llm.profiles import Account
from support import model_server as serve
from support.house import ROOT
from support.model_calls import Open, ask, client, profiles
from support.servers import until

SOON = 0.5
"""Seconds within which an aborted call must end; it is looked at every 0.1 s."""


@pytest.fixture
def provider() -> Iterator[OpenAIProvider]:
    one = OpenAIProvider({})
    yield one
    one.close()


class Switch:
    """Cancels a call once it is thrown."""

    def __init__(self) -> None:
        self.thrown = 0.0

    def __call__(self) -> bool:
        return bool(self.thrown)

    def throw(self) -> None:
        self.thrown = time.monotonic()


def start(
    provider: OpenAIProvider, url: str, text: str = "x", **changes: Any
) -> tuple[Switch, list[Any], threading.Thread]:
    """A call in a thread of its own, and the list that gets its end and when that was."""
    switch, ended = Switch(), list[Any]()
    account = Account(base_url=url, kind="self-hosted")  # type: ignore[arg-type]
    call = Call(ask(text, **changes), "a", "m", "first", account, 100, time.monotonic() + 60, None, switch)

    def run() -> None:
        ended.extend([provider.send(call), time.monotonic()])

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return switch, ended, thread


def ends_soon(switch: Switch, ended: list[Any], thread: threading.Thread) -> Failure:
    """Cancel it; its failure, which must come soon."""
    assert thread.is_alive()
    switch.throw()
    thread.join(10)
    failure, at = ended
    assert isinstance(failure, Failure)
    assert failure.kind is FailureKind.CANCELLED
    assert not failure.retried
    assert at - switch.thrown < SOON
    return failure


@contextmanager
def deaf(backlog: int = 8) -> Iterator[socket.socket]:
    """Listens and never accepts: connections are made, and what is sent fills the buffers."""
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.bind(("127.0.0.1", 0))
        one.listen(backlog)
        yield one


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("behaviour", [serve.hangs, serve.drips(head=True), serve.drips(head=False)])
def test_while_it_waits_for_the_answer(
    provider: OpenAIProvider, model: serve.ModelServer, behaviour: serve.Behaviour, stream: bool
) -> None:
    model.does(behaviour)
    run = start(provider, model.url, stream=stream)
    until(lambda: model.asked, what="the request")
    assert ends_soon(*run).sent
    model.does(serve.says(serve.chat("again")))
    account = Account(base_url=model.url, kind="self-hosted")  # type: ignore[arg-type]
    answer = provider.send(Call(ask(), "a", "m", "first", account, 100, time.monotonic() + 20))
    assert isinstance(answer, Answer), "the next call has a connection of its own"


def test_while_it_connects(provider: OpenAIProvider) -> None:
    with deaf(0) as listener, socket.socket() as first, socket.socket() as second:
        for one in (first, second):  # the backlog is full: what comes now is dropped by the kernel
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
        run = start(provider, f"http://127.0.0.1:{listener.getsockname()[1]}/v1")
        until(lambda: any(flight._sock is not None for flight in watcher()._flights), what="it connects")
        assert not ends_soon(*run).sent, "nothing was spent"


def test_while_it_sends(provider: OpenAIProvider) -> None:
    with deaf() as listener:
        run = start(provider, f"http://127.0.0.1:{listener.getsockname()[1]}/v1", text="long " * 4_000_000)
        until(lambda: any(flight._sock is not None for flight in watcher()._flights), what="it sends")
        assert ends_soon(*run).sent


def test_while_tls_shakes_hands(provider: OpenAIProvider) -> None:
    with deaf() as listener:
        run = start(provider, f"https://127.0.0.1:{listener.getsockname()[1]}/v1")
        until(lambda: any(flight._sock is not None for flight in watcher()._flights), what="it shakes hands")
        assert not ends_soon(*run).sent


def test_an_answer_that_was_whole_before_is_kept(provider: OpenAIProvider, model: serve.ModelServer) -> None:
    model.does(serve.says(serve.chat("hello")))
    switch, ended, thread = start(provider, model.url)
    thread.join(20)
    switch.throw()
    assert isinstance(ended[0], Answer)
    assert not watcher()._flights
    for _ in range(2):  # its connection is not shut down under whoever uses it next
        _, ended, thread = start(provider, model.url)
        thread.join(20)
        assert isinstance(ended[0], Answer)


def test_the_client_raises_and_the_permit_is_abandoned(provider: OpenAIProvider, model: serve.ModelServer) -> None:
    model.does(serve.hangs)
    limiter, switch = Open(), Switch()
    threading.Timer(0.3, switch.throw).start()
    with pytest.raises(LlmCancelled, match="in its attempt 1"):
        client(provider, limiter, profiles(model.url)).complete(ask(), cancelled=switch)
    assert time.monotonic() - switch.thrown < SOON
    assert limiter.permits[0].ended == [("abandon", None)], "charged as reserved: nobody knows what was used"


def test_a_call_that_nobody_can_cancel_is_not_watched(provider: OpenAIProvider, model: serve.ModelServer) -> None:
    model.does(serve.hangs)
    account = Account(base_url=model.url, kind="self-hosted")  # type: ignore[arg-type]
    call = Call(ask(), "a", "m", "first", account, 100, time.monotonic() + 0.3)
    assert call.cancelled is never
    seen = []
    thread = threading.Thread(target=lambda: seen.append(provider.send(call)))
    thread.start()
    until(lambda: model.asked, what="the request")
    assert not watcher()._flights
    thread.join(20)
    assert seen == [Failure(FailureKind.TIMEOUT)]


def test_a_question_that_fails_stops_only_the_watching(
    provider: OpenAIProvider, model: serve.ModelServer, caplog: pytest.LogCaptureFixture
) -> None:
    gate = threading.Event()
    model.does(serve.says_after(gate, serve.chat("hello")))
    asked = threading.Event()

    def broken() -> bool:
        asked.set()
        raise RuntimeError("who knows")

    account = Account(base_url=model.url, kind="self-hosted")  # type: ignore[arg-type]
    call = Call(ask(), "a", "m", "first", account, 100, time.monotonic() + 20, None, broken)
    seen = []
    thread = threading.Thread(target=lambda: seen.append(provider.send(call)))
    thread.start()
    assert asked.wait(10)
    until(lambda: not watcher()._flights, what="it is left alone")
    gate.set()
    thread.join(20)
    assert isinstance(seen[0], Answer)
    assert "could not be found out" in caplog.text


def test_a_forked_child_has_a_watcher_of_its_own() -> None:
    before = watcher()
    pid = os.fork()
    if pid == 0:
        os._exit(0 if watcher() is not before and isinstance(watcher(), Watcher) else 1)
    assert os.waitpid(pid, 0)[1] == 0


GREENLETS = """
from gevent import monkey; monkey.patch_all()
import sys, time, gevent
from orchestrator.llm.calls import Call
from orchestrator.llm.openai_provider import OpenAIProvider
from orchestrator.llm.profiles import Account
from support.model_calls import ask

provider, thrown = OpenAIProvider({}), []
account = Account(base_url=sys.argv[1], kind="self-hosted")
def send(at):
    call = Call(ask(), "a", "m", "first", account, 100, time.monotonic() + 60, None, lambda: bool(thrown))
    return provider.send(call), time.monotonic()
many = [gevent.spawn(send, at) for at in range(20)]
gevent.sleep(1)
thrown.append(time.monotonic())
gevent.joinall(many, timeout=10)
ends = [one.value for one in many]
print({str(failure.kind) for failure, _ in ends}, max(at for _, at in ends) - thrown[0] < 0.5)
"""


def test_greenlets_notice_it_too(model: serve.ModelServer) -> None:
    pytest.importorskip("gevent")
    model.does(serve.hangs)
    done = subprocess.run(
        [sys.executable, "-c", GREENLETS, model.url], cwd=ROOT / "tests", capture_output=True, text=True, timeout=60, check=False
    )  # fmt: skip
    assert done.stdout.strip() == "{'cancelled'} True", done.stderr


@pytest.fixture
def model() -> Iterator[serve.ModelServer]:
    with serve.model_server() as one:
        yield one
