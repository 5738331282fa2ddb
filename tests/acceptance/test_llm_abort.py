"""Cancelling a goal reaches the model call that is in flight; and goals run on scripted accounts in real workers."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from orchestrator.domain.states import GoalState
from orchestrator.wiring import Chordal
from support.servers import Fleet, until
from support.tool_model import hangs, tool_model

ABORTED_SECONDS = 1.0


def llm_fleet(fleet: Callable[..., Fleet], profiles: Any, pool: str = "threads", **files: str) -> tuple[Fleet, Chordal]:
    """A worker, an llm worker of this pool and beat."""
    one = fleet({"llm.json": json.dumps(profiles), **files})
    one.env = {"CHORDAL_LLM_FILE": str(one.folder / "llm.json")}
    one.beat()
    one.worker("w1")
    one.worker("llm1", "-Q", "llm", pool=pool, slots=4)
    chordal = one.chordal(llm_file=one.folder / "llm.json")
    until(lambda: chordal.live_workers() == 2, what="two workers")
    return one, chordal


@pytest.mark.parametrize("pool", ["threads", "prefork", "gevent"])
def test_a_call_in_flight_is_cut_off_within_a_second_of_a_cancel(fleet: Callable[..., Fleet], pool: str) -> None:
    if pool == "gevent":
        pytest.importorskip("gevent")

    def answer(_: Any) -> Any:
        return hangs(model)

    with tool_model(answer) as model:
        _, chordal = llm_fleet(fleet, model.profiles(), pool)
        nodes = [{"id": f"n{at}", "kind": "llm", "inputs": {"prompt": f"who:n{at}"}} for at in range(3)]
        goal = chordal.submit({"nodes": nodes})
        until(lambda: len(model.heard) == 3, what="three calls in flight")
        begun = time.monotonic()
        chordal.control.cancel(goal)
        until(lambda: len(model.gone) == 3, what="the worker hung up")
        assert max(model.gone) - begun < ABORTED_SECONDS
        until(lambda: chordal.summary(goal).state is GoalState.CANCELLED, what="cancelled")
        until(lambda: not chordal.limiter.status("stand-in").leases, what="the permits have ended")
        assert (len(model.heard), sum(model.counts.values())) == (3, 3), "nobody asked again"
        model.answer = lambda _: "still here"
        after = chordal.submit({"nodes": [{"id": "n", "kind": "llm", "inputs": {"prompt": "x"}}]})
        until(lambda: chordal.summary(after).terminal, what="the worker works")
        assert chordal.output(after, "n")["text"] == "still here"


def test_goals_run_on_scripted_accounts(fleet: Callable[..., Fleet]) -> None:
    script = """
- {role: writer, contains: lamp, times: null, text: Lamps are bright., delay_seconds: 0.05}
- {role: writer, times: null, value: {ok: true}}
"""
    profiles = {
        "accounts": {"stand-in": {"kind": "scripted", "script": "answers.yaml", "limits": {"concurrency": 2}}},
        "models": {"any": {"account": "stand-in"}},
    }
    _, chordal = llm_fleet(fleet, profiles, "prefork", **{"answers.yaml": script})
    nodes = [
        {"id": f"n{at}", "kind": "llm", "inputs": {"prompt": text, "role": "writer", "max_output_tokens": 20}}
        for at, text in enumerate(["a lamp", "a table"] * 4)
    ]
    goal = chordal.submit({"nodes": [*nodes, {"id": "x", "kind": "llm", "inputs": {"prompt": "nobody answers this"}}]})
    until(lambda: chordal.summary(goal).terminal, what="the end")
    status = chordal.status(goal)
    assert [chordal.output(goal, f"n{at}")["text"] for at in range(8)] == ["Lamps are bright.", '{"ok": true}'] * 4
    assert chordal.output(goal, "n0")["micro_usd"] == 0
    assert "no_script" in str(status.nodes["x"].error)
