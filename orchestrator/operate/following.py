"""The events of every goal as they happen."""

from __future__ import annotations

import time
from typing import Final

from orchestrator.domain.events import Event
from orchestrator.store.store import Store

REFRESH_SECONDS: Final = 1.0
"""How often new goals are looked for."""
MOST: Final = 2000
"""Open goals that are followed."""
NEWEST: Final = 500
"""Goals that may come and go between two looks."""
_PAGE: Final = 500
_ENDS: Final = frozenset({"goal.done", "goal.failed", "goal.cancelled"})


class Following:
    """Reads on behind what it has seen; goals that come later are read from their beginning."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._begun_ms = store.goals.clock_ms()
        self._after: dict[str, str] = {}
        self._looked = float("-inf")
        self._known: set[str] = set(store.goals.newest(0, NEWEST))
        for goal in store.look.open_goals(self._begun_ms, MOST):
            latest = store.look.lately(goal, 1)
            self._known.add(goal)
            self._after[goal] = latest[0][0] if latest else "0"

    def next(self, block_seconds: float) -> list[Event]:
        """What has happened since, in the order of Redis's clock; waits up to `block_seconds` for the first."""
        if time.monotonic() - self._looked >= REFRESH_SECONDS:
            self._looked = time.monotonic()
            self._find_new()
        if not self._after:
            time.sleep(min(block_seconds, REFRESH_SECONDS))  # there is no goal whose stream one could wait for
            return []
        pages = self._store.goals.events_of(self._after, _PAGE, int(block_seconds * 1000))
        found = []
        for goal, entries in pages.items():
            events = [Event.from_stream(goal, name, fields) for name, fields in entries]
            found += events
            self._after[goal] = events[-1].id
            if events[-1].type in _ENDS and len(events) < _PAGE:
                del self._after[goal]
        return sorted(found, key=lambda event: [int(part) for part in event.id.split("-")])

    def _find_new(self) -> None:
        now = self._store.goals.clock_ms()
        fresh = [goal for goal in self._store.goals.newest(0, NEWEST) if goal not in self._known]
        for goal in (*fresh, *self._store.look.open_goals(now, MOST)):
            if goal not in self._known:
                self._known.add(goal)
                self._after[goal] = "0"
            elif goal not in self._after:  # it had ended, and runs again
                self._after[goal] = f"{now - 1000}-0"
