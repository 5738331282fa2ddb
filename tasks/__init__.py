"""The Celery tasks: decode, call the engine, return. Their names are `tasks.*` wherever this package is installed."""

from __future__ import annotations

from orchestrator.app import app

from . import control, goal, llm, node, worker

worker.install(app)
app.steps["consumer"].add(llm.GateKeeper)

__all__ = ["control", "goal", "llm", "node", "worker"]
