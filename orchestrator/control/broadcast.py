"""A command for many goals: it reaches them one by one, and beat, which has other things to do, in slices."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from orchestrator.domain.command import Effect

MOST_EFFECTS: Final = 1000


class Unfinished(Exception):
    """There are more goals to reach: go on with the next tick."""


class Broadcast:
    """What became of a command at the goals that it has reached."""

    def __init__(self, effects: Iterator[Effect]) -> None:
        self._more = effects
        self.effects: list[Effect] = []
        """The first thousand."""
        self.count = 0
        self.codes = set[int]()

    def go_on(self, may: Callable[[], bool]) -> None:
        """Reach more goals. Raises Unfinished where `may`, asked after each, said no."""
        for effect in self._more:
            self.count += 1
            self.codes.add(int(effect.code))
            if len(self.effects) < MOST_EFFECTS:
                self.effects.append(effect)
            if not may():
                raise Unfinished
