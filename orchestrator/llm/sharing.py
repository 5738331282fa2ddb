"""One call for many who ask the same: the hash of a request, single flight, and the opt-in cache."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from typing import Final, Protocol

from orchestrator.llm.failures import CallFailed, LlmCancelled, LlmDeadline
from orchestrator.llm.messages import Reply, Request

ASKED: Final = frozenset({"model", "messages", "tools", "response_schema", "max_output_tokens", "temperature"})
"""The fields that the answer depends on. The others say for whom a call is and how it is run."""
_LOOK_SECONDS: Final = 0.25


def request_hash(request: Request) -> str:
    """The same for requests that ask the same: SHA-256 of the canonical JSON, 64 hex digits."""
    asked = request.model_dump(mode="json", include=set(ASKED))
    text = json.dumps(asked, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


class Flights(Protocol):
    """Lets only one of several same calls fly."""

    def run(
        self, key: str, work: Callable[[], Reply], wait_seconds: float, cancelled: Callable[[], bool]
    ) -> tuple[Reply, bool]:
        """The answer, and whether it was somebody else's. Raises what `work` raises, LlmDeadline, LlmCancelled."""
        ...


class Cache(Protocol):
    """Keeps answers for a while."""

    def get(self, key: str, within_seconds: float) -> Reply | None:
        """An answer that is not older."""
        ...

    def put(self, key: str, reply: Reply, seconds: float) -> None:
        """Keep an answer for so long."""
        ...


class LocalFlights:
    """Single flight inside this process.

    What the provider did is shared, answers and failures alike. What befell the first caller only, its budget, its
    deadline or its being cancelled, is not: the next one then flies.
    """

    def __init__(self) -> None:
        self._open: dict[str, Future[Reply | None]] = {}
        self._lock = threading.Lock()

    def run(
        self, key: str, work: Callable[[], Reply], wait_seconds: float, cancelled: Callable[[], bool]
    ) -> tuple[Reply, bool]:
        """As the protocol says."""
        end = time.monotonic() + wait_seconds
        while True:
            with self._lock:
                flight = self._open.get(key)
                mine = flight is None
                if flight is None:
                    flight = self._open[key] = Future()
            if mine:
                return self._fly(key, flight, work), False
            reply = _wait(flight, end, cancelled)
            if reply is not None:
                return reply, True

    def _fly(self, key: str, flight: Future[Reply | None], work: Callable[[], Reply]) -> Reply:
        outcome: Reply | CallFailed | None = None
        try:
            outcome = work()
        except CallFailed as error:
            outcome = error
            raise
        finally:
            with self._lock:
                del self._open[key]
            if isinstance(outcome, CallFailed):
                flight.set_exception(outcome)
            else:
                flight.set_result(outcome)
        return outcome


def _wait(flight: Future[Reply | None], end: float, cancelled: Callable[[], bool]) -> Reply | None:
    while True:
        if cancelled():
            raise LlmCancelled("the call was cancelled while it waited for the same call of somebody else")
        left = end - time.monotonic()
        if left <= 0:
            raise LlmDeadline("the same call of somebody else took longer than this one may")
        try:
            return flight.result(min(left, _LOOK_SECONDS))
        except NotYet:
            continue


class LocalCache:
    """Answers in this process, the least recently used dropped first."""

    def __init__(self, most: int = 1000, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._kept: OrderedDict[str, tuple[float, float, Reply]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: str, within_seconds: float) -> Reply | None:
        """An answer that is not older."""
        with self._lock:
            at, end, reply = self._kept.get(key, (0.0, 0.0, None))
            now = self._clock()
            if reply is None or now >= end:
                self._kept.pop(key, None)
                return None
            if now - at > within_seconds:
                return None
            self._kept.move_to_end(key)
            return reply

    def put(self, key: str, reply: Reply, seconds: float) -> None:
        """Keep an answer for so long."""
        with self._lock:
            now = self._clock()
            self._kept[key] = (now, now + seconds, reply)
            self._kept.move_to_end(key)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
