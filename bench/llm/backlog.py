"""A client process with more to do than it may: every caller calls again as soon as it can, until the time is over.

    python -m bench.llm.peers.sdk http://127.0.0.1:8000/v1 FOLDER NAME SECONDS CALLERS PER_MINUTE

`FOLDER/NAME.ready` says that it has started up; it begins at the moment (seconds of the monotonic clock) that
`FOLDER/go` holds, and leaves `FOLDER/NAME.json`. Peers run this in environments of their own: it needs nothing but Python.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

REQUEST = {"model": "m", "max_tokens": 16, "messages": [{"role": "user", "content": "Say hello."}]}


@dataclass(frozen=True, slots=True)
class Order:
    """What a process is to do."""

    url: str
    folder: Path
    name: str
    seconds: float
    callers: int
    per_minute: int

    @classmethod
    def given(cls) -> Order:
        """By the command line."""
        url, folder, name, seconds, callers, per_minute = sys.argv[1:]
        return cls(url, Path(folder), name, float(seconds), int(callers), int(per_minute))

    def argv(self) -> tuple[str, ...]:
        """As the command line has it."""
        return (self.url, str(self.folder), self.name, str(self.seconds), str(self.callers), str(self.per_minute))

    def begin(self) -> float:
        """Say that this process is ready, wait for the moment, and return the one at which to end."""
        (self.folder / f"{self.name}.ready").touch()
        go = self.folder / "go"
        while not go.exists():
            time.sleep(0.01)
        at = float(go.read_text())
        time.sleep(max(0.0, at - time.monotonic()))
        return at + self.seconds


@dataclass
class Tally:
    """What became of the calls that ended in time."""

    answered: int = 0
    failed: int = 0
    """Calls that their client gave up."""
    reasons: Counter[str] = field(default_factory=Counter)

    def lost(self, error: BaseException) -> None:
        """A call failed."""
        self.failed += 1
        self.reasons[type(error).__name__] += 1

    def leave(self, order: Order) -> None:
        """Write it down and end the process, whatever still waits in it."""
        done = {"answered": self.answered, "failed": self.failed, "reasons": dict(self.reasons)}
        new = order.folder / f"{order.name}.new"
        new.write_text(json.dumps(done))
        new.replace(order.folder / f"{order.name}.json")
        os._exit(0)


def threads(order: Order, call: Callable[[], object]) -> None:
    """As many threads as callers. An exception is a call that failed. Does not return."""
    tally, lock = Tally(), threading.Lock()
    end = order.begin()

    def work() -> None:
        while time.monotonic() < end:
            error: Exception | None = None
            try:
                call()
            except Exception as raised:
                error = raised
            if time.monotonic() >= end:
                return
            with lock:
                if error is None:
                    tally.answered += 1
                else:
                    tally.lost(error)

    for _ in range(order.callers):
        threading.Thread(target=work, daemon=True).start()
    time.sleep(max(0.0, end - time.monotonic()))
    with lock:
        tally.leave(order)
