"""A declaration to begin with."""

from __future__ import annotations

from pathlib import PurePath
from typing import Final

_MARKDOWN: Final = """# What this goal is called

What is wanted, in words: a planner reads it together with the agents below.

## Agents

### {name}
- Goal: goal-001
- Role: {name}
- Instructions: {own}
- Heartbeat: {heartbeat}
- Cadence: 5s
- Log-level: INFO
"""
_YAML: Final = """instruction_schema_version: "2"
goal_instructions: What is wanted, in words; a planner reads it together with the agents below.
agents:
  - name: "{name}"
    role: "{name}"
    goal: goal-001
    instructions: {own}
    heartbeat: {heartbeat}
    log-level: INFO
    cadence: 5s
"""
_OWN: Final = """You are {name}. Say here what you do, how, and what a good result looks like.

Tasks listed as below are carried out in this order, without a planner; remove them to let a model plan.

- [ ] Say hello in one sentence
"""
_HEARTBEAT: Final = "# One directive a line: PAUSE, RESUME, REPARSE, DROP-TASK id, ELEVATE id priority, FLUSH-MEMORY\n"


def template(name: str, file: PurePath) -> dict[str, str]:
    """The files of a declaration with one agent, by their path beside it; `file` says the form, and where it stands."""
    below = "" if file.parent.name == "instructions" else "instructions/"
    own, heartbeat = f"{below}{name}.md", f"{below}heartbeat/{name}.md"
    form = _MARKDOWN if file.suffix == ".md" else _YAML
    head = form.format(name=name, own=own, heartbeat=heartbeat)
    return {file.name: head, own: _OWN.format(name=name), heartbeat: _HEARTBEAT}
