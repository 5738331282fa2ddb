"""What agents remember: the latest outputs of an agent, for each owner, beyond the goal that they were given for."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from orchestrator.domain.agent import AgentCard
from orchestrator.domain.lease import Lease
from orchestrator.store.store import Store

TOLD_CHARACTERS: Final = 6000
"""How much of it a request tells, the latest entries."""
KEPT_CHARACTERS: Final = 300
"""How much of a task and of an output an entry keeps."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Reads and adds to it."""

    store: Store

    def told(self, owner: str, card: AgentCard) -> list[str]:
        """What a request tells of it, the oldest first."""
        lines: list[str] = []
        left = TOLD_CHARACTERS
        for text in reversed(self.store.agents.memory(owner, card.name, card.memory)):
            entry = json.loads(text)
            line = f"{entry['task']}: {entry['output']}"
            left -= len(line)
            if left < 0:
                break
            lines.append(line)
        return lines[::-1]

    def add(self, owner: str, lease: Lease, card: AgentCard, task: str, output: Any) -> None:
        """A node is done. A worker that dies between its commit and this makes its agent forget it."""
        if not card.memory:
            return
        said = output if isinstance(output, str) else json.dumps(output, ensure_ascii=False)
        entry = {
            "goal": lease.goal,
            "node": lease.node,
            "task": task[:KEPT_CHARACTERS],
            "output": said[:KEPT_CHARACTERS],
        }
        self.store.agents.remember(owner, card.name, json.dumps(entry, ensure_ascii=False), card.memory)
