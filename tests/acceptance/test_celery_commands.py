"""`celery -A orchestrator worker|beat|flower|call|inspect|goal`, as an operator types them."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pytest_celery import (
    CeleryBackendCluster,
    CeleryBrokerCluster,
    CeleryTestSetup,
    CeleryTestWorker,
    CeleryWorkerCluster,
)

from orchestrator.app import broker_url
from orchestrator.domain.states import GoalState
from support.nodes import ProcessNode, redis_nodes
from support.servers import Fleet, Server, until

GOAL = {
    "goal_id": "g1",
    "nodes": [{"id": "a", "title": "A"}, {"id": "b", "title": "B"}],
    "edges": [{"source": "a", "target": "b"}],
}


def celery(fleet: Fleet, *argv: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "celery", "-A", "orchestrator", *argv]
    return subprocess.run(
        command, cwd=fleet.folder, env=fleet.environment(), capture_output=True, text=True, timeout=60, check=False
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def flower_tasks(port: int) -> dict[str, Any]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/tasks", timeout=2) as reply:
            return dict(json.load(reply))
    except OSError:
        return {}


def test_call_submits_and_flower_lists_every_node(fleet: Callable[..., Fleet]) -> None:
    one = fleet(FLOWER_UNAUTHENTICATED_API="true")
    one.worker("w1", "-E")
    one.beat()
    port = free_port()
    one.start("flower", f"--port={port}", "--address=127.0.0.1")
    until(lambda: "w1@test" in json.dumps(flower_workers(port)), 30, "Flower sees the worker")
    called = celery(one, "call", "tasks.goal.submit", "--args", json.dumps([GOAL]))
    assert called.returncode == 0, called.stderr
    chordal = one.chordal()
    until(lambda: goal_state(one) is GoalState.DONE, 30, "DONE")
    assert chordal.status("g1").nodes["a"].output == {"title": "A"}
    seen = until(lambda: {"g1:a:1", "g1:b:1"} <= set(tasks := flower_tasks(port)) and tasks, 20, "both nodes in Flower")
    assert seen["g1:b:1"]["state"] == "SUCCESS", "a node that ran on in another's message is shown too"
    assert "title" not in json.dumps(seen["g1:a:1"]["args"])


def flower_workers(port: int) -> Any:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/workers", timeout=2) as reply:
            return json.load(reply)
    except OSError:
        return {}


def goal_state(fleet: Fleet) -> GoalState | None:
    found = fleet.chordal().list()
    return found[0].state if found else None


def test_inspect_call_and_goal_commands(fleet: Callable[..., Fleet]) -> None:
    one = fleet()
    one.worker("w1")
    one.beat()
    registered = celery(one, "inspect", "registered", "--json")
    assert "tasks.node.run" in registered.stdout
    called = celery(one, "call", "tasks.goal.submit", "--args", json.dumps([GOAL]))
    assert called.returncode == 0
    until(lambda: goal_state(one) is GoalState.DONE, 20, "DONE")
    status = celery(one, "goal", "status", "g1", "--json")
    assert json.loads(status.stdout)["state"] == "DONE", status.stderr
    refused = celery(one, "goal", "status", "nobody", "--json")
    assert refused.returncode == 2
    command = celery(one, "call", "tasks.control.command", "--args", '["pause", "g1"]')
    assert command.returncode == 0
    result = celery(one, "result", command.stdout.strip())
    assert "cannot be paused" in result.stdout + result.stderr
    command = celery(one, "call", "tasks.control.command", "--args", '["pause", "g1"]', "--kwargs", '{"why": "x"}')
    result = celery(one, "result", command.stdout.strip())
    assert "why: there is no such argument (it takes: mode)" in result.stdout + result.stderr
    result = celery(one, "goal", "pause", "g1", "--json")
    assert (result.returncode, json.loads(result.stdout)["code"]) == (2, 409), result.stderr


class Worker(CeleryTestWorker):
    """Our worker, as pytest-celery knows workers."""

    @property
    def worker_name(self) -> str:
        return "w1@pytest"

    @property
    def worker_queue(self) -> str:
        return "default"


@pytest.fixture
def celery_broker_cluster(redis_server: Server) -> CeleryBrokerCluster:
    return CeleryBrokerCluster(redis_nodes(redis_server)[0])


@pytest.fixture
def celery_backend_cluster(redis_server: Server) -> CeleryBackendCluster:
    return CeleryBackendCluster(redis_nodes(redis_server)[1])


@pytest.fixture
def celery_worker_cluster(fleet: Callable[..., Fleet], celery_setup_app: Any) -> Iterator[CeleryWorkerCluster]:
    one = fleet()
    node = ProcessNode("w1@pytest", lambda: one.worker("w1"))
    cluster = CeleryWorkerCluster(Worker(node, celery_setup_app))
    yield cluster
    node.teardown()


@pytest.fixture
def celery_setup_config(redis_server: Server) -> dict[str, Any]:
    from orchestrator.settings import Settings

    url = broker_url(Settings(redis_url=redis_server.url))
    return {"broker_url": url, "result_backend": url}


def test_a_killed_worker_is_restarted_by_pytest_celery(celery_setup: CeleryTestSetup) -> None:
    app, worker = celery_setup.app, celery_setup.worker
    first = app.send_task("tasks.goal.submit", args=({**GOAL, "goal_id": "p1"},), queue="default")
    assert first.get(timeout=20) == "p1"
    worker.kill()
    assert worker.container.status == "exited"
    second = app.send_task("tasks.goal.submit", args=({**GOAL, "goal_id": "p2"},), queue="default")
    worker.restart()
    assert second.get(timeout=30) == "p2"
    worker.assert_log_exists("tasks.node.run")
