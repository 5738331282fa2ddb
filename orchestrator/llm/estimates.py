"""How many output tokens an answer will have, learnt from those before it: the 95th percentile by model and role.

A reservation that is twice too high costs a tenth of the allowance and more; one that is too low cuts answers off. The
percentile is taken over the latest answers, so that it follows a changed prompt.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Protocol

from orchestrator.store.llm_shared import SharingFailed

log = logging.getLogger(__name__)

REMEMBERED: Final = 200
ENOUGH: Final = 20
"""Fewer answers than this say nothing about a 95th percentile: the largest of them is doubled instead."""
UNKNOWN_TOKENS: Final = 1024
MARGIN: Final = 1.1
SHARE: Final = 0.95
FRESH_SECONDS: Final = 5.0
"""So old may be what a process knows of the fleet's lengths."""
ROLES: Final = 10_000
"""Pairs of model and role that a process remembers; the least recently read is dropped first."""


def estimate(seen: Sequence[int]) -> int:
    """Output tokens to reserve, after the latest answers' lengths: their 95th percentile (nearest rank) and a tenth."""
    if not seen:
        return UNKNOWN_TOKENS
    if len(seen) < ENOUGH:
        return max(1, 2 * max(seen))
    return max(1, math.ceil(sorted(seen)[math.ceil(SHARE * len(seen)) - 1] * MARGIN))


class Estimates(Protocol):
    """Keeps what was learnt; safe to share between threads."""

    def tokens(self, model: str, role: str) -> int:
        """Output tokens to reserve for a call."""
        ...

    def observe(self, model: str, role: str, output_tokens: int) -> None:
        """An answer had so many."""
        ...


class LocalEstimates:
    """What this process learnt."""

    def __init__(self, seen: Iterable[tuple[str, str, int]] = ()) -> None:
        self._seen: dict[tuple[str, str], deque[int]] = {}
        self._lock = threading.Lock()
        for model, role, tokens in seen:
            self.observe(model, role, tokens)

    def tokens(self, model: str, role: str) -> int:
        """Output tokens to reserve; 1,024 as long as nothing is known."""
        with self._lock:
            return estimate(tuple(self._seen.get((model, role), ())))

    def observe(self, model: str, role: str, output_tokens: int) -> None:
        """Remember an answer's length; the latest 200 count."""
        with self._lock:
            self._seen.setdefault((model, role), deque(maxlen=REMEMBERED)).append(output_tokens)


class SharedEstimates:
    """What the whole fleet learnt: lengths that the settling of permits keeps in Redis.

    A length is read at most every five seconds. While Redis is away the last one stands.
    """

    def __init__(
        self, learned: Callable[[str, str, str], Sequence[int]], accounts: Mapping[str, str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        """`learned(account, model, role)` gives the latest lengths; `accounts` says which account serves a model."""
        self._learned = learned
        self._accounts = accounts
        self._clock = clock
        self._read: OrderedDict[tuple[str, str], tuple[float, int]] = OrderedDict()
        self._lock = threading.Lock()

    def tokens(self, model: str, role: str) -> int:
        """Output tokens to reserve; 1,024 as long as nothing is known."""
        key = (model, role)
        with self._lock:
            at, before = self._read.get(key, (float("-inf"), UNKNOWN_TOKENS))
            if self._clock() - at < FRESH_SECONDS:
                return before
            if key in self._read:
                self._put(key, before)  # the other threads need not read it too
        try:
            found = estimate(self._learned(self._accounts[model], model, role))
        except SharingFailed as error:
            log.warning("lengths of answers could not be read: %s", error)
            return before
        with self._lock:
            self._put(key, found)
        return found

    def observe(self, model: str, role: str, output_tokens: int) -> None:
        """Nothing: the permit's settlement keeps the length, in the script that books it."""

    def _put(self, key: tuple[str, str], tokens: int) -> None:
        self._read[key] = (self._clock(), tokens)
        self._read.move_to_end(key)
        while len(self._read) > ROLES:
            self._read.popitem(last=False)
