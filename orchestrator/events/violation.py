"""What a check says: the invariants by number, one line for each that is broken, and what could not be looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

INVARIANTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "I1": "at most one accepted commit a node, by its latest claim, while it was RUNNING",
        "I2": "one end a node and one end a goal, and nothing after it",
        "I3": "a claim comes after its join has fired; the inputs are the committed outputs",
        "I4": "a node that has not ended is in exactly one place, from which it can go on",
        "I5": "leases of a node do not overlap; its tokens rise, and no token is used twice",
        "I6": "a lane runs one node at a time, in the order in which they came; a retry keeps its place",
        "I7": "live LLM permits never exceed the limits",
        "I8": "after a cancel nothing is claimed and nothing committed; while paused or held nothing is claimed",
        "I9": "a command acts once on its target, a broadcast once on each receiver, none after its expiry",
        "I10": "a goal is removed whole; every key belongs to an indexed goal or to the catalogue",
        "I11": "one goal id, and one idempotency key, give one run",
        "I12": "the counters equal a recount",
        "I13": "attempts do not exceed their maximum; what failed is in the dead letters with its reason",
        "I14": "a fenced attempt changes nothing visible",
        "I15": "an agent's turns have no gap and no double, and each call of a tool has one result",
    }
)
"""Number to what must hold, in their order."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken invariant."""

    invariant: str
    """`I1` to `I15`."""
    node: str
    """Empty where it concerns the whole goal."""
    event: str
    """The stream id of the event that broke it, or empty where the stored state did."""
    text: str

    def __str__(self) -> str:
        return f"{' '.join(part for part in (self.invariant, self.node, self.event) if part)}: {self.text}"


@dataclass(frozen=True, slots=True)
class Note:
    """Why an invariant could not be checked, or not in full."""

    text: str
    wholly: bool
    """Nothing of it was checked; else only a part was left out."""


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of one check."""

    goal: str
    events: int
    """How many events were read."""
    violations: tuple[Violation, ...] = ()
    notes: Mapping[str, tuple[Note, ...]] = field(default_factory=dict)
    """By invariant."""

    def of(self, invariant: str) -> list[Violation]:
        """The violations of one invariant."""
        return [one for one in self.violations if one.invariant == invariant]

    def verdict(self, invariant: str) -> str:
        """`violated`, `not applicable` (nothing of it was checked) or `ok`."""
        if self.of(invariant):
            return "violated"
        return "not applicable" if any(note.wholly for note in self.notes.get(invariant, ())) else "ok"
