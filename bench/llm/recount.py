"""Recount windows, shares and waits from what really went out. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bench.llm.load import Called


def most_in_window(calls: Sequence[tuple[float, int]], seconds: float) -> tuple[int, int]:
    """The most calls, and the most tokens, of (when, tokens) in any window of this length, ends included once."""
    tokens = first = most_calls = most_tokens = 0
    ordered = sorted(calls)
    for index, (at, amount) in enumerate(ordered):
        tokens += amount
        while ordered[first][0] <= at - seconds:
            tokens -= ordered[first][1]
            first += 1
        most_calls, most_tokens = max(most_calls, index + 1 - first), max(most_tokens, tokens)
    return most_calls, most_tokens


def used_up(calls: Sequence[tuple[float, int]], begin: float, end: float, seconds: float) -> tuple[float, float, int]:
    """Calls and tokens a window on the average of as many whole windows as fit, and how many those are."""
    windows = math.floor((end - begin) / seconds + 1e-9)
    if windows < 1:
        return 0.0, 0.0, 0
    inside = [tokens for at, tokens in calls if begin <= at < begin + windows * seconds]
    return len(inside) / windows, sum(inside) / windows, windows


def quantile(values: Sequence[float], share: float) -> float:
    """The nearest rank; 0 of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0


def starts(calls: Sequence[Called]) -> list[tuple[float, int]]:
    """When each call went out, and what it used."""
    return [(call.began, call.tokens) for call in calls]
