"""A stand-in for a model that calls tools: a real HTTP server whose answers are a Python function of the conversation.

It counts every request by whose conversation it is and which turn, so that a test can say that no turn was asked for twice.
Whose conversation it is stands in the messages, as ``who:NAME``; without it the first message of the user names it.
"""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from itertools import takewhile
from typing import Any

from support.model_server import Behaviour, Handler, ModelServer, chat, piece, says, streams

_WHO = re.compile(r"\bwho:([A-Za-z0-9._/-]+)")


@dataclass(frozen=True, slots=True)
class Heard:
    """One request, as the answering function gets it."""

    who: str
    """Whose conversation it is."""
    turn: int
    """Which answer is asked for, from 1."""
    messages: tuple[Mapping[str, Any], ...]
    """As they came."""
    tools: tuple[str, ...]
    """Names of what may be called."""
    body: Mapping[str, Any]
    """The whole request."""

    @property
    def results(self) -> list[str]:
        """The texts of the tools' results that end the conversation, in order."""
        found = takewhile(lambda one: one["role"] == "tool", reversed(self.messages))
        return [str(one["content"]) for one in found][::-1]

    @property
    def last(self) -> str:
        """The text of the last message."""
        return str(self.messages[-1].get("content") or "")

    @property
    def text(self) -> str:
        """Everything that was said."""
        return "\n".join(str(one.get("content") or "") for one in self.messages)


@dataclass(frozen=True, slots=True)
class Calls:
    """Tools to be called: name, arguments as JSON (or a text that is passed on as it is), id."""

    calls: tuple[tuple[str, Any, str], ...]
    text: str = ""


def calls(*wanted: tuple[str, Any], text: str = "") -> Calls:
    """Call these tools: ``calls(("search", {"q": "lamps"}), ("add", {"a": 1}))``."""
    return Calls(tuple((name, arguments, f"call_{at}") for at, (name, arguments) in enumerate(wanted)), text)


Said = str | Calls | Behaviour
"""A final text, tools to be called, or anything that a server can do (`support.model_server`): fail, hang, drip, babble."""
Answering = Callable[[Heard], Said]


@dataclass
class ToolModel:
    """A running stand-in."""

    answer: Answering
    seconds: float = 0.0
    """How long each answer takes."""
    heard: list[Heard] = field(default_factory=list)
    """Every request, in order of arrival."""
    gone: list[float] = field(default_factory=list)
    """When callers hung up on a request that `hangs`, by the monotonic clock."""
    counts: Counter[tuple[str, int]] = field(default_factory=Counter)
    """Requests by who and turn."""
    finished: Counter[tuple[str, int]] = field(default_factory=Counter)
    """Answers that were written, by who and turn."""
    port: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    open: set[socket.socket] = field(default_factory=set)
    _http: ThreadingHTTPServer | None = None
    _server: ModelServer | None = None

    @property
    def url(self) -> str:
        """Its base URL; the same after a `kill` and a `start`."""
        return f"http://127.0.0.1:{self.port}/v1"

    def repeated(self) -> dict[tuple[str, int], int]:
        """Turns that were asked for more than once, with the number of requests beyond the first."""
        with self.lock:
            return {key: count - 1 for key, count in self.counts.items() if count > 1}

    def profiles(self, concurrency: int = 64, **account: Any) -> dict[str, Any]:
        """A document of profiles with this server alone."""
        first = {"kind": "self-hosted", "base_url": self.url, "limits": {"concurrency": concurrency}, **account}
        return {
            "accounts": {"stand-in": first},
            "models": {"any": {"account": "stand-in"}},
            "retry": {"attempts": 5, "backoff_seconds": 0.1, "backoff_cap_seconds": 0.5},
        }

    def start(self) -> None:
        """Serve; on the same port as before."""
        self._server = ModelServer(behaviours=[self._behave])
        bound = type("Bound", (_Handler,), {"model": self._server, "stand_in": self})
        self._http = _Server(("127.0.0.1", self.port), bound)
        self.port = self._server.port = self._http.server_address[1]
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()

    def kill(self) -> None:
        """As a server that dies: every connection is cut, and nobody listens any more."""
        assert self._http is not None
        assert self._server is not None
        self._server.closing.set()
        self._http.shutdown()
        self._http.server_close()
        with self.lock:
            standing = list(self.open)
        for one in standing:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _behave(self, handler: Handler) -> None:
        heard = heard_of(handler.asked.body)
        with self.lock:
            self.heard.append(heard)
            self.counts[heard.who, heard.turn] += 1
        if self.seconds:
            handler.model.closing.wait(self.seconds)
        said = self.answer(heard)
        behave = said if callable(said) else _spoken(said, heard.body)
        behave(handler)
        with self.lock:
            self.finished[heard.who, heard.turn] += 1


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512
    allow_reuse_address = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Callers hang up and are killed here."""


class _Handler(Handler):
    stand_in: ToolModel

    def setup(self) -> None:
        super().setup()
        with self.stand_in.lock:
            self.stand_in.open.add(self.connection)

    def finish(self) -> None:
        with self.stand_in.lock:
            self.stand_in.open.discard(self.connection)
        super().finish()


def heard_of(body: Mapping[str, Any]) -> Heard:
    """A request of the chat API."""
    messages = tuple(body["messages"])
    told = [str(one.get("content") or "") for one in messages if one["role"] in ("system", "user")]
    found = _WHO.search("\n".join(told))
    first = next((str(one["content"]) for one in messages if one["role"] == "user"), "")
    turn = 1 + sum(one["role"] == "assistant" for one in messages)
    tools = tuple(one["function"]["name"] for one in body.get("tools") or ())
    return Heard(found[1] if found else first, turn, messages, tools, body)


def hangs(model: ToolModel) -> Behaviour:
    """Never answers; notes in `model.gone` when the caller hangs up."""

    def behave(handler: Handler) -> None:
        while not handler.model.closing.is_set():
            handler.connection.settimeout(0.05)
            with suppress(TimeoutError):
                if not handler.connection.recv(1):
                    break
        with model.lock:
            model.gone.append(time.monotonic())
        handler.close_connection = True

    return behave


def _spoken(said: str | Calls, body: Mapping[str, Any]) -> Behaviour:
    text = said if isinstance(said, str) else said.text
    asked = () if isinstance(said, str) else said.calls
    made = [
        {"id": name_of, "type": "function", "function": {"name": name, "arguments": _json(arguments)}}
        for name, arguments, name_of in asked
    ]
    finish = "tool_calls" if made else "stop"
    if body.get("stream"):
        parts = [piece(text)] if text else []
        parts += [piece(None, None, tool_calls=[{"index": at, **one}]) for at, one in enumerate(made)]
        return streams([*parts, piece(None, finish)])
    return says(chat(text or None, finish, **({"tool_calls": made} if made else {})))


def _json(arguments: Any) -> str:
    return arguments if isinstance(arguments, str) else json.dumps(arguments)


@contextmanager
def tool_model(answer: Answering, seconds: float = 0.0) -> Iterator[ToolModel]:
    """Serves in threads of this process until the end of the block."""
    model = ToolModel(answer, seconds)
    model.start()
    try:
        yield model
    finally:
        with suppress(OSError):
            model.kill()
