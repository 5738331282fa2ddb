"""What is wrong with declared agents, each fault with its file and line."""

from __future__ import annotations

from orchestrator.domain.errors import Faulty


class InvalidInstructions(Faulty):
    """The declaration of agents has faults. Mend the files and try again: nothing began."""

    WHAT = "the instructions are not valid"
    SHOWN = 50
