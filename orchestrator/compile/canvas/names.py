"""Ids for nodes that come from task names."""

from __future__ import annotations

import re
from typing import Final

_MOST: Final = 48
"""Characters of a task's name that an id keeps; 64 are allowed, the rest is for numbers and suffixes."""


class Names:
    """Hands out each id once: ``add``, ``add.2``, ``add.3``. The same canvas gets the same ids every time."""

    def __init__(self) -> None:
        self._count: dict[str, int] = {}
        self._taken: set[str] = set()

    def of_task(self, task: str) -> str:
        """An id from the last part of a task's name, what an id cannot hold replaced by hyphens."""
        return self.unused(re.sub(r"[^A-Za-z0-9_-]+", "-", task.rpartition(".")[2])[:_MOST].strip("-") or "task")

    def unused(self, wanted: str) -> str:
        """The id itself, or with the first number that is free."""
        name = wanted
        while name in self._taken:
            self._count[wanted] = self._count.get(wanted, 1) + 1
            name = f"{wanted[:56]}.{self._count[wanted]}"
        self._taken.add(name)
        return name
