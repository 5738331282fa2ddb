"""Tasks on goals."""

from __future__ import annotations

from typing import Any

from orchestrator.app import app

from .parts import chordal


@app.task(name="tasks.goal.submit", Request="orchestrator.tasks.private:PrivateRequest")
def submit(dag: dict[str, Any]) -> str:
    """Store and start a goal; returns its id. Raises InvalidGoal with every fault."""
    return chordal().submit(dag)


@app.task(name="tasks.goal.status")
def status(goal: str) -> dict[str, Any]:
    """The goal with its nodes, as `chordal status --json` prints it."""
    return chordal().status(goal).as_json()
