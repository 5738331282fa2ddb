"""Chordal: durable agent task graphs on the Celery you already run.

The public names. They are loaded on first use, so that importing one does not import all::

    from orchestrator import Goal, attach, connect, current, node, submit
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator.agents.agent import Agent as Agent
    from orchestrator.agents.tools.toolbox import ToolContext as ToolContext
    from orchestrator.agents.tools.toolbox import task_tool as task_tool
    from orchestrator.agents.tools.toolbox import tool as tool
    from orchestrator.api import Handle as Handle
    from orchestrator.api import submit as submit
    from orchestrator.app import app as celery
    from orchestrator.backend import attach as attach
    from orchestrator.compile.canvas import from_canvas as from_canvas
    from orchestrator.compile.canvas import to_canvas as to_canvas
    from orchestrator.domain.agent import AgentLimits as AgentLimits
    from orchestrator.domain.dag import Edge as Edge
    from orchestrator.domain.dag import Goal as Goal
    from orchestrator.domain.dag import Node as Node
    from orchestrator.engine.context import current as current
    from orchestrator.engine.registry import node as node
    from orchestrator.face.config import AgentWorkerConfig as AgentWorkerConfig
    from orchestrator.face.config import MaintenanceWorkerConfig as MaintenanceWorkerConfig
    from orchestrator.face.config import MetricsTimelineConfig as MetricsTimelineConfig
    from orchestrator.face.config import ObservabilityConfig as ObservabilityConfig
    from orchestrator.face.config import TaskTTLConfig as TaskTTLConfig
    from orchestrator.face.orchestrator import Orchestrator as Orchestrator
    from orchestrator.face.task import AgentContext as AgentContext
    from orchestrator.face.task import create_task as create_task
    from orchestrator.notify.notice import Notice as Notice
    from orchestrator.notify.targets import on as on
    from orchestrator.wiring import connect as connect

_HOMES = {
    "Agent": "orchestrator.agents.agent",
    "AgentContext": "orchestrator.face.task",
    "AgentLimits": "orchestrator.domain.agent",
    "AgentWorkerConfig": "orchestrator.face.config",
    "Edge": "orchestrator.domain.dag",
    "Goal": "orchestrator.domain.dag",
    "Handle": "orchestrator.api",
    "MaintenanceWorkerConfig": "orchestrator.face.config",
    "MetricsTimelineConfig": "orchestrator.face.config",
    "Node": "orchestrator.domain.dag",
    "ObservabilityConfig": "orchestrator.face.config",
    "Notice": "orchestrator.notify.notice",
    "Orchestrator": "orchestrator.face.orchestrator",
    "TaskTTLConfig": "orchestrator.face.config",
    "ToolContext": "orchestrator.agents.tools.toolbox",
    "attach": "orchestrator.backend",
    "connect": "orchestrator.wiring",
    "create_task": "orchestrator.face.task",
    "current": "orchestrator.engine.context",
    "from_canvas": "orchestrator.compile.canvas",
    "node": "orchestrator.engine.registry",
    "on": "orchestrator.notify.targets",
    "submit": "orchestrator.api",
    "task_tool": "orchestrator.agents.tools.toolbox",
    "to_canvas": "orchestrator.compile.canvas",
    "tool": "orchestrator.agents.tools.toolbox",
}

__all__ = [
    "Agent",
    "AgentContext",
    "AgentLimits",
    "AgentWorkerConfig",
    "Edge",
    "Goal",
    "Handle",
    "MaintenanceWorkerConfig",
    "MetricsTimelineConfig",
    "Node",
    "Notice",
    "ObservabilityConfig",
    "Orchestrator",
    "TaskTTLConfig",
    "ToolContext",
    "attach",
    "celery",
    "connect",
    "create_task",
    "current",
    "from_canvas",
    "node",
    "on",
    "submit",
    "task_tool",
    "to_canvas",
    "tool",
]


def __getattr__(name: str) -> Any:
    import sys
    from importlib import import_module

    if name == "celery":  # what `celery -A orchestrator` looks for
        app = import_module("orchestrator.app").app
        if {"inspect", "control"} & set(sys.argv[1:]):
            # Celery's command line knows the remote control commands that are registered when it reads its arguments.
            import_module("orchestrator.tasks.remote")
        return app
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'orchestrator' has no attribute {name!r}")
