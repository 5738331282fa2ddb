"""`celery inspect chordal_*` and `celery control chordal_*`, as an operator types them, with each pool."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from support.servers import Fleet, Proc, until

WORK = """
import os, time
from celery import shared_task
from orchestrator import node

@node
def wait_for(path):
    end = time.monotonic() + 30
    while not os.path.exists(path) and time.monotonic() < end:
        time.sleep(0.02)
    return os.getpid()

@shared_task(name="shop.quick")
def quick():
    return 1
"""


def celery(fleet: Fleet, *argv: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "celery", "-A", "orchestrator", *argv]
    return subprocess.run(
        command, cwd=fleet.folder, env=fleet.environment(), capture_output=True, text=True, timeout=60, check=False
    )


def said(fleet: Fleet, *argv: str) -> dict[str, Any]:
    """What the worker w1 answered."""
    done = celery(fleet, *argv, "--json", "--timeout", "20", "--destination", "w1@test")
    assert done.returncode == 0, done.stderr + done.stdout
    answers = json.loads(done.stdout.strip().splitlines()[-1])
    return dict(answers) if isinstance(answers, dict) else {name: one for part in answers for name, one in part.items()}


def busy(fleet: Fleet, goal: str, count: int) -> Callable[[], None]:
    """A goal whose nodes run until what is returned is called; they have begun."""
    gate = fleet.folder / f"{goal}.gate"
    chordal = fleet.chordal()
    nodes = [{"id": f"n{i}", "call": "work:wait_for", "inputs": {"path": str(gate)}} for i in range(count)]
    chordal.submit({"goal_id": goal, "nodes": nodes})
    until(lambda: chordal.summary(goal).counts["RUNNING"] == count, what=f"{count} nodes of {goal} run")  # type: ignore[index]
    return gate.touch


@pytest.mark.parametrize("pool", ["prefork", "threads", "gevent"])
def test_a_worker_is_drained_and_comes_back(fleet: Callable[..., Fleet], pool: str) -> None:
    one = fleet({"work.py": WORK}, CHORDAL_IMPORTS="work")
    one.worker("w1", pool=pool, slots=2)
    one.beat()
    chordal = one.chordal()
    finish = busy(one, "first", 2)

    (held,) = said(one, "inspect", "chordal_leases").values()
    assert sorted((lease["goal"], lease["node"]) for lease in held) == [("first", "n0"), ("first", "n1")]
    assert all(lease["worker"].startswith("w1@test/") and 0 < lease["expires_in"] <= 3 for lease in held)

    assert "takes no new node" in json.dumps(said(one, "control", "chordal_drain", "a new kernel"))
    assert said(one, "inspect", "chordal_status")["w1@test"]["draining"] is True
    assert "already" in json.dumps(said(one, "control", "chordal_drain"))
    chordal.submit({"goal_id": "second", "nodes": [{"id": "a"}, {"id": "t", "kind": "task", "call": "shop.quick"}]})
    finish()
    until(lambda: chordal.summary("first").terminal, what="what runs finishes")
    assert chordal.status("first").state == "DONE"
    (heartbeat,) = chordal.store.fleet.workers()
    assert (heartbeat.worker.draining, heartbeat.worker.slots) == (True, 0)
    (seen,) = [check for check in chordal.doctor() if check.name == "worker w1@test"]
    assert (seen.ok, "drained" in seen.detail, "chordal_undrain" in seen.remedy) == (None, True, True)

    one.worker("w2", pool="threads", slots=2)
    until(lambda: chordal.summary("second").terminal, 30, "another worker does it")
    assert {node.worker.partition("/")[0] for node in chordal.status("second").nodes.values() if node.worker} == {
        "w2@test"
    }

    one.procs[-1].end()
    chordal.submit({"goal_id": "third", "nodes": [{"id": "a"}]})
    assert "again" in json.dumps(said(one, "control", "chordal_undrain", "the kernel is there"))
    until(lambda: chordal.summary("third").terminal, 30, "it takes new nodes again")
    trail = [
        (entry.fields["command"], entry.fields["outcome"], entry.fields["reason"])
        for entry in chordal.store.control.audit()
    ]
    assert trail == [
        ("DRAIN", "drained", "a new kernel"),
        ("DRAIN", "unchanged", ""),
        ("UNDRAIN", "undrained", "the kernel is there"),
    ]


def test_a_lost_connection_does_not_undo_it(fleet: Callable[..., Fleet]) -> None:
    one = fleet()
    worker = one.worker("w1")
    one.beat()
    chordal = one.chordal()
    said(one, "control", "chordal_drain")
    cut(one, worker)
    chordal.submit({"goal_id": "g", "nodes": [{"id": "a"}]})
    until(
        lambda: chordal.store.goals.part("g", "dispatch").get("unanswered:default"), 20, "beat found that nobody came"
    )
    assert chordal.summary("g").counts["READY"] == 1  # type: ignore[index]
    said(one, "control", "chordal_undrain")
    until(lambda: chordal.summary("g").terminal, 30, "it takes new nodes again")


def cut(fleet: Fleet, worker: Proc) -> None:
    """Every connection to Redis is lost; the worker makes new ones."""
    chordal = fleet.chordal()
    chordal.store.client.client_kill_filter(_type="normal")
    chordal.store.client.client_kill_filter(_type="pubsub")
    until(lambda: "w1@test" in said(fleet, "inspect", "ping"), 30, worker.text())


def test_the_policy_says_who_may(fleet: Callable[..., Fleet]) -> None:
    one = fleet(CHORDAL_POLICY="production")
    one.worker("w1")
    answer = json.dumps(said(one, "control", "chordal_drain"))
    assert "celery may not chordal_drain: it needs STOP by the policy (production)" in answer
    assert said(one, "inspect", "chordal_status")["w1@test"]["draining"] is False


def test_the_help_of_celery_lists_them(fleet: Callable[..., Fleet]) -> None:
    one = fleet()
    inspect, control = celery(one, "inspect", "--list").stdout, celery(one, "control", "--list").stdout
    assert "chordal_leases" in inspect
    assert "chordal_status" in inspect
    assert "chordal_drain [reason]" in control
    assert "chordal_undrain [reason]" in control
