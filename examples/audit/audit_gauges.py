"""Watch the limiter while a goal runs: a progress view that samples the accounts and says how their line stands."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from audit_calls import Gauge
from orchestrator.cli.tally import Tally
from orchestrator.cli.views import TtyView, View
from orchestrator.domain.events import Event
from orchestrator.llm.limiter import Limiter

EVERY_SECONDS: Final = 0.1
SAY_SECONDS: Final = 0.5


def gauge_of(limiter: Limiter, accounts: Sequence[str], goal: str) -> Gauge:
    """One sample. Raises what Redis raises."""
    seen = [limiter.status(account) for account in accounts]
    allowed = [one.usage["concurrent"].allowed for one in seen]
    return Gauge(
        at=max(one.at_ms for one in seen) / 1000,
        in_flight=sum(one.usage["concurrent"].used for one in seen),
        allowed=None if None in allowed else sum(one or 0 for one in allowed),
        waiting=sum(one.waiting for one in seen),
        calls=sum(one.usage["requests"].used for one in seen),
        tokens=sum(one.spend.get(f"goal:{goal}:tokens", 0) for one in seen),
    )


def words_of(gauge: Gauge) -> str:
    """The line that people read."""
    most = f" of {gauge.allowed}" if gauge.allowed is not None else ""
    return (
        f"model calls: {gauge.in_flight}{most} in flight, {gauge.waiting} waiting, {gauge.calls} out in the last "
        f"minute, {gauge.tokens:,} tokens"
    )


@dataclass
class GaugeView:
    """A progress view that samples besides showing the run. What it saw is in `gauges`."""

    inner: View
    sample: Callable[[str], Gauge]
    """By the goal's id."""
    gauges: list[Gauge] = field(default_factory=list)
    _note: str = ""
    _said: str = ""
    _said_at: float = float("-inf")
    _at: float = float("-inf")

    @property
    def live(self) -> bool:
        """Whether the display redraws itself."""
        return isinstance(self.inner, TtyView)

    def draw(self, tally: Tally, events: Sequence[Event], elapsed_seconds: float) -> None:
        """Sample, say what has changed, and pass on."""
        if time.monotonic() - self._at >= EVERY_SECONDS:
            self._at = time.monotonic()
            self.gauges.append(self.sample(tally.goal))
            self._say(words_of(self.gauges[-1]))
        if self.live:  # it shows a note until the next frame
            lines = [self._note, words_of(self.gauges[-1]) if self.gauges and self.gauges[-1].calls else ""]
            self.inner.note("\n".join(line for line in lines if line))
        self._note = ""
        self.inner.draw(tally, events, elapsed_seconds)

    def note(self, text: str) -> None:
        """Pass it on with the next picture."""
        if self.live:
            self._note = text
        else:
            self.inner.note(text)

    def close(self) -> None:
        """Close the display."""
        self.inner.close()

    def _say(self, words: str) -> None:
        idle = not self._said and not (self.gauges[-1].calls or self.gauges[-1].waiting)
        if self.live or idle or words == self._said or time.monotonic() - self._said_at < SAY_SECONDS:
            return
        self._said, self._said_at = words, time.monotonic()
        print(words, flush=True)
