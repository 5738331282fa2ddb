"""What a provider's response headers say about waiting: how long to stay away, and what is left of its limits.

Understood are `retry-after-ms`, `Retry-After` (seconds or a date, RFC 9110), OpenAI's `x-ratelimit-*` with durations like
`6m0s` and Anthropic's `anthropic-ratelimit-*` with RFC 3339 times. Whatever cannot be read counts as absent.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

LONGEST_HOLD_SECONDS: Final = 3600.0
"""A provider cannot make an account wait longer than this with one answer."""

_UNITS: Final = {"d": 86_400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|ns|d|h|m|s)")
_KINDS: Final = ("requests", "tokens", "input-tokens", "output-tokens")


@dataclass(frozen=True, slots=True)
class Window:
    """One limit as a provider states it; `reset_seconds` is the time until it is whole again."""

    limit: int | None = None
    remaining: int | None = None
    reset_seconds: float | None = None


def duration(text: str) -> float | None:
    """Seconds of `6m0s`, `1h2m3.5s`, `20ms` or a plain number of seconds; None if it is none of these."""
    text = text.strip()
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return _sane(float(text))
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return _sane(sum(float(number) * _UNITS[unit] for number, unit in parts))


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds to stay away after a 429 or 503, at most `LONGEST_HOLD_SECONDS`. `now` is seconds since the epoch.

    Asked in this order: `retry-after-ms`, `Retry-After`, then the longest reset among the limits that are used up.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    if (milliseconds := duration(lower.get("retry-after-ms", ""))) is not None:
        return _capped(milliseconds / 1000)
    if "retry-after" in lower and (seconds := _seconds_or_date(lower["retry-after"], now)) is not None:
        return _capped(seconds)
    return used_up(windows(lower, now).values())


def used_up(found: Iterable[Window]) -> float | None:
    """Seconds until the limits that have nothing left are whole again; None if none is used up."""
    resets = [window.reset_seconds for window in found if window.remaining == 0 and window.reset_seconds is not None]
    return _capped(max(resets)) if resets else None


def windows(headers: Mapping[str, str], now: float) -> dict[str, Window]:
    """The stated limits by what they count: `requests`, `tokens`, `input-tokens`, `output-tokens`."""
    lower = {name.lower(): value for name, value in headers.items()}
    found = {}
    for kind in _KINDS:
        openai = [lower.get(f"x-ratelimit-{part}-{kind}") for part in ("limit", "remaining", "reset")]
        anthropic = [lower.get(f"anthropic-ratelimit-{kind}-{part}") for part in ("limit", "remaining", "reset")]
        limit, remaining, reset = openai if any(openai) else anthropic
        if limit or remaining or reset:
            found[kind] = Window(_count(limit), _count(remaining), _seconds_or_date(reset, now) if reset else None)
    return found


def _seconds_or_date(text: str, now: float) -> float | None:
    if (seconds := duration(text)) is not None:
        return seconds
    try:
        when = datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
    except ValueError:
        try:
            when = parsedate_to_datetime(text)
        except (ValueError, TypeError, IndexError):
            return None
    try:
        return _sane(max(0.0, (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() - now))
    except (OverflowError, OSError, ValueError):
        return None


def _count(text: str | None) -> int | None:
    digits = (text or "").strip(" \t")
    return int(digits) if re.fullmatch(r"[0-9]{1,15}", digits) else None


def _sane(seconds: float) -> float | None:
    return seconds if math.isfinite(seconds) else None


def _capped(seconds: float) -> float:
    return min(seconds, LONGEST_HOLD_SECONDS)
