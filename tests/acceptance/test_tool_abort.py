"""Cancelling a goal stops the tool that runs for it within a second, in every pool; what it left behind is not committed."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from orchestrator.domain.states import GoalState, NodeState
from support.servers import Fleet, until

STOPPED_SECONDS = 1.25
"""A second, and what the test itself needs to see it."""
WORK = """
import time
from pathlib import Path
from orchestrator.agents.tools.toolbox import tool

@tool
def dig(word: str) -> str:
    Path("began").touch()
    try:
        for _ in range(6000):  # a minute, should nobody stop it
            time.sleep(0.01)
    finally:
        Path("stopped").write_text(str(time.monotonic()))
"""


@pytest.mark.parametrize("pool", ["prefork", "threads", "gevent"])
def test_a_tool_stops_when_its_goal_is_cancelled(fleet: Callable[..., Fleet], pool: str) -> None:
    if pool == "gevent":
        pytest.importorskip("gevent")
    one = fleet({"work.py": WORK}, CHORDAL_IMPORTS="work")
    one.worker("w1", pool=pool, slots=2)
    chordal = one.chordal()
    goal = chordal.submit({"nodes": [{"id": "t", "kind": "tool", "call": "dig", "inputs": {"word": "x"}}]})
    until(lambda: (one.folder / "began").exists(), what="the tool runs")
    begun = time.monotonic()
    chordal.control.cancel(goal)
    stopped = one.folder / "stopped"
    until(lambda: stopped.exists() and stopped.read_text(), what="the tool was stopped")
    assert float(stopped.read_text()) - begun < STOPPED_SECONDS
    until(lambda: chordal.summary(goal).state is GoalState.CANCELLED, what="cancelled")
    assert chordal.status(goal).nodes["t"].state is NodeState.CANCELLED
    stopped.unlink()
    after = chordal.submit(
        {"nodes": [{"id": "late", "kind": "tool", "call": "dig", "inputs": {"word": "x"}, "timeout_seconds": 0.3}]}
    )
    until(lambda: chordal.summary(after).terminal, what="its own time limit still stops it")
    assert "time limit" in str(chordal.status(after).nodes["late"].error)
