"""Real workers, each pool: every line that is logged while a node runs says which, and no log holds a secret."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from orchestrator.app import broker_url
from orchestrator.domain.trace import trace_id
from orchestrator.settings import Settings
from support.servers import Fleet, Server, until

CANARY = "c4nary-that-nobody-may-read"
WORK = f"""
import logging
import structlog
from celery import shared_task
from celery.utils.log import get_task_logger
from orchestrator import current, node, on

log = logging.getLogger("shop")
task_log = get_task_logger(__name__)

@node
def says(x):
    log.info("plain %s", x)
    structlog.get_logger("shop.structured").warning("structured", order=x)
    log.warning("redis://u:{CANARY}@h/0 and password={CANARY}", extra={{"api_key": "{CANARY}"}})
    print("printed")
    return current().trace

@node
def fails():
    raise ValueError("Authorization: Bearer {CANARY}")

@shared_task(name="shop.task")
def task():
    task_log.info("from a task")
    log.info("and again")
    return 1

@on("goal.done", name="ear")
def ear(notice):
    log.info("told of %s", notice.type)
"""


def read(text: str) -> list[dict[str, Any]]:
    """The lines of a log; every one is JSON once the worker has its logging."""
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


@pytest.mark.parametrize("pool", ["prefork", "threads", "gevent"])
def test_every_line_of_a_node_says_whose_it_is(fleet: Callable[..., Fleet], pool: str) -> None:
    one = fleet(
        {"work.py": WORK},
        CHORDAL_IMPORTS="work",
        CHORDAL_LOG_STYLE="json",
        CHORDAL_WEBHOOK_SECRET=CANARY,
        MY_API_KEY=CANARY,
    )
    worker = one.worker("w1", pool=pool)
    beat = one.beat()
    chordal = one.chordal()
    nodes: list[dict[str, Any]] = [{"id": f"n{i}", "call": "work:says", "inputs": {"x": i}} for i in range(6)] + [
        {"id": "t", "kind": "task", "call": "shop.task"},
        {"id": "bad", "call": "work:fails"},
        {"id": "rescue"},
    ]
    chordal.submit({"goal_id": "g", "nodes": nodes, "edges": [{"source": "bad", "target": "rescue", "on": "failed"}]})
    until(lambda: chordal.summary("g").terminal, 30, "the goal ends")
    assert chordal.status("g").state == "DONE"
    until(lambda: "told of goal.done" in worker.text(), what="the callback is called")

    created = chordal.store.goals.field("g", "created")
    trace = trace_id("g", str(created))
    assert chordal.status("g").as_json()["trace"] == trace
    assert chordal.output("g", "n0") == trace
    lines = read(worker.text())
    for text, nodes_said in (
        ("plain", {f"n{i}" for i in range(6)}), ("structured", {f"n{i}" for i in range(6)}),
        ("from a task", {"t"}), ("and again", {"t"}), ("printed", {f"n{i}" for i in range(6)}),
    ):  # fmt: skip
        found = [line for line in lines if str(line["event"]).startswith(text)]
        assert {line.get("node") for line in found} == nodes_said, text
        assert {(line["goal"], line["trace"], line["attempt"]) for line in found} == {("g", trace, 1)}, text
        assert {line["worker"].partition("/")[0] for line in found} == {"w1@test"}
    (told,) = [line for line in lines if line["event"] == "told of goal.done"]
    assert (told["goal"], told["callback"], told["trace"]) == ("g", "ear", trace)
    assert {line["order"] for line in lines if line["event"] == "structured"} == set(range(6))
    assert [line for line in read(beat.text()) if line["logger"].startswith("celery.beat")], "beat's lines are JSON too"
    for log in (worker.text(), beat.text()):
        assert CANARY not in log
    assert "***" in worker.text()


def test_the_concise_style_is_one_line_of_text(fleet: Callable[..., Fleet]) -> None:
    one = fleet({"work.py": WORK}, CHORDAL_IMPORTS="work")
    worker = one.worker("w1")
    one.beat()
    chordal = one.chordal()
    chordal.submit({"goal_id": "g", "nodes": [{"id": "n", "call": "work:says", "inputs": {"x": 5}}]})
    until(lambda: chordal.summary("g").terminal, 30, "the goal ends")
    (line,) = [line for line in worker.text().splitlines() if "plain 5" in line]
    assert " INFO    " in line
    assert "shop: plain 5  goal=g node=n attempt=1 worker=w1@test/" in line


SHOP = """
import logging
from celery import Celery, shared_task
from orchestrator import attach

app = Celery("shop", broker="{broker}")
attach(app)

@app.task(name="shop.task")
def task():
    logging.getLogger("shop").warning("in my own format")
    return 1
"""


def test_an_app_of_your_own_keeps_its_logging(fleet: Callable[..., Fleet], redis_server: Server) -> None:
    broker = broker_url(Settings(redis_url=redis_server.url))
    one = fleet({"shop.py": SHOP.replace("{broker}", broker)})
    worker = one.worker("w2", "-Q", "shop", app="shop")
    one.worker("w1")
    one.beat()
    chordal = one.chordal()
    chordal.submit({"goal_id": "g", "nodes": [{"id": "t", "kind": "task", "call": "shop.task", "queue": "shop"}]})
    until(lambda: chordal.summary("g").terminal, 30, "the goal ends")
    (line,) = [line for line in worker.text().splitlines() if "in my own format" in line]
    assert line.endswith("] in my own format")
    assert ": WARNING/ForkPoolWorker-" in line
