"""One pass over a goal's events: each is shown to the rules that ask for its type, then told to the story."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from orchestrator.domain.events import Event
from orchestrator.events.plan import Plan
from orchestrator.events.rules import RULES
from orchestrator.events.rules.rule import Rule
from orchestrator.events.story import Story
from orchestrator.events.violation import INVARIANTS, Note, Violation

ORDERED: Final = ("I1", "I2", "I3", "I5", "I6", "I7", "I8", "I9", "I11", "I13", "I14", "I15")
"""Invariants that the events show."""


class History:
    """The rules on one goal. Memory grows with its nodes, not with its events."""

    def __init__(self, plan: Plan, retries: int | None = None) -> None:
        self.story = Story()
        self._rules = [rule(plan, retries) for rule in RULES]
        self._by_type: dict[str, tuple[Rule, ...]] = {}
        for rule in self._rules:
            for kind in rule.types:
                self._by_type[kind] = (*self._by_type.get(kind, ()), rule)
        self._found: list[Violation] = []

    def feed(self, events: Iterable[Event]) -> None:
        """Take in what happened next."""
        story, by_type, found = self.story, self._by_type, self._found
        for event in events:
            if not story.count:
                story.begin(event)
            for rule in by_type.get(event.type, ()):
                found.extend(rule.see(story, event))
            story.tell(event)

    def violations(self) -> list[Violation]:
        """What is wrong so far, taking this for the end."""
        return [*self._found, *(fault for rule in self._rules for fault in rule.finish(self.story))]

    def notes(self) -> Mapping[str, tuple[Note, ...]]:
        """What could not be judged, by invariant."""
        notes: dict[str, tuple[Note, ...]] = {}
        for rule in self._rules:
            if (note := rule.note(self.story)) is not None:
                notes[rule.invariant] = (*notes.get(rule.invariant, ()), note)
        if not self.story.whole and self.story.count:
            trimmed = Note(f"what came before {self.story.first}: the history's head was trimmed", False)
            for invariant in ORDERED:
                notes[invariant] = (*notes.get(invariant, ()), trimmed)
        if not self.story.count:
            notes |= {invariant: (Note("there are no events", True),) for invariant in ORDERED}
        return {invariant: notes[invariant] for invariant in INVARIANTS if invariant in notes}
