"""Chordal: durable agent task graphs on the Celery you already run.

The public names. They are loaded on first use, so that importing one does not import all::

    from orchestrator import Goal, attach, connect, current, node, submit
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator.api import Handle as Handle
    from orchestrator.api import submit as submit
    from orchestrator.app import app as celery
    from orchestrator.backend import attach as attach
    from orchestrator.compile.canvas import from_canvas as from_canvas
    from orchestrator.compile.canvas import to_canvas as to_canvas
    from orchestrator.domain.dag import Edge as Edge
    from orchestrator.domain.dag import Goal as Goal
    from orchestrator.domain.dag import Node as Node
    from orchestrator.engine.context import current as current
    from orchestrator.engine.registry import node as node
    from orchestrator.wiring import connect as connect

_HOMES = {
    "Edge": "orchestrator.domain.dag",
    "Goal": "orchestrator.domain.dag",
    "Handle": "orchestrator.api",
    "Node": "orchestrator.domain.dag",
    "attach": "orchestrator.backend",
    "connect": "orchestrator.wiring",
    "current": "orchestrator.engine.context",
    "from_canvas": "orchestrator.compile.canvas",
    "node": "orchestrator.engine.registry",
    "submit": "orchestrator.api",
    "to_canvas": "orchestrator.compile.canvas",
}

__all__ = [
    "Edge",
    "Goal",
    "Handle",
    "Node",
    "attach",
    "celery",
    "connect",
    "current",
    "from_canvas",
    "node",
    "submit",
    "to_canvas",
]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name == "celery":  # what `celery -A orchestrator` looks for
        return import_module("orchestrator.app").app
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'orchestrator' has no attribute {name!r}")
