"""The least time that rate limits make calls take."""

from __future__ import annotations

import pytest

from orchestrator.llm.limits import Limits
from orchestrator.llm.pace import shortest_seconds


@pytest.mark.parametrize(
    ("limits", "calls", "seconds"),
    [
        (Limits(), (1000, 10, 10), 0.0),
        (Limits(concurrency=1), (1000, 10, 10), 0.0),
        (Limits(requests_per_minute=60), (0, 0, 0), 0.0),
        (Limits(requests_per_minute=60), (1, 10, 10), 0.0),
        (Limits(requests_per_minute=60, burst_seconds=60.0), (60, 0, 0), 0.0),  # a whole window at once
        (Limits(requests_per_minute=60, burst_seconds=60.0), (61, 0, 0), 60.0),  # the next one when the first leaves
        (Limits(requests_per_minute=60), (61, 0, 0), 60.0),
        (Limits(requests_per_minute=60, burst_seconds=0.0), (11, 0, 0), 9.5),  # ten intervals of 0.95 s
        (Limits(tokens_per_minute=1000, burst_seconds=60.0), (3, 900, 1200), 120.0),
        (Limits(output_tokens_per_minute=100, requests_per_minute=1000, burst_seconds=60.0), (2, 0, 200), 60.0),
        (Limits(requests_per_minute=2, window_seconds=10.0, burst_seconds=10.0), (5, 0, 0), 20.0),
    ],
)
def test_the_scarcest_limit_says_how_long(limits: Limits, calls: tuple[int, int, int], seconds: float) -> None:
    assert shortest_seconds(limits, *calls) == pytest.approx(seconds)
