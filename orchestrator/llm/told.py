"""What a process tells with its next operation, so that it costs no operation of its own.

Calls that began are told, and waiters that join behind others of their flow: who stands behind a waiter of the same process
cannot be served before it, so nothing is lost if Redis hears of it a moment later.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from orchestrator.store.llm_records import Ask, Word

LATE_SECONDS: Final = 0.25
"""The longest that a waiter behind others is kept back."""


@dataclass(eq=False, slots=True)
class Waiter:
    """One call of this process that waits for its turn."""

    id: str
    ask: Ask
    woken: threading.Event = field(default_factory=threading.Event)
    word: Word | None = None
    joined: bool = True
    """Redis knows of it, or is being told."""

    @property
    def flow(self) -> tuple[str, str, int]:
        """Waiters of one flow are served in the order in which they came."""
        return self.ask.owner, self.ask.goal, self.ask.priority


class Waiters:
    """The waiters of one process. The station's lock is held where its methods are called."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._all: dict[str, Waiter] = {}
        self._late: dict[str, Waiter] = {}
        self._ahead: Counter[tuple[str, str, int]] = Counter()
        """Joined waiters by flow."""
        self.due: float | None = None
        """When those that are kept back must be told."""

    def __len__(self) -> int:
        return len(self._all)

    def all(self) -> list[Waiter]:
        """In the order in which they came."""
        return list(self._all.values())

    def add(self, waiter: Waiter) -> bool:
        """Keep a waiter. False: it stands behind another of its flow, and is told later."""
        self._all[waiter.id] = waiter
        waiter.joined = self._ahead[waiter.flow] == 0
        if waiter.joined:
            self._ahead[waiter.flow] += 1
            return True
        self._late[waiter.id] = waiter
        if self.due is None:
            self.due = self._clock() + LATE_SECONDS
        return False

    def drop(self, name: str) -> Waiter | None:
        """It waits no longer. Those kept back behind it are due."""
        waiter = self._all.pop(name, None)
        if waiter is None:
            return None
        self._late.pop(name, None)
        if waiter.joined:
            self._ahead[waiter.flow] -= 1
            if self._ahead[waiter.flow] == 0:
                del self._ahead[waiter.flow]
                if any(one.flow == waiter.flow for one in self._late.values()):
                    self.due = self._clock()
        return waiter

    def take(self) -> list[Waiter]:
        """Those that the next operation shall tell."""
        taken = list(self._late.values())
        for one in taken:
            one.joined = True
            self._ahead[one.flow] += 1
        self._late.clear()
        self.due = None
        return taken

    def put_back(self, taken: list[Waiter]) -> None:
        """The operation failed."""
        left = [one for one in taken if one.id in self._all]
        for one in left:
            one.joined = False
            self._ahead[one.flow] -= 1
        self._late = {one.id: one for one in left} | self._late
        if self._late:
            self.due = self._clock()


class Started:
    """Permits whose calls began. Safe to share between threads."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._found: deque[tuple[str, int, float]] = deque()

    def __len__(self) -> int:
        return len(self._found)

    def older(self, seconds: float) -> bool:
        """Has one been waiting to be told for so long?"""
        with suppress(IndexError):
            return self._clock() - self._found[0][2] >= seconds
        return False

    def add(self, name: str, fence: int) -> None:
        """It begins now."""
        self._found.append((name, fence, self._clock()))

    def take(self) -> list[tuple[str, int, float]]:
        """All, with their times."""
        taken = []
        with suppress(IndexError):
            while True:
                taken.append(self._found.popleft())
        return taken

    def put_back(self, taken: list[tuple[str, int, float]]) -> None:
        """The operation failed."""
        self._found.extend(taken)

    def ages(self, taken: list[tuple[str, int, float]]) -> list[tuple[str, int, int]]:
        """How many ms ago, rather too few than too many."""
        now = self._clock()
        return [(name, fence, int((now - at) * 1000)) for name, fence, at in taken]
