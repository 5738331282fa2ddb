"""Canvases made from goals, run by plain Celery workers that know nothing of Chordal."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from orchestrator.app import broker_url
from orchestrator.compile.canvas import NotACanvas, to_canvas
from orchestrator.domain.validate import read_goal
from orchestrator.settings import Settings
from support.servers import Fleet, until

PLAIN = """
import os
from celery import Celery
app = Celery("plain", broker=os.environ["PLAIN"], backend=os.environ["PLAIN"])

@app.task(name="note")
def note(name, path):
    with open(path, "a") as file: file.write(name + "\\n")
    return name
"""


SEND = """
import json, sys
from celery.canvas import maybe_signature
from plain import app
maybe_signature(json.load(sys.stdin), app=app).apply_async()
"""


def goal(fleet: Fleet, pairs: list[tuple[str, str]]) -> Any:
    names = sorted({name for pair in pairs for name in pair})
    path = str(fleet.folder / "order")
    nodes = [{"id": name, "kind": "task", "call": "note", "inputs": {"name": name, "path": path}} for name in names]
    return read_goal({"nodes": nodes, "edges": [{"source": one, "target": two} for one, two in pairs]})


@pytest.mark.parametrize(
    ("pairs", "exact"),
    [
        pytest.param([("a", "b"), ("a", "c"), ("b", "d"), ("c", "d"), ("d", "e")], True, id="series-parallel"),
        pytest.param(
            [("a", "x"), ("b", "x"), ("b", "y"), ("c", "y"), ("x", "z"), ("y", "z")], False, id="with a barrier"
        ),
    ],
)
def test_a_canvas_runs_on_plain_celery_in_the_goals_order(
    fleet: Callable[..., Fleet], pairs: list[tuple[str, str]], exact: bool
) -> None:
    one = fleet({"plain.py": PLAIN})
    url = broker_url(Settings(redis_url=one.url))
    one.env = {"PLAIN": url}
    one.worker("p1", app="plain")
    canvas = to_canvas(goal(one, pairs))
    assert canvas.exact is exact
    # Sent by a process of its own, as JSON: nothing of the canvas lives in this one.
    subprocess.run(
        [sys.executable, "-c", SEND], cwd=one.folder, env=one.environment(), input=json.dumps(canvas.signature), text=True,
        check=True, timeout=30,
    )  # fmt: skip
    names = {name for pair in pairs for name in pair}
    path = one.folder / "order"
    until(lambda: path.exists() and len(path.read_text().split()) == len(names), 30, "every node ran")
    order = path.read_text().split()
    assert sorted(order) == sorted(names)
    assert all(order.index(source) < order.index(target) for source, target in pairs)


def test_what_a_canvas_cannot_say_is_named() -> None:
    made = read_goal(
        {
            "nodes": [{"id": "a"}, {"id": "b"}, {"id": "w", "kind": "wait", "inputs": {"seconds": 1}}],
            "edges": [{"source": "a", "target": "b", "on": "failed"}],
        }
    )
    with pytest.raises(NotACanvas) as error:
        to_canvas(made)
    assert "w" in str(error.value)
    assert "a -> b" in str(error.value)
