"""Send invitations, and know how many are worth sending."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from orchestrator.engine.holds import UNKNOWN_FLEET, slots_now
from orchestrator.store.records import Invitation
from orchestrator.store.store import Store

SLOTS_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class UserTask:
    """A Celery task of the user's app that stands for a node."""

    goal: str
    node: str
    attempt: int
    name: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    queue: str | None
    time_limit: float | None


class Sender(Protocol):
    """Publishes Celery messages by task name."""

    def invite(self, invitations: Iterable[Invitation]) -> None:
        """Send one `tasks.node.run` for each."""

    def start(self, task: UserTask) -> None:
        """Send the user's own task, so that our result backend commits its node."""

    def conclude(self, task_id: str, output: Any, error: str | None) -> None:
        """Store the result of a Celery task that a goal stands for."""


class Slots:
    """How many nodes the live fleet can run at once, by queue; read again every two seconds of use."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._json = UNKNOWN_FLEET
        self._until = 0.0

    def json(self) -> str:
        """The slots as the scripts take them."""
        now = time.monotonic()
        if now >= self._until:
            self._json = slots_now(self._store)
            self._until = now + SLOTS_SECONDS
        return self._json
