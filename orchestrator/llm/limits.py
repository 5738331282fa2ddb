"""What an account of a provider allows, and what a call costs. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Literal

_POSITIVE: Final = (
    "requests_per_minute", "input_tokens_per_minute", "output_tokens_per_minute", "tokens_per_minute", "concurrency",
    "window_seconds", "breaker_failures", "breaker_seconds",
)  # fmt: skip
Charges = Literal["used", "reserved"]


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one account, or of one model of it (`account/model`). A limit of None does not bind.

    Rates are per `window_seconds`: with 60 they are what providers call per minute. Raises ValueError for a limit below 1.
    """

    requests_per_minute: int | None = None
    input_tokens_per_minute: int | None = None
    output_tokens_per_minute: int | None = None
    tokens_per_minute: int | None = None
    """Input and output together."""
    concurrency: int | None = None
    """Calls at once."""
    window_seconds: float = 60.0
    burst_seconds: float | None = None
    """Calls go out evenly, ahead of the even pace by at most this much of the window. None: a sixtieth of it. As long as
    the window: no pacing; then owners are served fairly only on the average of windows."""
    breaker_failures: int = 5
    """So many failures of the provider in a row open the circuit breaker."""
    breaker_seconds: float = 10.0
    """How long it stays open the first time; doubled whenever the probe fails, up to five minutes."""
    charges: Charges = "used"
    """What the provider counts against token limits: what a call used, or, as OpenAI does, what it reserved."""

    def __post_init__(self) -> None:
        for name in _POSITIVE:
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} is {value}: it must be more than 0; leave it out for no limit")
        if self.window_seconds < 0.1:
            raise ValueError(f"window_seconds is {self.window_seconds:g}: at least 0.1")
        if self.burst_seconds is not None and self.burst_seconds < 0:
            raise ValueError(f"burst_seconds is {self.burst_seconds:g}: at least 0")

    def as_json(self) -> str:
        """As the scripts read it: times in ms, what does not bind left out."""
        window = round(self.window_seconds * 1000)
        burst = window / 60 if self.burst_seconds is None else self.burst_seconds * 1000
        timing: dict[str, Any] = {
            "window": window, "burst": burst, "breaker_failures": self.breaker_failures,
            "breaker_ms": round(self.breaker_seconds * 1000),
        }  # fmt: skip
        if self.charges == "reserved":
            timing["reserved"] = True
        return json.dumps(timing | {name: value for name, value in self.binding().items() if value is not None})

    def binding(self) -> dict[str, int | None]:
        """The limits by their names in the scripts and events."""
        return {
            "requests": self.requests_per_minute, "input": self.input_tokens_per_minute,
            "output": self.output_tokens_per_minute, "tokens": self.tokens_per_minute, "concurrent": self.concurrency,
        }  # fmt: skip


NAMES: Final[Mapping[str, str]] = {
    "requests": "requests_per_minute", "input": "input_tokens_per_minute", "output": "output_tokens_per_minute",
    "tokens": "tokens_per_minute", "concurrent": "concurrency",
}  # fmt: skip
"""The limits that may be set at run time: their names in the scripts, and as fields."""


def override_json(changes: Mapping[str, int | None]) -> str:
    """Limits set at run time, by field name, as the scripts read them; None lifts one. Raises ValueError."""
    short = {field: name for name, field in NAMES.items()}
    for field, value in changes.items():
        if field not in short:
            raise ValueError(f"{field} cannot be set at run time; these can: {', '.join(sorted(short))}")
        if value is not None and value < 1:
            raise ValueError(f"{field} is {value}: at least 1; None lifts the limit")
    return json.dumps({short[field]: False if value is None else value for field, value in changes.items()})


@dataclass(frozen=True, slots=True)
class Cost:
    """Tokens and money: reserved for a call, or used by it. Raises ValueError for less than 0."""

    input_tokens: int
    output_tokens: int
    micro_usd: int = 0
    """Millionths of a US dollar; counted against budgets only."""

    def __post_init__(self) -> None:
        for field in fields(self):
            if getattr(self, field.name) < 0:
                raise ValueError(f"{field.name} is {getattr(self, field.name)}: at least 0")

    @property
    def tokens(self) -> int:
        """Input and output together."""
        return self.input_tokens + self.output_tokens
