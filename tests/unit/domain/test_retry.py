"""Back-off."""

from __future__ import annotations

import pytest

from orchestrator.domain.retry import backoff


def top(_low: float, high: float) -> float:
    return high


@pytest.mark.parametrize(("failures", "seconds"), [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (10_000, 60)])
def test_it_doubles_up_to_the_cap(failures: int, seconds: float) -> None:
    assert backoff(failures, 1.0, 60.0, top) == seconds


def test_jitter_is_full() -> None:
    asked: list[tuple[float, float]] = []

    def middle(low: float, high: float) -> float:
        asked.append((low, high))
        return (low + high) / 2

    assert backoff(3, 2.0, 60.0, middle) == 4.0
    assert asked == [(0.0, 8.0)]


def test_no_base_is_no_wait() -> None:
    assert backoff(5, 0.0, 60.0, top) == 0.0
