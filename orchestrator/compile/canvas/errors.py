"""Why a goal is not a canvas, or a canvas not a goal."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.domain.errors import ChordalError


class NotACanvas(ChordalError):
    """Plain Celery canvas has no way to say what these nodes say. Run the goal with Chordal, or take those fields out."""

    SHOWN = 5

    def __init__(self, reasons: Sequence[tuple[str, str]]) -> None:
        """`reasons` are (node or edge, what cannot be said) pairs."""
        self.reasons = tuple(reasons)
        shown = "\n".join(f"  - {place}: {why}" for place, why in self.reasons[: self.SHOWN])
        more = len(self.reasons) - self.SHOWN
        rest = f"\n  ... and {more} more" if more > 0 else ""
        super().__init__(f"the goal cannot be a plain Celery canvas:\n{shown}{rest}")

    def __reduce__(self) -> tuple[type[NotACanvas], tuple[tuple[tuple[str, str], ...]]]:
        return type(self), (self.reasons,)


class NotAGoal(ChordalError):
    """The canvas uses something that a goal has no field for. The message names the signature and what to write instead."""
