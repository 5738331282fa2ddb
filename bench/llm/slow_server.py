"""A model server that does nothing but wait: `python -m bench.llm.slow_server PORT`.

Bare asyncio, HTTP/1.1, connections kept. A request to `/<milliseconds>/v1/chat/completions` is answered that long after it
came; a GET of `/count` says how many were answered and how many are open now and at most.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
from typing import Final

_COMPLETION: Final = {
    "id": "c", "object": "chat.completion", "created": 1, "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
}  # fmt: skip


def http(body: object) -> bytes:
    """A whole answer."""
    text = json.dumps(body).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(text), text)


ANSWER: Final = http(_COMPLETION)


class Counts:
    """Calls under way."""

    open = most = answered = 0


class Connection(asyncio.Protocol):
    """One client's connection; one request at a time."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer once the whole request is here."""
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        lower = head.lower()
        _, stated, after = lower.partition(b"content-length:")
        if stated and len(rest) < int(after.split(b"\r\n", 1)[0]):
            return
        self._buffer = b""
        path = head.split(b" ", 2)[1]
        if path == b"/count":
            counts = self._counts
            self._write(http({"answered": counts.answered, "open": counts.open, "most": counts.most}))
            counts.most = counts.open
            return
        self._counts.open += 1
        self._counts.most = max(self._counts.most, self._counts.open)
        milliseconds = int(path.split(b"/", 2)[1])
        answer = self.answer_to(path, rest)
        asyncio.get_running_loop().call_later(milliseconds / 1000, self._answer, answer)

    def answer_to(self, path: bytes, body: bytes) -> bytes:  # noqa: ARG002
        """The same to everybody."""
        return ANSWER

    def _answer(self, answer: bytes) -> None:
        self._counts.open -= 1
        self._counts.answered += 1
        self._write(answer)

    def _write(self, answer: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(answer)


async def serve(port: int) -> None:
    """Serve until the process is ended."""
    counts = Counts()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(counts), "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


def more_files(most: int = 65_536) -> None:
    """Allow this process as many open connections as the system lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(most, hard)), hard))


if __name__ == "__main__":
    more_files()
    asyncio.run(serve(int(sys.argv[1])))
