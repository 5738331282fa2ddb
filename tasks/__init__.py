"""The Celery tasks: decode, call the engine, return. Their names are `tasks.*` wherever this package is installed."""

from __future__ import annotations

from orchestrator.app import app

from . import control, goal, node, worker

worker.install(app)

__all__ = ["control", "goal", "node", "worker"]
