"""What the workers of the benchmark import: one tool, and the agent that calls it."""

from __future__ import annotations

from typing import Any, Final

from bench.agents.tool_server import TOOL
from orchestrator.agents.tools.toolbox import tool

INSTRUCTIONS: Final = "Look up what you are asked for. Call the tool before you answer. Answer in one sentence."
FOUND: Final = "A lamp is a device that gives light."


@tool(name=TOOL)
def look(word: str) -> str:
    """Look a word up."""
    return f"{word}: {FOUND}"


def goal(agents: int, turns: int) -> dict[str, Any]:
    """So many agents beside each other, all the same."""
    card = {
        "name": "looker", "instructions": INSTRUCTIONS, "tools": [TOOL],
        "limits": {"max_turns": turns + 2, "max_output_tokens": 64}, "memory": 0,
    }  # fmt: skip
    nodes = [
        {"id": f"a{at}", "kind": "agent", "agent": "looker", "inputs": {"task": f"What is lamp number {at}?"}}
        for at in range(agents)
    ]
    return {"nodes": nodes, "agents": [card]}
