"""Duty `hygiene`: walks over every key, a slice a tick, and takes away what goals left behind."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from orchestrator.engine.duty import Duty
from orchestrator.engine.upkeep.meter import Meter
from orchestrator.store.keys import FAMILIES, NAME, catalogue_pattern
from orchestrator.store.store import Store

log = logging.getLogger(__name__)

SLICE: Final = 2000
"""Keys that one tick looks at."""
MOST_SUSPECTS: Final = 500
"""Goals under suspicion at once; others are met again on the next round."""
GRACE_MS: Final = 90_000
"""How long a goal must have looked like that: submissions and removals take a moment, and a beat may stand still."""


@dataclass(slots=True)
class _Suspect:
    """A goal that is not in the index, with the keys that were met."""

    since_ms: int
    keys: set[str] = field(default_factory=set)


class Hygiene:
    """After a goal nothing is left: keys of goals that are neither in the index nor recorded are removed.

    A goal that is recorded and not in the index is entered again, so that beat looks at it. Both only after it was seen
    twice, and a script looks once more before it removes.
    """

    def __init__(self, store: Store, meter: Meter) -> None:
        prefix = store.keys.prefix
        self._store = store
        self._meter = meter
        self._of_a_goal: Final = re.compile(rf"{re.escape(prefix)}(?:dag|task):\{{({NAME})\}}.*", re.DOTALL)
        self._allowed = catalogue_pattern(prefix)
        self._ours = tuple(f"{prefix}{family}" for family in FAMILIES)
        self._walk: Iterator[str] | None = None
        self._suspects: dict[str, _Suspect] = {}
        self._unknown: set[str] = set()
        self._keys = 0
        self._rounds = 1

    def duty(self, seconds: float) -> Duty:
        """The line of beat's table."""
        return Duty("hygiene", seconds, self.tick)

    def tick(self) -> str:
        """Look at the next slice of keys, and once more at what looked wrong before."""
        walk = self._walk or self._store.upkeep.all_keys(1000)
        self._walk = None  # should Redis go away meanwhile, the walk begins anew
        page = list(islice(walk, SLICE))
        self._keys += len(page)
        self._note_unknown(page)
        self._suspect(page)
        purged, entered = self._judge()
        if len(page) == SLICE:
            self._walk = walk
        else:
            self._round_ends()
        return f"round {self._rounds}: {self._keys} keys; {purged} removed, {entered} goals entered again"

    def _round_ends(self) -> None:
        if self._unknown:
            log.warning("%d keys are not in the catalogue, such as %s", len(self._unknown), min(self._unknown))
        self._meter.level("unknown_keys", len(self._unknown))
        self._meter.level("keys", self._keys)
        self._unknown.clear()
        self._keys = 0
        self._rounds += 1

    def _note_unknown(self, page: Iterable[str]) -> None:
        """Keys with the first part of a name of ours that the catalogue does not know; they are left alone."""
        for key in page:
            if key.startswith(self._ours) and not self._allowed.fullmatch(key) and len(self._unknown) < SLICE:
                self._unknown.add(key)

    def _suspect(self, page: Iterable[str]) -> None:
        found: dict[str, set[str]] = {}
        for key in page:
            if (match := self._of_a_goal.fullmatch(key)) is not None:
                found.setdefault(match[1], set()).add(key)
        missing = [goal for goal, there in self._store.upkeep.indexed(list(found)).items() if not there]
        now = self._store.goals.clock_ms() if missing else 0
        for goal in missing:
            if goal in self._suspects or len(self._suspects) < MOST_SUSPECTS:
                self._suspects.setdefault(goal, _Suspect(now)).keys.update(found[goal])

    def _judge(self) -> tuple[int, int]:
        """Act on goals that have looked wrong for long enough: (keys removed, goals entered into the index)."""
        if not self._suspects:
            return 0, 0
        now = self._store.goals.clock_ms()
        due = [goal for goal, one in self._suspects.items() if now - one.since_ms >= GRACE_MS][:50]
        known = self._store.upkeep.indexed(due)
        recorded = self._store.upkeep.recorded(due)
        purged = entered = 0
        for goal in due:
            keys = self._suspects.pop(goal).keys
            if known[goal] or recorded[goal] is None:
                continue
            if recorded[goal]:
                log.warning("goal %s was not in the index; beat looks at it again", goal)
                self._store.goals.expect(goal)
                entered += 1
            elif gone := self._store.upkeep.purge(goal, keys):
                log.warning("%d keys of goal %s, which is gone, were removed", gone, goal)
                purged += gone
        self._meter.add("keys_purged", purged)
        self._meter.add("goals_entered", entered)
        return purged, entered
