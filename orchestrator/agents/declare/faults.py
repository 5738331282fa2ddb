"""What is wrong with declared agents, each fault with its file and line."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.domain.errors import ChordalError, Fault


class InvalidInstructions(ChordalError):
    """The declaration of agents has faults; all of them are in `faults`. Mend the files and try again: nothing began."""

    SHOWN = 50

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
        super().__init__(f"the instructions are not valid, {count}:\n{shown}{rest}")

    def __reduce__(self) -> tuple[type[InvalidInstructions], tuple[tuple[Fault, ...]]]:
        return type(self), (self.faults,)
