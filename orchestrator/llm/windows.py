"""What providers say of their limits (`x-ratelimit-*`, `anthropic-ratelimit-*`), brought into the line.

The rules:

- **limit**: the lower one of the profile and the provider counts; where the profile has none, the provider's. What an
  operator set at run time stands over both. Of several models of an account the lowest within ten minutes counts.
- **remaining** may only tighten: where clearly less remains at the provider than is thought here, somebody else uses
  the account too, or the provider counts higher. The account is then held until the provider has refilled to what is
  thought here, which limits of this kind do evenly, and no longer than to its reset.
- A limit that is not of a minute is left alone; OpenAI states daily ones under the same names. Its reset tells it.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from orchestrator.llm.headers import Window
from orchestrator.llm.limiter import Limiter
from orchestrator.llm.limits import NAMES, Limits
from orchestrator.llm.status import Snapshot, Usage
from orchestrator.store.llm_records import OUTSIDE, Caller, Picture
from orchestrator.store.llm_shared import SharedCalls, SharingFailed
from orchestrator.store.store import Store

log = logging.getLogger(__name__)

PAUSE_SECONDS: Final = 1.0
"""At most one look at an account in this time, by each process."""
AGAIN_SECONDS: Final = 60.0
"""Limits that did not change are compared anew after so long: another process may have set others meanwhile."""
LOWEST_SECONDS: Final = 600.0
_MINUTE: Final = 60.0
_LONGEST_WINDOW: Final = 600.0
_ROUNDING: Final = 1.5
"""Seconds by which a reset may be off: some are told as whole seconds of a clock."""
_SLACK: Final = 0.05
"""Differences below this part of the limit say nothing: answers overtake each other."""
KINDS: Final[Mapping[str, str]] = {
    "requests": "requests", "tokens": "tokens", "input-tokens": "input", "output-tokens": "output",
}  # fmt: skip
"""The kinds of `headers.windows`, and the limits' names in a snapshot."""


@dataclass(frozen=True, slots=True)
class View:
    """What is known here of an account."""

    usage: Mapping[str, Usage]
    override: Mapping[str, int | None]
    """Limits set at run time, by field."""
    stated: Mapping[str, int]
    """Those of them that were set by this rule."""


class Lines(Protocol):
    """What the keeper needs of the limiter."""

    def limits_of(self, account: str) -> Limits:
        """By the profile."""
        ...

    def view(self, account: str) -> View:
        """Now."""
        ...

    def set_limits(self, account: str, override: Mapping[str, int | None], stated: Mapping[str, int]) -> None:
        """All limits that are set at run time, and those of them that the provider stated."""
        ...

    def hold(self, account: str, seconds: float, reason: str) -> None:
        """Let nothing go out."""
        ...


class FleetLines:
    """The limiter and what is kept beside it."""

    def __init__(self, limiter: Limiter, store: Store) -> None:
        self._limiter, self._store = limiter, store
        self._calls = SharedCalls(store)
        self.limits_of = limiter.limits_of
        self.hold = limiter.hold

    def view(self, account: str) -> View:
        """Now."""
        caller = Caller(self._limiter.limits_of(account).as_json(), OUTSIDE)
        picture = self._store.llm.status(account, caller, 1)
        usage = Snapshot.of(account, picture).usage
        return View(usage, override_of(picture), self._calls.stated(account))

    def set_limits(self, account: str, override: Mapping[str, int | None], stated: Mapping[str, int]) -> None:
        """The mark goes first: a limit without one would count as an operator's."""
        self._calls.state(account, stated)
        self._limiter.set_limits(account, override)


def override_of(picture: Picture) -> dict[str, int | None]:
    """The limits that are set at run time, by field; None lifts one."""
    text = str(picture.state.get("override") or "")
    found = json.loads(text) if text else {}
    return {NAMES[name]: value or None for name, value in found.items()}


