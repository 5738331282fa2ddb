"""The name of a node's place in the line. Every process that sends messages knows it, so it imports nothing of models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Place:
    """A waiter of the line that stands for an attempt of a node."""

    goal: str
    node: str
    attempt: int
    number: int
    """Counts the asks of this attempt of the node."""
    run: str
    """When the goal was stored: tells it from an earlier goal of the same name."""

    @property
    def name(self) -> str:
        """The waiter's id; ids of goals and nodes hold no colon."""
        return f"{self.goal}:{self.node}:{self.attempt}:{self.number}:{self.run}"

    @property
    def task_id(self) -> str:
        """The Celery id of its message, the same for every ask."""
        return f"{self.goal}:{self.node}:{self.attempt}"

    @classmethod
    def of(cls, name: str) -> Self:
        """From the waiter's id."""
        goal, node, attempt, number, run = name.split(":")
        return cls(goal, node, int(attempt), int(number), run)
