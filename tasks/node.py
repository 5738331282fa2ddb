"""Tasks on nodes."""

from __future__ import annotations

from typing import Any

from orchestrator.app import app
from orchestrator.domain.lease import Lease

from .draining import give_back, is_draining
from .parts import chordal


@app.task(name="tasks.node.run", ignore_result=True)
def run(goal: str, queue: str, node: str = "", sent_ms: int | None = None) -> int:
    """Answer an invitation: work on a queue of a goal, beginning with the named node. Returns how many nodes were run."""
    if is_draining():
        give_back()
    return chordal().runner.answer(goal, queue, node, sent_ms)


@app.task(name="tasks.node.commit")
def commit(goal: str, node: str, token: int, nonce: str, output: Any = None, error: str | None = None) -> str:
    """End a lease from outside the worker that took it; returns the verdict: accepted, repeated, fenced, cancelling, gone."""
    return chordal().committer.commit_for(Lease(goal, node, token, nonce, 0), output, error)


@app.task(name="tasks.node.plain")
def plain(node: dict[str, Any]) -> Any:
    """Run a node's work with nothing around it: what `to_canvas` puts into a plain Celery canvas."""
    call = node.get("call")
    if not call:
        return {"title": node.get("title", "")}
    return chordal().registry.get(call).function(**(node.get("inputs") or {}))
