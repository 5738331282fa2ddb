"""The Celery tasks: decode, call the engine, return. Their names are `tasks.*` wherever this package is installed."""

from __future__ import annotations

from orchestrator.app import app

from . import control, files, goal, llm, node, notify, remote, worker

worker.install(app)
app.steps["consumer"].add(llm.GateKeeper)
app.steps["consumer"].add(notify.Receivers)
app.steps["consumer"].add(files.FileWatch)

__all__ = ["control", "files", "goal", "llm", "node", "notify", "remote", "worker"]
