"""How many output tokens an answer will have, learnt from those before it: the 95th percentile by model and role.

A reservation that is twice too high costs a tenth of the allowance and more; one that is too low cuts answers off. The
percentile is taken over the latest answers, so that it follows a changed prompt.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final, Protocol

REMEMBERED: Final = 200
ENOUGH: Final = 20
"""Fewer answers than this say nothing about a 95th percentile: the largest of them is doubled instead."""
UNKNOWN_TOKENS: Final = 1024
MARGIN: Final = 1.1
SHARE: Final = 0.95


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
