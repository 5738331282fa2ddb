"""I7 where the permits are: in the events of the accounts that a goal's calls use, which all goals share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from orchestrator.domain.events import Event
from orchestrator.events.rules.permits import check_permits
from orchestrator.events.violation import Note, Violation
from orchestrator.store.store import Store

Place = tuple[int, int]
"""In a stream: ms and serial."""
USED: Final = "llm"
"""The goal's field with the accounts of its calls, separated by blanks."""
KEPT: Final = 10_000
"""Events of an account that are kept at least; one with fewer has its whole history."""


def account_events(store: Store, account: str) -> Iterator[Event]:
    """Every event of an account that is kept, read in pages, up to what is the last when the page is read."""
    last = "0"
    while page := list(store.llm.events(account, last)):
        last = page[-1].id
        yield from page


def check_account(store: Store, account: str) -> list[Violation]:
    """What is wrong with the permits of an account, of all goals and callers."""
    faults = check_permits(account_events(store, account), _whole(store, account))
    return [Violation(one.invariant, one.node, one.event, _named(account, one.text)) for one in faults]


def _whole(store: Store, account: str) -> bool:
    return bool(store.client.xlen(store.keys.llm_part(account, "events")) < KEPT)


def _named(account: str, text: str) -> str:
    return text if text.startswith("account ") else f"account {account}: {text}"


def check_accounts(store: Store, goal: str) -> tuple[list[Violation], tuple[Note, ...] | None]:
    """What was wrong with the accounts of a goal's calls while it had permits there; None for notes: it has made no call."""
    found: list[Violation] = []
    notes: tuple[Note, ...] | None = None
    for account in (store.goals.field(goal, USED) or "").split():
        mine = _of_the_goal(store, account, goal)
        if mine is None:
            notes = (*(notes or ()), Note(f"account {account} keeps no permit of this goal any more", False))
            continue
        dropped = () if _whole(store, account) else (Note(f"what account {account} has dropped of its events", False),)
        notes = (*(notes or ()), *dropped)
        first, last = mine
        found += [one for one in check_account(store, account) if first <= _order(one.event) <= last]
    return found, notes


def _of_the_goal(store: Store, account: str, goal: str) -> tuple[Place, Place] | None:
    """Its first and its last event on the account."""
    ids = [
        _order(event.id)
        for event in account_events(store, account)
        if str(event.data.get("permit", "")).startswith(f"{goal}:")
    ]
    return (ids[0], ids[-1]) if ids else None


def _order(name: str) -> Place:
    """Stream ids in their order."""
    ms, _, serial = name.partition("-")
    return int(ms), int(serial or 0)
