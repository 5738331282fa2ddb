"""llmock as a process of its own: an OpenAI-compatible server with quotas, scripted failures and a journal of requests."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from support.servers import until

_READY = re.compile(r"running on http://127\.0\.0\.1:(\d+)")


@dataclass(frozen=True)
class Served:
    """A request that it answered. Times are seconds of its monotonic clock, which is the machine's."""

    status: int
    started_at: float
    ended_at: float
    completed: bool
    """False: the stream was broken on purpose."""


@dataclass
class Llmock:
    """A running server."""

    port: int

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://127.0.0.1:{self.port}/v1"

    def reset(self) -> None:
        """Forget requests and scripts, and fill the quota again."""
        self._say("POST", "reset")

    def script(self, *behaviors: dict[str, Any]) -> None:
        """What the next requests meet, in llmock's words; each once unless it says `times` (None: for ever)."""
        self._say("POST", "scenario", {"behaviors": behaviors})

    def unscript(self) -> None:
        """Answer again as usual."""
        self._say("DELETE", "scenario")

    def served(self) -> list[Served]:
        """Every request since the reset, oldest first."""
        found = self._say("GET", "requests")["requests"]
        return [Served(one["status"], one["started_at"], one["ended_at"], one["completed"]) for one in found]

    def spend(self, requests: int, max_tokens: int = 1) -> None:
        """Use up so much of the quota, in the name of callers without a key of their own."""
        body = {"model": "m", "max_tokens": max_tokens, "messages": [{"role": "user", "content": "x"}]}
        for _ in range(requests):
            self._send("POST", "/v1/chat/completions", body, Authorization="Bearer none")

    def _say(self, method: str, path: str, body: Any = None) -> Any:
        return self._send(method, f"/_llmock/{path}", body)

    def _send(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        sent = None if body is None else json.dumps(body).encode()
        known = {"Content-Type": "application/json", **headers}
        with urlopen(Request(f"http://127.0.0.1:{self.port}{path}", sent, known, method=method), timeout=20) as answer:
            return json.load(answer)


@contextmanager
def llmock(folder: Path, *options: str) -> Iterator[Llmock]:
    """Runs until the end of the block; it picks a free port itself. Its output is `folder/llmock.log`."""
    log = folder / "llmock.log"
    with log.open("wb") as out:
        command = [sys.executable, "-P", "-m", "llmock.cli", "serve", "--port", "0", *options]
        process = subprocess.Popen(command, cwd=folder, stdout=out, stderr=subprocess.STDOUT)
    try:
        until(lambda: _READY.search(log.read_text()) or process.poll() is not None, 60, f"a port in {log}")
        ready = _READY.search(log.read_text())
        assert ready is not None, log.read_text()
        yield Llmock(int(ready[1]))
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
