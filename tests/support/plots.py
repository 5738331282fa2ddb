"""Goals that commands are given to: nodes in the states that the commands are for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

NOWHERE: Final = "nowhere"
"""A queue that no worker of the test answers: nodes of agents stay READY."""
WORK: Final = '''
import time
from pathlib import Path
from orchestrator import node

@node
def echo(value=None): return value

@node
def mended(name):
    """Fails the first time."""
    mark = Path(name)
    if not mark.exists():
        mark.touch()
        raise RuntimeError("broken")
    return "mended"

@node
def even(value):
    if value % 2: raise ValueError("odd")
    return value

@node
def until_told(name):
    """Busy until the file is there."""
    end = time.monotonic() + 60
    while not Path(f"{name}.go").exists() and time.monotonic() < end:
        time.sleep(0.02)
    return "told"
'''
AGENTS: Final[list[dict[str, Any]]] = [
    {"name": "planner", "role": "planner", "queue": NOWHERE},
    {"name": "writer", "queue": NOWHERE, "instructions": "Be brief."},
]


@dataclass(frozen=True)
class Plot:
    """A goal, and how it stands when the command comes."""

    nodes: tuple[Mapping[str, Any], ...]
    edges: tuple[tuple[str, str] | tuple[str, str, str], ...] = ()
    """Source, target, and which end of the source it is where that is not `done`."""
    ready: Mapping[str, str] = field(default_factory=dict)
    """States of nodes; empty id: of the goal."""

    def document(self, goal: str) -> dict[str, Any]:
        """The goal under a name, which stands for GOAL in the inputs."""
        nodes = [
            {**node, "inputs": {"name": goal}} if node.get("inputs") == {"name": "GOAL"} else dict(node)
            for node in self.nodes
        ]
        edges = [dict(zip(("source", "target", "on"), edge, strict=False)) for edge in self.edges]
        return {"goal_id": goal, "owner": f"o-{goal}", "agents": AGENTS, "nodes": nodes, "edges": edges}


def echo(name: str, value: Any = 1) -> dict[str, Any]:
    """A node whose output is its input."""
    return {"id": name, "call": "work:echo", "inputs": {"value": value}}


GATE: Final = {"id": "gate", "kind": "approval"}
PAID: Final = {"id": "paid", "kind": "wait", "inputs": {"signal": "paid"}}
BAD: Final = {"id": "bad", "call": "work:mended", "inputs": {"name": "GOAL"}}
WRITE: Final = {"id": "write", "kind": "agent", "agent": "writer", "inputs": {"task": "Write."}}

AT_WORK: Final = Plot(
    (echo("first"), GATE, PAID, echo("next"), echo("last", {"from": "next"}), WRITE),
    (("first", "gate"), ("gate", "next"), ("next", "last"), ("gate", "write")),
    {"gate": "WAITING", "paid": "WAITING"},
)
"""An approval and a signal are waited for, and more hangs on the approval."""
FAILED: Final = Plot((BAD, echo("after")), (("bad", "after", "finished"),), {"": "FAILED"})
"""A node has failed, and the one that comes after it, however it ends, is DONE."""
ODD: Final = Plot(({"id": "bad", "call": "work:even", "inputs": {"value": 1}},), (), {"": "FAILED"})
"""A node has failed because of its input."""
HALF_BAD: Final = Plot((BAD, GATE), (), {"bad": "FAILED", "gate": "WAITING"})
"""A node has failed, and the goal goes on."""
CAUGHT: Final = Plot(
    (GATE, echo("next"), echo("rescue")), (("gate", "next"), ("next", "rescue", "failed")), {"gate": "WAITING"}
)
"""`rescue` runs where `next` fails."""
LOOSE: Final = Plot((GATE, PAID, echo("next"), echo("last")), (("gate", "next"), ("next", "last")), {"gate": "WAITING"})
"""`last` comes after `next`, and needs nothing of it."""
BUSY: Final = Plot(({"id": "busy", "call": "work:until_told", "inputs": {"name": "GOAL"}},), (), {"busy": "RUNNING"})
"""A node that runs for as long as the test wants."""
