"""What every rule is: fed the events that it asks for, in order, it says what is wrong with them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import ClassVar

from orchestrator.domain.events import Event
from orchestrator.events.plan import Plan
from orchestrator.events.story import Story
from orchestrator.events.violation import Note, Violation


class Rule(ABC):
    """One invariant over the history. It is made for one goal, and keeps no more than a few facts a node."""

    invariant: ClassVar[str]
    types: ClassVar[frozenset[str]]
    """The event types that it looks at; others it is not shown."""

    def __init__(self, plan: Plan, retries: int | None = None) -> None:
        self.plan = plan
        self.retries = retries
        """The limit of nodes without one of their own, where it is known."""

    @abstractmethod
    def see(self, story: Story, event: Event) -> Iterator[Violation]:
        """What is wrong with the event, after what the story tells."""

    def finish(self, story: Story) -> Iterator[Violation]:  # noqa: ARG002
        """What only the end of the history shows."""
        return iter(())

    def note(self, story: Story) -> Note | None:  # noqa: ARG002
        """What the rule could not judge in this history."""
        return None

    def fault(self, event: Event, text: str) -> Violation:
        """The invariant is broken by this event."""
        return Violation(self.invariant, event.node, event.id, text)
