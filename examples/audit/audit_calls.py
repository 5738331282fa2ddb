"""The model calls of a run: what each cost, and how the account's line looked meanwhile."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Call:
    """One model call by a node, as the event of its end tells it. Times are Redis time in seconds."""

    node: str
    account: str
    model: str
    input_tokens: int
    output_tokens: int
    micro_usd: int
    attempts: int
    waited: float
    """Seconds between asking and going out."""
    began: float
    ended: float

    @property
    def ran(self) -> float:
        """Seconds from the claim of the worker that made it to its commit."""
        return self.ended - self.began


@dataclass(frozen=True, slots=True)
class Gauge:
    """The limiter's view of the accounts at one moment, added up; `at` is Redis time in seconds."""

    at: float
    in_flight: int
    allowed: int | None
    """Calls at the same time; None: not limited."""
    waiting: int
    calls: int
    """That went out in the window."""
    tokens: int
    """That the goal has spent, and reserved for what is in flight."""


@dataclass(frozen=True, slots=True)
class CallTotals:
    """Sums and extremes over a run."""

    calls: int
    attempts: int
    input_tokens: int
    output_tokens: int
    micro_usd: int
    models: str
    accounts: str
    most_in_flight: int
    allowed: int | None
    most_waiting: int
    longest_wait: float

    @property
    def tokens(self) -> int:
        """Input and output."""
        return self.input_tokens + self.output_tokens

    @property
    def used(self) -> str:
        """`2 of 2`, or the number alone where there is no limit."""
        return f"{self.most_in_flight} of {self.allowed}" if self.allowed is not None else str(self.most_in_flight)


def call_totals(calls: Sequence[Call], gauges: Sequence[Gauge]) -> CallTotals:
    """Add the calls up, and find the peaks of the gauges."""
    return CallTotals(
        calls=len(calls),
        attempts=sum(call.attempts for call in calls),
        input_tokens=sum(call.input_tokens for call in calls),
        output_tokens=sum(call.output_tokens for call in calls),
        micro_usd=sum(call.micro_usd for call in calls),
        models=_names(call.model for call in calls),
        accounts=_names(call.account for call in calls),
        most_in_flight=max((gauge.in_flight for gauge in gauges), default=0),
        allowed=gauges[-1].allowed if gauges else None,
        most_waiting=max((gauge.waiting for gauge in gauges), default=0),
        longest_wait=max((call.waited for call in calls), default=0.0),
    )


def changes(gauges: Sequence[Gauge]) -> list[Gauge]:
    """The gauges without those that only repeat the one before them."""
    kept: list[Gauge] = []
    for gauge in gauges:
        if not kept or _shown(gauge) != _shown(kept[-1]):
            kept.append(gauge)
    return kept


def _shown(gauge: Gauge) -> tuple[int | None, ...]:
    return gauge.in_flight, gauge.allowed, gauge.waiting, gauge.calls, gauge.tokens


def _names(found: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(found))
