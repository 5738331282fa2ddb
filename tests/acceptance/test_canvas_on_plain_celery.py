"""Canvases made from goals, run by plain Celery workers that know nothing of Chordal."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from celery.canvas import Signature, chain, chord, group

from orchestrator.app import broker_url
from orchestrator.compile.canvas import ARGS, NotACanvas, from_canvas, to_canvas
from orchestrator.domain.dag import Goal
from orchestrator.domain.refs import resolve
from orchestrator.domain.validate import read_goal
from orchestrator.settings import Settings
from support.servers import Fleet, until

PLAIN = """
import json, os
from celery import Celery
app = Celery("plain", broker=os.environ["PLAIN"], backend=os.environ["PLAIN"])

@app.task(name="tell")
def tell(*args, tag, path):
    with open(path, "a") as file: file.write(json.dumps([tag, args]) + "\\n")
    return tag

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


def send(fleet: Fleet, canvas: Any) -> None:
    """Sent as JSON by a process of its own: nothing of the canvas lives in this one."""
    subprocess.run(
        [sys.executable, "-c", SEND], cwd=fleet.folder, env=fleet.environment(), input=json.dumps(canvas), text=True,
        check=True, timeout=30,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("pairs", "exact"),
    [
        pytest.param([("a", "b"), ("a", "c"), ("b", "d"), ("c", "d"), ("d", "e")], True, id="series-parallel"),
        pytest.param(
            [("a", "x"), ("b", "x"), ("b", "y"), ("c", "y"), ("x", "z"), ("y", "z")], False, id="with a barrier"
        ),
        # Celery 5.7 never starts z where a header ends in a group with a chord in it: the reason for the no-op.
        pytest.param(
            [("b", "c"), ("b", "d"), ("c", "e"), ("d", "e"), ("b", "f"), ("a", "z"), ("e", "z"), ("f", "z")],
            True,
            id="a chord in a group in a header",
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
    send(one, canvas.signature)
    names = {name for pair in pairs for name in pair}
    path = one.folder / "order"
    until(lambda: path.exists() and len(path.read_text().split()) == len(names), 30, "every node ran")
    order = path.read_text().split()
    assert sorted(order) == sorted(names)
    assert all(order.index(source) < order.index(target) for source, target in pairs)


def test_a_goal_gives_tasks_the_arguments_that_celery_gives_them(fleet: Callable[..., Fleet]) -> None:
    one = fleet({"plain.py": PLAIN})
    one.env = {"PLAIN": broker_url(Settings(redis_url=one.url))}
    one.worker("p1", app="plain")
    path = one.folder / "told"

    def tell(tag: str, *args: int, immutable: bool = False) -> Any:
        return Signature("tell", args=args, kwargs={"tag": tag, "path": str(path)}, immutable=immutable)

    canvas = chain(
        tell("a", 1),
        group(tell("b", 2), chain(tell("c"), tell("d", immutable=True), tell("e", 3)), chord([tell("f")], tell("g"))),
        tell("h", 4),
        group(tell("i"), tell("j")),
    )
    send(one, canvas)
    until(lambda: path.exists() and len(path.read_text().splitlines()) == 10, 30, "every task ran")
    told = sorted(json.loads(line) for line in path.read_text().splitlines())
    assert told == sorted(calls(read_goal(from_canvas(canvas))))
    assert ["h", [["b", "e", "g"], 4]] in told


def calls(made: Goal) -> list[list[Any]]:
    """The arguments of each node's task, where a task returns its tag."""
    nodes = {node.id: node.inputs or {} for node in made.nodes}
    outputs = {name: inputs["tag"] for name, inputs in nodes.items()}
    return [[inputs["tag"], resolve(inputs.get(ARGS, []), outputs)] for inputs in nodes.values()]


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
