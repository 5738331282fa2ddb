"""A real HTTP server on loopback that behaves as a provider may: answers, refuses, hangs, drips, breaks off, babbles."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Behaviour = Callable[["Handler"], None]
USAGE = {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17, "prompt_tokens_details": {"cached_tokens": 4}}


@dataclass
class Asked:
    """A request that came in."""

    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class ModelServer:
    """What it does next, in order; the last behaviour stays."""

    port: int = 0
    behaviours: list[Behaviour] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://127.0.0.1:{self.port}/v1"

    def does(self, *behaviours: Behaviour) -> None:
        """From now on."""
        with self.lock:
            self.behaviours[:] = behaviours

    def next(self) -> Behaviour:
        """What the next request meets."""
        with self.lock:
            return self.behaviours.pop(0) if len(self.behaviours) > 1 else self.behaviours[0]


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    model: ModelServer
    asked: Asked

    def do_POST(self) -> None:
        """Take the request down and behave."""
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.asked = Asked(self.path, {k.lower(): v for k, v in self.headers.items()}, json.loads(body))
        self.model.asked.append(self.asked)
        with suppress(OSError):
            self.model.next()(self)

    do_GET = do_POST

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""

    def head(self, status: int, kind: str, length: int | None, **headers: str) -> None:
        """Status line and headers."""
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("x-request-id", "req_1")
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if length is None:
            self.send_header("connection", "close")
            self.close_connection = True
        else:
            self.send_header("content-length", str(length))
        self.end_headers()


def says(value: Any, status: int = 200, **headers: str) -> Behaviour:
    """Answers with JSON, or with the bytes as they are."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()

    def behave(handler: Handler) -> None:
        handler.head(status, "application/json", len(body), **headers)
        handler.wfile.write(body)

    return behave


def says_after(gate: threading.Event, value: Any) -> Behaviour:
    """Answers once the gate is open."""

    def behave(handler: Handler) -> None:
        gate.wait(60)
        says(value)(handler)

    return behave


def chat(text: str | None, finish: str | None = "stop", usage: Any = USAGE, **message: Any) -> dict[str, Any]:
    """A chat completion."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text, **message}, "finish_reason": finish}
    return {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}


def response(text: str, status: str = "completed", **more: Any) -> dict[str, Any]:
    """A response of the responses API."""
    content = [{"type": "output_text", "text": text, "annotations": []}]
    usage = {"input_tokens": 12, "output_tokens": 5, "total_tokens": 17, "input_tokens_details": {"cached_tokens": 4}}
    item = {"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": content}
    return {"id": "r", "object": "response", "status": status, "output": [item], "usage": usage, **more}


def piece(text: str | None = None, finish: str | None = None, **delta: Any) -> dict[str, Any]:
    """A piece of a chat completion."""
    choice = {"index": 0, "delta": {"content": text, **delta}, "finish_reason": finish}
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}


def streams(pieces: Sequence[Any], done: bool = True) -> Behaviour:
    """Sends pieces as server-sent events; without `done` the connection just ends after them."""

    def behave(handler: Handler) -> None:
        handler.head(200, "text/event-stream", None)
        for one in pieces:
            line = one if isinstance(one, bytes) else b"data: " + json.dumps(one).encode() + b"\n\n"
            handler.wfile.write(line)
            handler.wfile.flush()
        if done:
            handler.wfile.write(b"data: [DONE]\n\n")

    return behave


def fails(status: int, code: str | None = None, message: str = "no", **headers: str) -> Behaviour:
    """Refuses with an error object."""
    return says({"error": {"message": message, "type": "error", "code": code, "param": None}}, status, **headers)


def hangs(handler: Handler) -> None:
    """Never answers."""
    handler.model.closing.wait(60)


def drips(head: bool) -> Behaviour:
    """Sends a byte every 20 ms, for ever: of the headers, or of the body."""

    def behave(handler: Handler) -> None:
        if head:
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nx-slow: ")
        else:
            handler.head(200, "application/json", 1_000_000)
        while not handler.model.closing.wait(0.02):
            handler.wfile.write(b"a" if head else b" ")
            handler.wfile.flush()

    return behave


def breaks_off(handler: Handler) -> None:
    """Promises more than it sends."""
    handler.head(200, "application/json", 1000)
    handler.wfile.write(b'{"choices": [')
    handler.close_connection = True


@contextmanager
def model_server() -> Iterator[ModelServer]:
    """Runs in threads until the end of the block."""
    model = ModelServer()
    http = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"model": model}))
    http.daemon_threads = True
    model.port = http.server_address[1]
    thread = threading.Thread(target=http.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield model
    finally:
        model.closing.set()
        http.shutdown()
        http.server_close()
        thread.join(5)
