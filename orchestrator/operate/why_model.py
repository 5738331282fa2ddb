"""Why a model call does not go out: what its line waits for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from orchestrator.gate.asked import Asked
from orchestrator.llm.status import Snapshot, Usage
from orchestrator.operate.facts import FleetFacts, GoalFacts, NodeFacts
from orchestrator.operate.reason import Cause, Level, Reason, spell
from orchestrator.operate.words import START_BEAT, beat_is

_WORDS = {
    "requests": ("requests", "requests"),
    "input": ("input tokens", "input-tokens"),
    "output": ("output tokens", "output-tokens"),
    "tokens": ("tokens", "tokens"),
    "concurrent": ("calls at once", "concurrency"),
}
"""The limits as people say them, and the options of `chordal llm set-limit`."""
LLM_QUEUE: Final = "llm"


def why_line(node: NodeFacts, goal: GoalFacts, fleet: FleetFacts) -> list[Reason]:
    """What keeps the call of a node in its line."""
    line = node.waits_for.removeprefix("llm:")
    wish = Asked.of(str((node.parked or {}).get("resume", "")))
    one = fleet.lines.get(line)
    waits = _waits(wish, line, one, goal, fleet)
    if one is None:
        return [Reason(Cause.MODEL_LINE, Level.ITSELF, f"{waits}, of which nothing is known here")]
    reason = closed(one, waits) or _unserved(one, waits, fleet) or _full(one, waits, wish)
    return [reason]


def closed(one: Snapshot, before: str = "") -> Reason | None:
    """Why nothing goes out on a line, if that is so. `before` begins the sentence."""
    begin, account = f"{before}: " if before else "", one.account.partition("/")[0]
    if one.draining:
        text = f"{begin}an operator drained the account {one.account}"
        return Reason(Cause.MODEL_DRAINED, Level.PERSON, text, f"chordal llm drain {account} --off")
    if one.breaker != "closed":
        left = f" for {spell(one.breaker_seconds)} more" if one.breaker_seconds else ", and one call tries"
        text = f"{begin}the breaker of {one.account} is {one.breaker}{left}: {one.breaker_reason or 'calls failed in a row'}"
        remedy = f"look at the provider and its key; then `chordal llm close {account}`, or wait: it tries by itself"
        return Reason(Cause.MODEL_DOWN, Level.BROKEN, text, remedy)
    if one.hold_seconds:
        text = f"{begin}{one.account} is held for {spell(one.hold_seconds)} more: {one.hold_reason or 'the provider said so'}"
        return Reason(Cause.MODEL_HELD, Level.ITSELF, text, "lower the limits if this comes often: chordal llm status")
    return None


def _waits(wish: Asked, line: str, one: Snapshot | None, goal: GoalFacts, fleet: FleetFacts) -> str:
    since = f" for {spell((fleet.now_ms - wish.asked_ms) / 1000)}" if wish.asked_ms else ""
    size = (
        f" ({wish.tokens:,} input tokens, {wish.limit:,} reserved for the answer)" if wish.tokens or wish.limit else ""
    )
    mine = sum(flow.count for flow in one.flows if flow.goal == goal.id) if one else 0
    place = f", one of {one.waiting:,} ({mine:,} of this goal)" if one and one.waiting > 1 else ""
    return f"its call{size} has been waiting{since} in the line of {line}{place}"


def _unserved(one: Snapshot, waits: str, fleet: FleetFacts) -> Reason | None:
    """Nobody makes the calls that may go out."""
    if fleet.serving(LLM_QUEUE) and one.slots != 0:
        return None
    if not fleet.serving(LLM_QUEUE):
        text = f"{waits}: no live worker serves the queue {LLM_QUEUE}, which makes model calls"
        remedy = f"start `celery -A orchestrator worker -Q {LLM_QUEUE}`"
        return Reason(Cause.MODEL_WORKERS, Level.BROKEN, text, remedy)
    if fleet.beat_late:
        text = f"{waits}: it has no slots of the model workers, and beat, which divides them, {beat_is(fleet)}"
        return Reason(Cause.BEAT, Level.BROKEN, text, START_BEAT)
    text = f"{waits}: beat gives it a share of the slots of the model workers in a moment"
    return Reason(Cause.MODEL_WORKERS, Level.ITSELF, text)


def _full(one: Snapshot, waits: str, wish: Asked) -> Reason:
    """Which limit lets no more out."""
    needs = {
        "requests": 1,
        "input": wish.tokens,
        "output": wish.limit,
        "tokens": wish.tokens + wish.limit,
        "concurrent": 1,
    }
    binding = {
        name: usage
        for name, usage in one.usage.items()
        if usage.allowed is not None and usage.used + needs[name] > usage.allowed
    }
    slots = one.slots
    if not binding and slots is not None and one.usage["concurrent"].used >= slots:
        text = f"{waits}: all {slots} slots that the account has of the model workers are taken"
        return Reason(Cause.MODEL_LINE, Level.ITSELF, text, "start more workers with `-Q llm` if this lasts")
    if not binding:
        slowed = f" (slowed to {100 * one.factor:.0f} % after HTTP 429)" if one.factor < 1 else ""
        return Reason(Cause.MODEL_LINE, Level.ITSELF, f"{waits}; the account paces its calls{slowed}")
    text, remedy = _told(one, binding)
    return Reason(Cause.MODEL_LINE, Level.ITSELF, f"{waits}: {text}", remedy)


def full(one: Snapshot) -> tuple[str, str] | None:
    """Which limits are reached, and the remedy; None where none is."""
    binding = {
        name: usage for name, usage in one.usage.items() if usage.allowed is not None and usage.used >= usage.allowed
    }
    return _told(one, binding) if binding else None


def _told(one: Snapshot, binding: Mapping[str, Usage]) -> tuple[str, str]:
    told = ", ".join(_used(name, usage, one) for name, usage in binding.items())
    slowed = f"; it was slowed to {100 * one.factor:.0f} % after HTTP 429" if one.factor < 1 else ""
    option = _WORDS[next(iter(binding))][1]
    account = one.account.partition("/")[0]
    remedy = f"if the provider allows more: chordal llm set-limit {account} --{option} N"
    return f"the limit is reached, {told}{slowed}", remedy


def _used(name: str, usage: Usage, one: Snapshot) -> str:
    window = "" if name == "concurrent" else f" in {one.window_seconds:g} s"
    return f"{usage.used:,} of {usage.allowed:,} {_WORDS[name][0]}{window}"
