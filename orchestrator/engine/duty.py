"""One line of beat's table: what is done, how often, and whether the last tick left some of it behind."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

BUDGET_SECONDS: Final = 0.2
"""The longest that one tick of one duty goes on beginning new work; duties share one thread."""


def _nothing_left() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Duty:
    """Periodic work of beat. Two beats at once must be harmless: a tick may be carried out twice, or not at all."""

    name: str
    seconds: float
    """Between the beginnings of two ticks."""
    act: Callable[[], str]
    """One tick, of about BUDGET_SECONDS at most; returns a note for people. What it raises is logged, and the next tick
    tries again."""
    left: Callable[[], bool] = _nothing_left
    """Whether the last tick left work that is due: then the next comes at once, after the other duties had theirs."""


class Budget:
    """How long one tick may go on: `while budget: ...`."""

    __slots__ = ("_end",)

    def __init__(self, seconds: float = BUDGET_SECONDS) -> None:
        self._end = time.monotonic() + seconds

    def __bool__(self) -> bool:
        return time.monotonic() < self._end
