"""What a peer is asked to do, and what it leaves behind.

    python -m bench.agents.peers.NAME URL AGENTS TURNS FOLDER

URL is the API's base. `FOLDER/ready` says that the process is idle; it goes on when `FOLDER/go` is there, and leaves
`FOLDER/done.json`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

TOOL: Final[dict[str, Any]] = {
    "type": "function",
    "function": {
        "name": "look",
        "description": "Look a word up.",
        "parameters": {
            "type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"],
            "additionalProperties": False,
        },
    },
}  # fmt: skip
INSTRUCTIONS: Final = "Look up what you are asked for. Call the tool before you answer. Answer in one sentence."


@dataclass(frozen=True, slots=True)
class Order:
    """So many agents at once, each of so many turns."""

    url: str
    agents: int
    turns: int
    folder: Path

    @classmethod
    def given(cls) -> Order:
        """By the command line."""
        url, agents, turns, folder = sys.argv[1:]
        return cls(url, int(agents), int(turns), Path(folder))

    def argv(self) -> tuple[str, ...]:
        """As the command line has it."""
        return (self.url, str(self.agents), str(self.turns), str(self.folder))

    def begin(self) -> float:
        """Say that this process is idle now, and wait. The monotonic time of the start."""
        (self.folder / "ready").touch()
        while not (self.folder / "go").exists():
            time.sleep(0.02)
        return time.monotonic()

    def leave(self, begun: float, ended: int) -> None:
        """Write down how many agents ended as they should, and end the process."""
        new = self.folder / "done.new"
        new.write_text(json.dumps({"ended": ended, "seconds": time.monotonic() - begun}))
        new.replace(self.folder / "done.json")
        os._exit(0)


def look(word: str) -> str:
    """The tool."""
    return f"{word}: A lamp is a device that gives light."
