"""What came of a change, and how an order shows in what the scripts answer."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.domain.command import Expired, Order, Repeated
from orchestrator.domain.errors import GoalNotFound, IllegalTransition
from orchestrator.store.store import Store


@dataclass(frozen=True, slots=True)
class Came:
    """What came of a change."""

    outcome: str
    """One word."""
    nodes: tuple[str, ...] = ()
    """Nodes that it is about: those that a pause stopped, that a retry named, ..."""
    detail: str = ""
    """What else there is to tell, such as the version of the plan."""


def heeded(goal: str, verdict: str) -> str:
    """A script's outcome, where it acted or the state forbade it.

    Raises Repeated where the command had acted there before, what it was refused with then (IllegalTransition), Expired, and
    GoalNotFound.
    """
    word, _, rest = verdict.partition(" ")
    if word == "repeated":
        raise_before(rest)
    if word == "expired":
        raise Expired(f"the command came to goal {goal!r} after its expiry; nothing was done")
    if word == "gone":
        raise GoalNotFound(f"there is no goal {goal!r}: it was never submitted, or was removed after its end")
    return verdict


def raise_before(outcome: str) -> None:
    """Raise what says that the command acted before: Repeated, or IllegalTransition where it was refused."""
    word, _, why = outcome.partition(" ")
    if word == "refused":
        raise IllegalTransition(why)
    raise Repeated(outcome)


def recall(store: Store, goal: str, order: Order | None, receiver: str = "") -> None:
    """Raise as `heeded` does where the order was carried out before: for changes that look at states before they act."""
    if order is not None and (before := store.changes.carried_out(goal, order.id, receiver)) is not None:
        raise_before(before)
