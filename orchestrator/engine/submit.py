"""Take a goal in: read it, store it, start it."""

from __future__ import annotations

import gc
import hashlib
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from orchestrator.domain.dag import Goal
from orchestrator.domain.errors import GoalExists
from orchestrator.domain.limits import DEFAULT_LIMITS, Limits
from orchestrator.domain.validate import read_goal
from orchestrator.engine import encode
from orchestrator.engine.dispatch import Sender, Slots
from orchestrator.settings import Settings
from orchestrator.store.store import Store


@dataclass(frozen=True, slots=True)
class Parent:
    """The node that a sub-goal belongs to."""

    goal: str
    node: str
    run: str
    """When the parent was stored: tells it from an earlier goal of the same name."""


@contextmanager
def garbage_left() -> Iterator[None]:
    """A large document makes millions of objects and no cycle among them: looking for some takes a third of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class Submitter:
    """Stores goals."""

    def __init__(self, store: Store, settings: Settings, sender: Sender, slots: Slots) -> None:
        self._store = store
        self._settings = settings
        self._sender = sender
        self._slots = slots

    def submit(
        self, document: Mapping[str, Any] | Goal, parent: Parent | None = None, limits: Limits = DEFAULT_LIMITS,
        result_task: str = "",
    ) -> str:  # fmt: skip
        """Store a goal and start it; returns its id. Its end becomes the result of the Celery task `result_task`.

        Submitting the same again (same id and content, or same idempotency key whatever the content) returns the same goal. Raises
        InvalidGoal with every fault, GoalExists, RedisNotReachable; in each case nothing is left behind.
        """
        if isinstance(document, Goal):  # made in Python: its parts are sound, the graph they make may not be
            document = document.model_dump(mode="json", exclude_defaults=True)
        with garbage_left():
            goal = read_goal(document, limits)
            return self._submit(goal, parent, result_task)

    def _submit(self, goal: Goal, parent: Parent | None, result_task: str) -> str:
        name, stored = self._name(goal)
        if stored:
            return name
        record: dict[str, str | int] = {
            "owner": goal.owner,
            "priority": goal.priority,
            "version": 1,
            "events_limit": max(self._settings.events_limit, 8 * len(goal.nodes)),
        }
        optional = {
            "title": goal.title,
            "instructions": goal.instructions,
            "budget": goal.budget.model_dump_json(exclude_none=True) if goal.budget else "",
            "key": _key(goal) if goal.idempotency_key else "",
        }
        record |= {field: value for field, value in optional.items() if value}
        if parent is not None:
            record |= {"parent": parent.goal, "parent_node": parent.node, "parent_run": parent.run, "notify": 1}
            self._store.goals.adopt(parent.goal, parent.node, name)
        elif result_task:
            record |= {"result_task": result_task, "notify": 1}
        try:
            self._store_goal(name, goal, record)
        except GoalExists:
            if goal.idempotency_key is None or self._store.goals.field(name, "key") != _key(goal):
                raise
        if goal.idempotency_key is not None:
            self._store.goals.note_stored(goal.owner, goal.idempotency_key, name)
        return name

    def _store_goal(self, name: str, goal: Goal, record: Mapping[str, str | int]) -> None:
        settings = self._settings
        invitations = self._store.goals.submit(
            name,
            encode.digest(goal),
            record,
            encode.rows(goal),
            building_ttl_ms=int(settings.building_ttl_seconds * 1000),
            slots=self._slots.json(),
            deadline_ms=None if goal.deadline_seconds is None else int(goal.deadline_seconds * 1000),
            cards={card.name: card.model_dump_json(exclude_defaults=True) for card in goal.agents},
        )
        # The messages go out before beat is asked to look: it would only send them a second time.
        self._sender.invite(invitations)
        self._store.goals.expect(name, int(settings.dispatch_seconds * 1000))

    def _name(self, goal: Goal) -> tuple[str, bool]:
        """The goal's id, and whether its idempotency key says that it was stored before."""
        if goal.idempotency_key is None:
            return goal.goal_id or f"g-{secrets.token_hex(6)}", False
        name = goal.goal_id or f"g-{hashlib.sha256(_key(goal).encode()).hexdigest()[:12]}"
        return self._store.goals.reserve(goal.owner, goal.idempotency_key, name, self._settings.idempotency_ttl_seconds)


def _key(goal: Goal) -> str:
    return f"{goal.owner}:{goal.idempotency_key}"