class WindowKeeper:
    """Takes what each answer's headers say (`Client(on_windows=...)`). Never raises and never waits. Shared by threads."""

    def __init__(self, lines: Lines, clock: Callable[[], float] = time.monotonic) -> None:
        self._lines = lines
        self._clock = clock
        self._lock = threading.Lock()
        self._looked: dict[str, float] = {}
        self._compared: dict[str, tuple[float, Mapping[str, int]]] = {}
        self._lowest: dict[tuple[str, str], dict[int, float]] = {}

    def __call__(self, account: str, windows: Mapping[str, Window]) -> None:
        """The windows by their kinds, of one answer."""
        known = {KINDS[kind]: one for kind, one in windows.items() if kind in KINDS and of_a_minute(one)}
        now = self._clock()
        with self._lock:
            stated = self._stated(account, known, now)
            if now - self._looked.get(account, float("-inf")) < PAUSE_SECONDS:
                return
            at, before = self._compared.get(account, (float("-inf"), {}))
            changed = stated != before or (bool(stated) and now - at >= AGAIN_SECONDS)
            if not changed and not any(self._may_be_short(account, name, one) for name, one in known.items()):
                return
            self._looked[account] = now
            self._compared[account] = (now, stated)
        try:
            self._bring_in(account, stated, known)
        except (SharingFailed, ValueError) as error:
            log.warning("account %s: what the provider says of its limits was not brought in: %s", account, error)
            with self._lock:
                self._compared.pop(account, None)

    def _stated(self, account: str, known: Mapping[str, Window], now: float) -> dict[str, int]:
        """The lowest limits of late, by name and for our window."""
        scale = self._lines.limits_of(account).window_seconds / _MINUTE
        found = {}
        for name in NAMES:
            seen = self._lowest.setdefault((account, name), {})
            if name in known and known[name].limit:
                seen[max(1, int((known[name].limit or 0) * scale))] = now
            for limit in [limit for limit, at in seen.items() if now - at > LOWEST_SECONDS]:
                del seen[limit]
            if seen:
                found[name] = min(seen)
        return found

    def _may_be_short(self, account: str, name: str, window: Window) -> bool:
        """Could less remain than is thought here? Cheap: only then the account is looked at."""
        remaining, most = window.remaining, self._lines.limits_of(account).binding().get(name) or window.limit
        return remaining is not None and most is not None and remaining < most

    def _bring_in(self, account: str, stated: Mapping[str, int], known: Mapping[str, Window]) -> None:
        profile, view = self._lines.limits_of(account), self._lines.view(account)
        by_field = {NAMES[name]: limit for name, limit in stated.items()}
        override, marks = merged(profile, view, by_field)
        if (override, marks) != (dict(view.override), dict(view.stated)):
            self._lines.set_limits(account, override, marks)
        if profile.window_seconds != _MINUTE:
            return  # what remains of another window cannot be compared
        waits = {name: short_seconds(one, view.usage[name]) for name, one in known.items()}
        name = max(waits, key=lambda one: waits[one], default="")
        if name and waits[name] > 0:
            self._lines.hold(account, waits[name], f"the provider has less left: {name}")


def of_a_minute(window: Window) -> bool:
    """Is the limit one of a minute or so? One that refills evenly is whole again after its window's used part."""
    limit, remaining, reset = window.limit, window.remaining, window.reset_seconds
    if limit is None or remaining is None or reset is None or remaining >= limit:
        return True
    return max(0.0, reset - _ROUNDING) * limit / (limit - remaining) <= _LONGEST_WINDOW


def merged(profile: Limits, view: View, stated: Mapping[str, int]) -> tuple[dict[str, int | None], dict[str, int]]:
    """The limits to set at run time by field, and which of them because the provider stated them. Pure."""
    override: dict[str, int | None] = {}
    marks: dict[str, int] = {}
    for field in NAMES.values():
        ours = field in view.stated and view.override.get(field) == view.stated[field]
        usual, limit = getattr(profile, field), stated.get(field)
        if field in view.override and not ours:
            override[field] = view.override[field]  # an operator's
        elif limit is not None and (usual is None or limit < usual):
            override[field] = marks[field] = limit
        elif limit is None and ours:
            override[field] = marks[field] = view.stated[field]  # another process heard of it
    return override, marks


def short_seconds(window: Window, usage: Usage) -> float:
    """How long the provider takes to refill to what is thought here to be left; 0 where it has as much. Pure."""
    limit = window.limit or usage.limit
    if window.remaining is None or limit is None:
        return 0.0
    thought = (limit if usage.allowed is None else min(limit, usage.allowed)) - usage.used
    short = thought - window.remaining
    if short <= max(1.0, _SLACK * limit):
        return 0.0
    seconds = short / limit * _MINUTE
    return seconds if window.reset_seconds is None else min(seconds, window.reset_seconds)
