"""Phrases that several answers share."""

from __future__ import annotations

from typing import Final

from orchestrator.operate.facts import FleetFacts, GoalFacts, Said
from orchestrator.operate.reason import Cause, Level, Reason, spell

START_BEAT: Final = "start `celery -A orchestrator beat`"


def by(who: Said, now_ms: int) -> str:
    """`` by cli:ann@host 4 min 05 s ago, because "..."``, as far as it is known."""
    ago = f" {spell((now_ms - who.at_ms) / 1000)} ago" if who.at_ms else ""
    return (f" by {who.by}" if who.by else "") + ago + (f', because "{who.reason}"' if who.reason else "")


def over_budget(goal: GoalFacts) -> str:
    """Which budget of the goal is spent; empty where none is."""
    for unit, name in (("tokens", "tokens"), ("micro_usd", "millionths of a dollar")):
        most = goal.budget.get(unit)
        if most is not None and goal.spent.get(unit, 0) >= most:
            return f"its budget is spent, {goal.spent[unit]:,} of {most:,} {name}"
    return ""


def by_beat(reason: Reason, fleet: FleetFacts) -> Reason:
    """What beat does; says so where beat is dead."""
    if not fleet.beat_late:
        return reason
    return Reason(Cause.BEAT, Level.BROKEN, f"{reason.text}; beat, which does that, {beat_is(fleet)}", START_BEAT)


def beat_is(fleet: FleetFacts) -> str:
    """What is wrong with beat."""
    return "has never ticked" if fleet.beat_age is None else f"has not ticked for {spell(fleet.beat_age)}"


ERROR: Final = 400
"""Characters of an error."""


def brief(error: object) -> str:
    """An error on one line."""
    text = " ".join(str(error).split())
    return text if len(text) <= ERROR else f"{text[: ERROR - 1]}…"


def model_down(error: str) -> bool:
    """Whether a call failed because its account's breaker was open."""
    return error.startswith("BreakerOpen")


PROVIDER: Final = "look at the provider and its key: chordal llm status"


def colon(text: str) -> str:
    """The text behind a colon, if there is any."""
    return f": {text}" if text else ""
