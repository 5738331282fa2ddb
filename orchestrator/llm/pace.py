"""How long an account's rate limits make a number of calls take, at least. Pure."""

from __future__ import annotations

from typing import Final

from orchestrator.llm.limits import Limits

AHEAD: Final = 0.95
"""Calls are paced a twentieth faster than the limit (lua/llm/lib/admit.lua): inside one window they may be that early."""


def shortest_seconds(limits: Limits, requests: int, input_tokens: int, output_tokens: int) -> float:
    """Seconds from the first of these calls to the start of the last, on an idle account; 0 where no rate binds.

    Every call counts as an equal part, and as if it used what it reserves. How long a call takes is not known, so limits on calls at once are
    left out.
    """
    totals = (
        (limits.requests_per_minute, requests),
        (limits.input_tokens_per_minute, input_tokens),
        (limits.output_tokens_per_minute, output_tokens),
        (limits.tokens_per_minute, input_tokens + output_tokens),
    )
    rates = [(most, total) for most, total in totals if most and total]
    return max((_seconds(limits, most, total, total / requests) for most, total in rates), default=0.0)


def _seconds(limits: Limits, most: int, total: int, each: float) -> float:
    """Whole windows that are used up, then what is left at an even pace, ahead of which calls may be by the burst."""
    window = limits.window_seconds
    burst = window / 60 if limits.burst_seconds is None else limits.burst_seconds
    full = (total - 1) // most
    pace = AHEAD * window / most
    left = (total - full * most) * pace - max(burst, each * pace)
    return full * window + (max(0.0, left) if burst < window else 0.0)
