"""A store whose scripts and whose `TIME` go by a clock of ours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from orchestrator.store import store as stores
from orchestrator.store.keys import Keys
from orchestrator.store.scripts import Scripts
from orchestrator.store.store import Store

START_MS = 4_000_000_000_000
"""Far ahead: what goes by the server's own clock meanwhile must not come behind it in a stream."""


@dataclass
class Clock:
    """The time, which stands still until it is moved."""

    now_ms: int = START_MS


class _Scripts(Scripts):
    """Scripts that act at that time."""

    def __init__(self, client: Any, clock: Clock) -> None:
        super().__init__(client)
        self._clock = clock

    def run(self, name: str, keys: Sequence[str], args: Sequence[Any]) -> Any:
        return super().run(name, keys, (self._clock.now_ms, *args[1:]))

    def batch(self, calls: Sequence[tuple[str, Sequence[str], Sequence[Any]]]) -> list[Any]:
        return super().batch([(name, keys, (self._clock.now_ms, *args[1:])) for name, keys, args in calls])


@contextmanager
def timed_store(url: str, clock: Clock, dispatch_ms: int) -> Iterator[Store]:
    """A store on that server that goes by the clock."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stores, "Scripts", lambda client: _Scripts(client, clock))
        store = Store(url, Keys(), dispatch_ms)
        client = store.client
    patch.setattr(client, "time", lambda: (clock.now_ms // 1000, clock.now_ms % 1000 * 1000))
    try:
        yield store
    finally:
        store.close()
