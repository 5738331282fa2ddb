"""Tasks of an existing Celery app as nodes, and no clash with the names that users give their modules."""

from __future__ import annotations

import importlib.util
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from celery import Celery, chain, chord

from orchestrator import from_canvas
from orchestrator.app import broker_url
from orchestrator.domain.states import GoalState, NodeState
from orchestrator.sender import MARK
from orchestrator.wiring import Chordal
from support.house import ROOT
from support.servers import Fleet, until

SHOP = ROOT / "examples" / "existing_app"

TUTORIAL = """
from celery import Celery, chain, chord
app = Celery('tasks', broker='pyamqp://guest@nowhere//')

@app.task
def add(x, y):
    return x + y
"""


def shop_fleet(fleet: Callable[..., Fleet]) -> tuple[Fleet, Chordal]:
    one = fleet({"shop.py": (SHOP / "shop.py").read_text()})
    chordal = one.chordal()
    one.env = {"SHOP_BROKER": broker_url(chordal.settings)}
    one.beat()
    one.worker("ours")
    one.worker("shop", "-Q", "shop", app="shop")
    until(lambda: chordal.live_workers(), what="a worker of ours")
    return one, chordal


def order(log: Path) -> dict[str, Any]:
    spec = importlib.util.spec_from_file_location("shop_goal", SHOP / "goal.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    document: dict[str, Any] = module.goal(log=str(log))
    return document


def test_an_existing_app_runs_unchanged_as_a_goal(fleet: Callable[..., Fleet]) -> None:
    one, chordal = shop_fleet(fleet)
    document = order(one.folder / "log")
    document["nodes"].append({"id": "refuse", "kind": "task", "call": "shop.refuse", "queue": "shop"})
    document["nodes"].append({"id": "handled"})
    document["edges"].append({"source": "refuse", "target": "handled", "on": "failed"})
    goal = chordal.submit(document)
    until(lambda: chordal.summary(goal).terminal, 40, f"the end: {chordal.status(goal)}")
    status = chordal.status(goal)
    assert status.state is GoalState.DONE, status
    assert status.nodes["invoice"].output == "total 21.50"
    assert status.nodes["reserve"].output == "2 x tea"
    assert status.nodes["reserve"].attempt == 1, "the task's own retry is not an attempt of the node"
    assert (one.folder / "log").read_text().split("\n").count("reserve tea") == 2
    assert "no such customer" in (status.nodes["refuse"].error or "")
    claimed = [
        event for event in chordal.events(goal) if event.type == "node.claimed" and event.worker.startswith("shop@")
    ]
    assert {event.node for event in claimed} == {"tea", "cup", "reserve", "invoice", "refuse"}, (
        "claimed where the body runs"
    )


def test_a_duplicate_delivery_does_not_run_the_body_twice(fleet: Callable[..., Fleet]) -> None:
    one, chordal = shop_fleet(fleet)
    goal = chordal.submit(order(one.folder / "log"))
    until(lambda: chordal.summary(goal).terminal, 40, "the end")
    sender = Celery(broker=broker_url(chordal.settings))
    sender.send_task(
        "shop.invoice", kwargs={"tea": 1, "cup": 1, "log": str(one.folder / "log")}, queue="shop",
        task_id=f"{goal}:invoice:1", group_id=goal, chord=dict(MARK),
    )  # fmt: skip
    until(lambda: "the task is not run" in one.procs[-1].text(), what="the refusal in the worker's log")
    assert (one.folder / "log").read_text().split("\n").count("invoice") == 1
    assert chordal.status(goal).nodes["invoice"].output == "total 21.50"


def test_a_user_worker_that_dies_costs_one_attempt(fleet: Callable[..., Fleet]) -> None:
    slow = TUTORIAL.replace("def add(x, y):", "def add(x, y):\n    import time; time.sleep(1.5)")
    one = fleet({"mine.py": slow}, CHORDAL_IMPORTS="mine", CHORDAL_LEASE_SECONDS="1")
    victim = one.worker("w1", slots=1)
    one.beat()
    chordal = one.chordal()
    call = {"id": "a", "kind": "task", "call": "mine.add", "inputs": {"x": 1, "y": 2}}
    goal = chordal.submit({"nodes": [call]})
    until(lambda: chordal.summary(goal).counts[NodeState.RUNNING], what="it runs")
    victim.kill(signal.SIGKILL)
    one.worker("w2", slots=1)
    until(lambda: chordal.summary(goal).terminal, 40, f"the end {chordal.status(goal)}")
    assert chordal.status(goal).nodes["a"].output == 3
    assert chordal.status(goal).nodes["a"].attempt == 2


def test_the_tutorials_tasks_py_and_a_beat_py_do_not_clash(fleet: Callable[..., Fleet]) -> None:
    """In the checkout; `test_wheel.py` does the same with the installed wheel."""
    one = fleet(
        {"tasks.py": TUTORIAL, "beat.py": "raise SystemExit('the user has a beat.py')"}, CHORDAL_IMPORTS="tasks"
    )
    one.worker("w1")
    one.beat()
    chordal = one.chordal()
    goal = chordal.submit(
        {"nodes": [{"id": "a", "kind": "task", "call": "tasks.add", "inputs": {"x": 2, "y": 3}}, {"id": "b"}]}
    )
    until(lambda: chordal.summary(goal).terminal, 30, f"the end {chordal.status(goal)}")
    status = chordal.status(goal)
    assert status.nodes["a"].output == 5, json.dumps(status.as_json())
    assert status.nodes["b"].state is NodeState.DONE


def test_celerys_own_time_limit_fails_the_node(fleet: Callable[..., Fleet]) -> None:
    """A hard limit is reported by the worker's main process, which did not claim the node."""
    slow = TUTORIAL.replace("def add(x, y):", "def add(x, y):\n    import time; time.sleep(30)")
    one = fleet({"mine.py": slow}, CHORDAL_IMPORTS="mine")
    one.worker("w1", slots=1)
    one.beat()
    chordal = one.chordal()
    call = {"id": "a", "kind": "task", "call": "mine.add", "inputs": {"x": 1, "y": 2}, "timeout_seconds": 1}
    goal = chordal.submit({"nodes": [call]})
    until(lambda: chordal.summary(goal).terminal, 30, f"the end {chordal.status(goal)}")
    assert "TimeLimitExceeded" in (chordal.status(goal).nodes["a"].error or "")
    assert chordal.status(goal).nodes["a"].attempt == 1


def test_an_existing_canvas_runs_durably(fleet: Callable[..., Fleet]) -> None:
    more = (
        TUTORIAL
        + """
@app.task
def total(numbers):
    return sum(numbers)
"""
    )
    one = fleet({"mine.py": more}, CHORDAL_IMPORTS="mine")
    one.worker("w1")
    one.beat()
    chordal = one.chordal()
    app: Any = Celery("mine", set_as_current=False)

    def add(*args: int) -> Any:
        return app.signature("mine.add", args)

    plain: Any = chain
    total = app.signature("mine.total")
    canvas = plain(add(1, 2), chord([plain(add(10), add(100)), add(20)], total), add(1000))
    goal = chordal.submit(from_canvas(canvas))
    until(lambda: chordal.summary(goal).terminal, 40, f"the end {chordal.status(goal)}")
    outputs = [node.output for node in chordal.status(goal).nodes.values()]
    assert sorted(outputs) == sorted([3, 13, 113, 23, 136, 1136]), chordal.status(goal)


def test_an_unknown_task_fails_with_where_it_was_looked_for(fleet: Callable[..., Fleet]) -> None:
    one = fleet({"mine.py": TUTORIAL}, CHORDAL_IMPORTS="mine")
    one.worker("w1")
    one.beat()
    chordal = one.chordal()
    goal = chordal.submit({"nodes": [{"id": "a", "kind": "task", "call": "mine.ad", "inputs": {"x": 2}}]})
    until(lambda: chordal.summary(goal).terminal, 30, f"the end {chordal.status(goal)}")
    error = chordal.status(goal).nodes["a"].error or ""
    assert "no Celery task 'mine.ad'" in error
    assert "mine.add" in error


RETRIES = """
from celery import Celery
from celery.exceptions import Ignore
app = Celery("mine", broker="pyamqp://guest@nowhere//")

@app.task(bind=True, ignore_result=True, max_retries=3)
def later(self, path):
    with open(path, "a") as file: file.write("x")
    if self.request.retries == 0: raise self.retry(countdown=1)

@app.task
def ignored():
    raise Ignore()
"""


def test_tasks_that_celery_tells_no_backend_of_do_not_hang(fleet: Callable[..., Fleet]) -> None:
    one = fleet({"mine.py": RETRIES}, CHORDAL_IMPORTS="mine")
    one.worker("w1")
    one.beat()
    chordal = one.chordal()
    path = one.folder / "later"
    nodes = [
        {"id": "later", "kind": "task", "call": "mine.later", "inputs": {"path": str(path)}},
        {"id": "ignored", "kind": "task", "call": "mine.ignored"},
    ]
    goal = chordal.submit({"nodes": nodes})
    until(lambda: chordal.summary(goal).terminal, 30, f"the end {chordal.status(goal)}")
    status = chordal.status(goal)
    assert status.nodes["later"].state is NodeState.DONE, status
    assert path.read_text() == "xx", "its own retry, after its own countdown"
    assert "ended with IGNORED" in (status.nodes["ignored"].error or "")
