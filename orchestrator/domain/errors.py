"""Everything that Chordal raises on purpose. One base; each subclass says what went wrong and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self


class ChordalError(Exception):
    """Something Chordal was asked to do could not be done; the message names the remedy."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong in a document: where it stands, what is wrong and what would mend it."""

    place: str
    """Where, as a path into the document: ``nodes[3].retries``, or ``line 4, column 7``."""
    message: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" + (f" ({self.remedy})" if self.remedy else "")


class Faulty(ChordalError):
    """A document has faults; all of them are in `faults`, the first `SHOWN` in the text."""

    WHAT: ClassVar[str]
    """What has them, as the text says it."""
    SHOWN: ClassVar[int]

    def __init__(self, faults: Sequence[Fault] | str) -> None:
        if isinstance(faults, str):  # as Celery makes it anew from a JSON result: the text is all there is
            self.faults: tuple[Fault, ...] = ()
            super().__init__(faults)
            return
        self.faults = tuple(faults)
        shown = "\n".join(f"  - {fault}" for fault in self.faults[: self.SHOWN])
        more = len(self.faults) - self.SHOWN
        rest = f"\n  ... and {more} more" if more > 0 else ""
        count = f"{len(self.faults)} fault{'s' if len(self.faults) != 1 else ''}"
        super().__init__(f"{self.WHAT}, {count}:\n{shown}{rest}")

    def __reduce__(self) -> tuple[type[Self], tuple[tuple[Fault, ...]]]:
        return type(self), (self.faults,)


class InvalidGoal(Faulty):
    """The goal document has faults. Mend them and submit again: nothing was stored."""

    WHAT = "the goal is not valid"
    SHOWN = 20


class GoalExists(ChordalError):
    """Another goal with this id, but other content, is stored. Choose another goal_id or leave it out."""


class GoalNotFound(ChordalError):
    """No goal with this id is stored. It was never submitted, or its time to live has passed (`chordal list`)."""


class NodeNotFound(ChordalError):
    """The goal has no node with this id. `chordal status GOAL` lists them."""


class IllegalTransition(ChordalError):
    """The transition table does not allow this move; the message tells the node's or goal's story."""


class UnknownFunction(ChordalError):
    """A node calls something that this worker does not know. Import its module through CHORDAL_IMPORTS."""


class BadReference(ChordalError):
    """An input refers to a member that the upstream output does not have."""


class OutputNotSerialisable(ChordalError):
    """A node returned something that is not JSON. Return plain data, a dataclass or a pydantic model."""


class RedisNotReachable(ChordalError):
    """No Redis answered. The message says what was tried and how to start one."""


class RedisFull(ChordalError):
    """Redis has no memory left, and what was asked for would need some. Nothing was done; `chordal doctor` says what to do."""


class RedisRefuses(ChordalError):
    """Redis is there and takes no writes: it cannot save, or is a replica. Nothing was done; `chordal doctor` says what to do."""


class RedisForbids(ChordalError):
    """The user of the Redis URL may not do that. Nothing was done; `chordal doctor` lists what the user may not."""


class NodeTimeout(ChordalError):
    """The node ran longer than its timeout_seconds."""


class NodeFailed(ChordalError):
    """A node's function raises this to fail the node for good, with the text as its error: no retry could help."""
