"""Updates of an owner's tasks, read from the streams of their goals: none is lost, and each can be gone back to by its id."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from orchestrator.domain.events import Event
from orchestrator.domain.states import GOAL_TERMINAL
from orchestrator.face.task import NODE
from orchestrator.face.words import update_of
from orchestrator.store.goals import GoalStore
from orchestrator.wiring import Chordal

FOLLOWED: Final = 1000
"""The newest goals of the fleet, among which those of an owner are looked for."""
PAGE: Final = 200
KNOWN: Final = 10 * FOLLOWED
ROUND_SECONDS: Final = 0.5
"""How often new goals of the owner are looked for."""
PAUSE_SECONDS: Final = 0.1
"""Between two reads that could not wait."""
_OVER: Final = frozenset({"goal.done", "goal.cancelled"})
"""A goal that FAILED may be retried; these are the end."""
Place = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which updates are wanted; all conditions that are given must hold."""

    event_types: frozenset[str] | None = None
    pattern: re.Pattern[str] | None = None

    @classmethod
    def of(cls, event_types: Iterable[str] | None, event_pattern: str | None) -> Wanted:
        """Raises re.error for a pattern that is none."""
        types = None if event_types is None else frozenset(event_types)
        return cls(types, re.compile(event_pattern) if event_pattern else None)

    def fits(self, kind: str) -> bool:
        """Is an update of this type wanted?"""
        return (self.event_types is None or kind in self.event_types) and (
            self.pattern is None or self.pattern.match(kind) is not None
        )


@dataclass(slots=True)
class Followed:
    """A goal whose stream is read."""

    after: str
    """The stream id of the last entry that was read."""
    owner: str
    agent: str = ""


@dataclass
class Subscription:
    """Reads the streams of an owner's goals, or of some goals, in rounds. For one thread at a time.

    The ids of streams are times of one Redis, so that updates of several goals come in the order in which they happened, to
    the millisecond; those of one goal exactly so.
    """

    chordal: Chordal
    owner: str | None
    tasks: frozenset[str] | None
    wanted: Wanted
    after: str | None = None
    """The `id` of the last update that was seen: goes on behind it. None: from now on."""
    ended: set[str] = field(default_factory=set)
    """Tasks whose end was read."""
    _goals: dict[str, Followed] = field(default_factory=dict)
    _others: set[str] = field(default_factory=set)
    """Goals of other owners, and such as have ended."""
    _since: str = ""
    _first: bool = True

    def round(self, seconds: float = ROUND_SECONDS) -> list[dict[str, Any]]:
        """What has happened since the last round, waiting up to `seconds` for the first; may be empty.

        Raises RedisNotReachable; the next round goes on where this one began.
        """
        with self.chordal.reachable():
            return self._round(seconds)

    def _round(self, seconds: float) -> list[dict[str, Any]]:
        store = self.chordal.store.goals
        if self._first:
            self._begin(store)
        end = time.monotonic() + (wait := min(max(0.0, seconds), ROUND_SECONDS))
        found = self._read(store, self._goals, int(wait * 1000))
        # Goals that began while that read waited are read up to the same moment, so that the updates are in order.
        new = self._discover(store)
        if not found:  # Redis has waited, but not where there was nothing to wait for, nor for several servers
            time.sleep(max(0.0, min(PAUSE_SECONDS, end - time.monotonic())))
            return []
        horizon = max(_place(entries[-1][0]) for entries in found.values())
        found |= self._read(store, new, 0)
        full = [_place(entries[-1][0]) for entries in found.values() if len(entries) >= PAGE]
        return self._told(found, min([horizon, *full]))

    def _begin(self, store: GoalStore) -> None:
        self._since = self.after or f"{store.clock_ms()}-0"
        self._discover(store)
        self._first = False

    def _read(
        self, store: GoalStore, goals: Iterable[str], block_ms: int
    ) -> dict[str, list[tuple[str, dict[str, str]]]]:
        return store.events_of({goal: self._goals[goal].after for goal in goals}, PAGE, block_ms)

    def _told(self, found: Mapping[str, list[tuple[str, dict[str, str]]]], limit: Place) -> list[dict[str, Any]]:
        events = []
        for goal, entries in found.items():
            read = [(name, fields) for name, fields in entries if _place(name) <= limit]
            if read:
                self._goals[goal].after = read[-1][0]
                events += [Event.from_stream(goal, name, fields) for name, fields in read]
        events.sort(key=lambda event: (_place(event.id), event.goal))
        return [update for event in events if (update := self._update(event)) is not None]

    def _update(self, event: Event) -> dict[str, Any] | None:
        known = self._goals[event.goal]
        if not known.agent:
            spec = json.loads(self.chordal.store.goals.spec(event.goal, NODE))
            known.agent = str(spec.get("agent", ""))
        update = update_of(event, known.owner, known.agent)
        if event.type in _OVER or event.type == "goal.failed":
            self.ended.add(event.goal)
        if event.type in _OVER:
            del self._goals[event.goal]
            self._others.add(event.goal)
        return update if self.wanted.fits(update["event_type"]) else None

    # -- which goals ------------------------------------------------------------------------------------------------

    def _discover(self, store: GoalStore) -> list[str]:
        """Follow goals that are new; returns them."""
        if self.tasks is not None:
            return self._follow(store, self._unknown(sorted(self.tasks)))
        if len(self._goals) + len(self._others) > KNOWN:
            self._forget(set(store.newest(0, FOLLOWED)))
        added: list[str] = []
        for start in range(0, FOLLOWED, PAGE):
            page = store.newest(start, PAGE)
            new = self._unknown(page)
            added += self._follow(store, new)
            if len(page) < PAGE or (len(new) < PAGE and not self._first):
                break
        return added

    def _unknown(self, names: Iterable[str]) -> list[str]:
        return [name for name in names if name not in self._goals and name not in self._others]

    def _forget(self, newest: set[str]) -> None:
        """Older goals than these are not looked at again."""
        self._others &= newest
        self._goals = {name: one for name, one in self._goals.items() if name in newest or name not in self.ended}

    def _follow(self, store: GoalStore, names: list[str]) -> list[str]:
        added = []
        for name, record in zip(names, store.records(names) if names else [], strict=True):
            if "state" not in record:
                continue  # it is being stored; the next round finds it
            owner = record.get("owner", "default")
            if (self.owner is not None and owner != self.owner) or self._long_over(record):
                self._others.add(name)
                continue
            self._goals[name] = Followed(self._start(name), owner)
            added.append(name)
        return added

    def _start(self, goal: str) -> str:
        """Where the reading of a goal begins. In the goal of the last update behind it, in others with its millisecond."""
        if not self._first and self.tasks is None:
            return "0"
        stream_id, _, of = self._since.partition("/")
        first = _place(stream_id)[0]
        return stream_id if of == goal else f"{first - 1}-{2**64 - 1}" if first else "0"

    def _long_over(self, record: Mapping[str, str]) -> bool:
        if self.tasks is not None or record["state"] not in GOAL_TERMINAL:
            return False
        return int(record.get("ended", 0)) < _place(self._since.partition("/")[0])[0]


def _place(stream_id: str) -> Place:
    first, _, second = stream_id.partition("-")
    return int(first), int(second or 0)
