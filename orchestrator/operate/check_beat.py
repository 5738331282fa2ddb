"""Does beat tick: who, who stands by, which duty is late, what was put off."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from orchestrator.domain.views import Check
from orchestrator.operate.fleet import is_late
from orchestrator.operate.reason import spell
from orchestrator.operate.words import START_BEAT
from orchestrator.store.store import Store
from orchestrator.store.upkeep import Beat

GONE_SECONDS: Final = 15.0
"""A beat that was silent so long is not there."""
SLOW_TICK: Final = 1.0
"""Duties share one thread: a tick that takes this long holds up the others."""


def beat_checks(store: Store, intervals: Mapping[str, float]) -> Iterator[Check]:
    """Who beats, then a line for each duty."""
    now, ticks = store.fleet.clock_ms(), store.fleet.ticks()
    ages = {duty: (now - int(tick["at_ms"])) / 1000 for duty, tick in ticks.items()}
    alive = bool(ages) and not is_late(min(ages.values()), min(float(tick["interval"]) for tick in ticks.values()))
    yield _who(store.upkeep.beats(), alive, now)
    for duty, interval in intervals.items():
        if alive:  # else it is said already: nobody ticks
            yield _duty(duty, interval, ticks.get(duty), ages.get(duty))
    yield from _put_off(store, now)


def _who(beats: list[Beat], alive: bool, now_ms: int) -> Check:
    here = [beat for beat in beats if (now_ms - beat.at_ms) / 1000 <= GONE_SECONDS]
    ticking = [beat for beat in here if beat.ticks]
    standing = [beat.name for beat in here if not beat.ticks]
    if not alive:
        detail = "no beat ticks: lost messages and workers are not noticed, timers do not go off"
        return Check("beat", False, detail, f"{START_BEAT}, or look at its log")
    names = (
        ", ".join(f"{beat.name} ticks (for {spell((now_ms - beat.since_ms) / 1000)})" for beat in ticking)
        or "one ticks"
    )
    rest = f"; stands by: {', '.join(standing)}" if standing else "; nobody stands by"
    return Check("beat", True, names + rest)


def _duty(duty: str, interval: float, tick: Mapping[str, Any] | None, age: float | None) -> Check:
    name = f"beat: {duty}"
    if tick is None or age is None:
        return Check(name, None, "has not run yet")  # the slower duties come later
    note, late = str(tick["note"]), float(tick.get("late", 0.0))
    detail = f"{age:.1f} s ago, every {interval:g} s; {note}"
    if is_late(age, interval):
        return Check(name, False, f"LATE: {detail}", "look at beat's log")
    if note.startswith("failed"):
        return Check(name, False, detail, "look at beat's log: the tick raised")
    spent = float(tick["seconds"])
    if spent >= SLOW_TICK or late > max(interval, SLOW_TICK):
        return Check(
            name,
            None,
            f"{detail}; it took {spent:.1f} s and began {late:.1f} s late",
            "is Redis slow, or beat's machine?",
        )
    return Check(name, True, detail)


def _put_off(store: Store, now_ms: int) -> Iterator[Check]:
    found = store.upkeep.put_offs()
    if found:
        goal, (at_ms, why) = next(iter(found.items()))
        detail = f"{len(found)} ended goals are kept past their time, for example {goal}: {why} ({spell((now_ms - at_ms) / 1000)} ago)"
        yield Check("goals kept too long", False, detail, "mend the cause; they are removed then by themselves")
