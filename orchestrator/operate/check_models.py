"""Accounts of model calls: which are held, broken or drained, and what waits for them."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.domain.views import Check
from orchestrator.llm.status import Snapshot
from orchestrator.operate.facts import FleetFacts
from orchestrator.operate.gather import snapshots
from orchestrator.operate.reason import Level, spell
from orchestrator.operate.why_model import LLM_QUEUE, closed, full
from orchestrator.store.store import Store

LONG_SECONDS = 60.0
"""A wait for a model that is worth a line."""


def model_checks(store: Store, fleet: FleetFacts) -> Iterator[Check]:
    """A line for each account or model with limits of its own that was ever used."""
    for name, one in snapshots(store, store.llm.accounts()).items():
        yield account_check(name, one, fleet)


def account_check(name: str, one: Snapshot, fleet: FleetFacts) -> Check:
    """One account."""
    label = f"model account {name}"
    longest = max((flow.seconds for flow in one.flows), default=0.0)
    waiting = f"{one.usage['concurrent'].used:,} calls in flight, {one.waiting:,} wait" + (
        f", up to {spell(longest)}" if one.waiting else ""
    )
    if (reason := closed(one)) is not None:
        return Check(label, False if reason.level is Level.BROKEN else None, f"{reason.text}; {waiting}", reason.remedy)
    if one.waiting and not fleet.serving(LLM_QUEUE) and not one.processes:
        remedy = f"start `celery -A orchestrator worker -Q {LLM_QUEUE}`"
        return Check(label, False, f"{waiting}, and no live worker serves the queue {LLM_QUEUE}", remedy)
    spent = over_budget(one)
    if spent:
        return Check(
            label, None, f"{waiting}; over budget: {', '.join(spent)}", f"chordal llm set-limit {name} --budget-..."
        )
    limits = full(one)
    if one.waiting and longest >= LONG_SECONDS:
        text, remedy = limits or ("its calls are paced", "")
        return Check(label, None, f"{waiting}: {text}", remedy or "chordal llm status")
    slowed = f"; slowed to {100 * one.factor:.0f} % after HTTP 429" if one.factor < 1 else ""
    return Check(label, True, waiting + slowed)


def over_budget(one: Snapshot) -> list[str]:
    """Whose budgets on the account are spent."""
    return sorted(
        f"{purse.rpartition(':')[0].replace(':', ' ')} ({one.spend.get(purse, 0):,} of {most:,} {unit(purse)})"
        for purse, most in one.budgets.items()
        if one.spend.get(purse, 0) >= most
    )


def unit(purse: str) -> str:
    """What a purse counts."""
    return "micro-USD" if purse.endswith(":usd") else "tokens"
