"""What a goal may spend on its calls, kept by the accounts that it uses, and what they keep of it.

An account reserves and refuses by itself, in the script that grants. A goal that uses several has on each of them what
the others left of its budget when a call of it last joined there; so it may overspend by what other accounts reserve
meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any, Final

from orchestrator.llm.limiter import Limiter
from orchestrator.store.store import Store

FIELD: Final = "llm"
"""The goal's field with the accounts, and the lines of models, that it uses, separated by blanks."""


class Budgets:
    """The goals' purses."""

    def __init__(self, store: Store, limiter: Limiter, accounts: Collection[str]) -> None:
        """`accounts` are those of the profiles; other lines are of models."""
        self._store = store
        self._limiter = limiter
        self._accounts = accounts

    def enter(self, goal: str, account: str, line: str) -> None:
        """A call of the goal on the account is about to join a line: the account's, or that of a model."""
        known, text = self._store.goals.fields(goal, FIELD, "budget")
        used = (known or "").split()
        others = [one for one in used if one != account and one in self._accounts]
        if text is not None and (account not in used or others):
            self._set(goal, account, others, json.loads(text))
        for one in dict.fromkeys((account, line)):
            if one not in used:
                self._store.goals.use_account(goal, one)

    def renew(self, goal: str) -> None:
        """The goal's budget was changed: the accounts that it uses take it over."""
        known, text = self._store.goals.fields(goal, FIELD, "budget")
        used = [one for one in (known or "").split() if "/" not in one]  # the others are lines of models
        for account in used if text is not None else ():
            self._set(goal, account, [one for one in used if one != account], json.loads(text or "{}"))

    def _set(self, goal: str, account: str, others: list[str], budget: dict[str, Any]) -> None:
        spent = [self._limiter.spent(one, goal) for one in others]
        left = {
            unit: max(0, budget[unit] - sum(one[index] for one in spent))
            for index, unit in enumerate(("tokens", "micro_usd"))
            if unit in budget
        }
        if left:
            self._limiter.set_budget(account, goal=goal, **left)

    def left(self, goal: str) -> dict[str, Any] | None:
        """The goal's budget without what its accounts have spent and reserved of it; None: it has none."""
        text, known = self._store.goals.fields(goal, "budget", FIELD)
        if not text:
            return None
        budget: dict[str, Any] = json.loads(text)
        used = [self._limiter.spent(one, goal) for one in (known or "").split() if one in self._accounts]
        for index, unit in enumerate(("tokens", "micro_usd")):
            if unit in budget:
                budget[unit] = max(0, budget[unit] - sum(one[index] for one in used))
        return budget

    def pauses(self, goal: str) -> bool:
        """Whether the goal pauses when its budget is spent; else the node fails."""
        text = self._store.goals.field(goal, "budget")
        return bool(json.loads(text or "{}").get("when_spent", "pause") == "pause")

    def withdraw(self, goal: str) -> int:
        """The goal ends: take its calls out of every line. Returns how many."""
        owner, known = self._store.goals.fields(goal, "owner", FIELD)
        return sum(self._limiter.withdraw(account, owner or "default", goal) for account in (known or "").split())

    def forget(self, goal: str) -> None:
        """The goal is about to be removed: the accounts keep nothing of it."""
        for account in (self._store.goals.field(goal, FIELD) or "").split():
            self._limiter.forget(account, goal=goal)
