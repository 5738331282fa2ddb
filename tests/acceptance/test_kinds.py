"""Every kind of node, every edge and join, with real workers and a real beat."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest

from orchestrator.domain.errors import IllegalTransition, InvalidGoal
from orchestrator.domain.states import GoalState, NodeState
from orchestrator.domain.views import GoalStatus
from orchestrator.wiring import Chordal
from support.servers import Fleet, until

WORK = """
import os, time
from orchestrator import current, node

@node
def add(a, b=0): return a + b

@node
def total(upstream): return sum(upstream.values())

@node
def square(item, plus=0): return item * item + plus

@node
def flaky(path, fails):
    with open(path, "a") as file: file.write("x")
    n = len(open(path).read())
    if n <= fails: raise RuntimeError(f"attempt {n}")
    return {"n": n, "attempt": current().attempt}

@node
def boom(): raise ValueError("boom \\x1b[31m")

@node
def leave(): raise SystemExit(7)

@node
def die(path):
    with open(path, "a") as file: file.write("x")
    if len(open(path).read()) < 2: os._exit(9)
    return "survived"

@node
def poison(): os._exit(9)

@node
def nap(seconds): time.sleep(seconds); return seconds

@node
def spin(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end: pass

@node
def strange(): return {1, object}

@node
def nan(): return float("nan")

@node
def big(n): return "x" * n

@node
def size(text): return len(text)

@node
def bad_item(item):
    if item == 2: raise ValueError("two")
    return item

def secret(): return 1
"""


@pytest.fixture(scope="module")
def running(redis_server: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    folder = tmp_path_factory.mktemp("kinds")
    (folder / "work.py").write_text(WORK)
    fleet = Fleet(redis_server.url, folder, {"CHORDAL_IMPORTS": "work", "CHORDAL_LEASE_SECONDS": "1.5"})
    chordal = fleet.chordal()
    chordal.store.client.flushall()
    fleet.worker(slots=3)
    fleet.beat()
    until(lambda: chordal.live_workers(), what="the worker's heartbeat")
    yield fleet
    fleet.stop()


@pytest.fixture
def chordal(running: Fleet) -> Chordal:
    return running.chordal()


@pytest.fixture
def run(chordal: Chordal) -> Callable[..., GoalStatus]:
    def go(nodes: list[dict[str, Any]], edges: Any = (), seconds: float = 30, **head: Any) -> GoalStatus:
        pairs = [edge if isinstance(edge, dict) else {"source": edge[0], "target": edge[1]} for edge in edges]
        goal = chordal.submit({"nodes": nodes, "edges": pairs, **head})
        until(lambda: chordal.summary(goal).terminal, seconds, f"the end of {goal}: {chordal.status(goal)}")
        return chordal.status(goal)

    return go


def states(status: GoalStatus) -> dict[str, str]:
    return {name: str(node.state) for name, node in status.nodes.items()}


def test_functions_get_their_inputs_and_hand_on_their_outputs(run: Callable[..., GoalStatus]) -> None:
    status = run(
        [
            {"id": "one", "call": "work:add", "inputs": {"a": 1, "b": 2}},
            {"id": "two", "call": "work:add", "inputs": {"a": {"from": "one"}, "b": 10}},
            {"id": "all", "call": "work:total"},
            {"id": "note", "title": "Said"},
        ],
        [("one", "two"), ("one", "all"), ("two", "all")],
    )
    assert status.state is GoalState.DONE
    assert {name: node.output for name, node in status.nodes.items()} == {
        "one": 3, "two": 13, "all": 16, "note": {"title": "Said"},
    }  # fmt: skip


def test_a_map_runs_once_per_item_in_order(run: Callable[..., GoalStatus]) -> None:
    status = run(
        [
            {"id": "list", "kind": "map", "call": "work:square", "inputs": {"items": list(range(40)), "plus": 1}},
            {"id": "empty", "kind": "map", "call": "work:square", "inputs": {"items": []}},
            {
                "id": "sum",
                "call": "work:add",
                "inputs": {"a": {"from": "list", "path": "3"}, "b": {"from": "list", "path": "-1"}},
            },
        ],
        [("list", "sum")],
    )
    assert status.nodes["list"].output == [index * index + 1 for index in range(40)]
    assert status.nodes["empty"].output == []
    assert status.nodes["sum"].output == 10 + 39 * 39 + 1
    assert status.total == 43


def test_a_failed_item_fails_its_map_and_says_which(run: Callable[..., GoalStatus]) -> None:
    status = run([{"id": "m", "kind": "map", "call": "work:bad_item", "inputs": {"items": [1, 2, 3]}}])
    assert status.state is GoalState.FAILED
    assert status.nodes["m"].state is NodeState.FAILED
    assert "m.1: ValueError: two" in (status.nodes["m"].error or "")


def test_edges_fire_by_outcome_and_condition(run: Callable[..., GoalStatus]) -> None:
    status = run(
        [
            {"id": "ok", "call": "work:add", "inputs": {"a": 5}},
            {"id": "bad", "call": "work:boom"},
            {"id": "rescue"}, {"id": "never"}, {"id": "after_never"}, {"id": "cleanup"}, {"id": "high"}, {"id": "low"},
        ],
        [
            {"source": "bad", "target": "rescue", "on": "failed"},
            {"source": "bad", "target": "never"},
            {"source": "never", "target": "after_never"},
            {"source": "after_never", "target": "cleanup", "on": "finished"},
            {"source": "ok", "target": "high", "when": ">= 5"},
            {"source": "ok", "target": "low", "when": "< 5"},
        ],
    )  # fmt: skip
    assert states(status) == {
        "ok": "DONE", "bad": "FAILED", "rescue": "DONE", "never": "SKIPPED", "after_never": "SKIPPED", "cleanup": "DONE",
        "high": "DONE", "low": "SKIPPED",
    }  # fmt: skip
    assert status.state is GoalState.DONE, "the failure was handled by an `on: failed` edge"


@pytest.mark.parametrize(("join", "state"), [("any", "DONE"), (2, "DONE"), (3, "SKIPPED"), ("all", "SKIPPED")])
def test_joins(run: Callable[..., GoalStatus], join: Any, state: str) -> None:
    sources = [{"id": "a"}, {"id": "b"}, {"id": "c", "call": "work:boom"}]
    status = run([*sources, {"id": "j", "join": join}], [("a", "j"), ("b", "j"), ("c", "j")])
    assert states(status)["j"] == state


def test_retries_back_off_and_then_succeed(run: Callable[..., GoalStatus], running: Fleet) -> None:
    inputs = {"path": str(running.folder / "flaky"), "fails": 2}
    status = run([{"id": "f", "call": "work:flaky", "inputs": inputs, "retries": 2, "backoff_seconds": 0.2}])
    assert status.state is GoalState.DONE
    assert status.nodes["f"].output == {"n": 3, "attempt": 3}


def test_failures_say_what_and_where(run: Callable[..., GoalStatus]) -> None:
    status = run(
        [
            {"id": "boom", "call": "work:boom", "retries": 1, "backoff_seconds": 0},
            {"id": "leave", "call": "work:leave"},
            {"id": "unknown", "call": "work:ad"},
            {"id": "unmarked", "call": "work:secret"},
            {"id": "strange", "call": "work:strange"},
            {"id": "nan", "call": "work:nan"},
            {"id": "args", "call": "work:add", "inputs": {"c": 1}},
            {"id": "late", "call": "work:nap", "inputs": {"seconds": 20}, "timeout_seconds": 0.3},
            {"id": "ref", "call": "work:add", "inputs": {"a": {"from": "good", "path": "no.such"}}},
            {"id": "good"},
        ],
        [("good", "ref")],
    )
    errors = {name: node.error or "" for name, node in status.nodes.items()}
    assert status.state is GoalState.FAILED
    assert errors["boom"].startswith("ValueError: boom")
    assert status.nodes["boom"].attempt == 2
    assert "SystemExit: 7" in errors["leave"]
    assert "knows no function 'work:ad' (imported: work" in errors["unknown"]
    assert "did you mean 'work:add'" in errors["unknown"]
    assert "put @node on it" in errors["unmarked"]
    assert "is not JSON" in errors["strange"]
    assert "is not JSON" in errors["nan"]
    assert "unexpected keyword argument 'c'" in errors["args"]
    assert "time limit of 0.3 s" in errors["late"]
    assert "has no member 'no.such'" in errors["ref"]


def test_a_process_that_exits_under_its_node_costs_one_attempt(run: Callable[..., GoalStatus], running: Fleet) -> None:
    status = run([{"id": "d", "call": "work:die", "inputs": {"path": str(running.folder / "die")}}])
    assert status.nodes["d"].output == "survived"
    assert status.nodes["d"].attempt == 2


def test_a_node_that_always_kills_its_worker_becomes_a_dead_letter(run: Callable[..., GoalStatus]) -> None:
    status = run([{"id": "p", "call": "work:poison"}, {"id": "ok"}], seconds=40)
    assert status.state is GoalState.FAILED
    assert status.nodes["p"].reason == "lost"
    assert status.nodes["p"].attempt == 3
    assert "its worker was lost 3 times" in (status.nodes["p"].error or "")
    assert status.nodes["ok"].state is NodeState.DONE


def test_waits_signals_and_approvals_hold_no_worker(chordal: Chordal) -> None:
    goal = chordal.submit(
        {
            "nodes": [
                {"id": "timer", "kind": "wait", "inputs": {"seconds": 0.5}},
                {"id": "word", "kind": "wait", "inputs": {"signal": "go"}},
                {"id": "late", "kind": "wait", "inputs": {"signal": "never"}, "timeout_seconds": 0.5},
                {"id": "yes", "kind": "approval", "title": "Ship it?"},
                {"id": "no", "kind": "approval"},
                {"id": "end", "join": "any"},
                {"id": "second", "kind": "wait", "inputs": {"signal": "go"}},
            ],
            "edges": [{"source": "word", "target": "second"}, {"source": "yes", "target": "end"}],
        }
    )
    until(
        lambda: all(chordal.status(goal).nodes[name].reason == "approval" for name in ("yes", "no")),
        what="parked nodes",
    )
    assert chordal.signal(goal, "go", {"by": "me"}) == "woken"
    assert chordal.approve(goal, "yes", "fine") == "approved"
    assert chordal.reject(goal, "no", "not today") == "rejected"
    with pytest.raises(IllegalTransition, match="waits for no approval"):
        chordal.approve(goal, "yes")
    until(lambda: chordal.summary(goal).terminal, what="the end")
    status = chordal.status(goal)
    assert status.nodes["word"].output == status.nodes["second"].output == {"by": "me"}
    assert status.nodes["yes"].output == {"approved": True, "comment": "fine"}
    assert status.nodes["no"].error == "rejected: not today"
    assert "no answer within 0.5 s" in (status.nodes["late"].error or "")
    assert status.nodes["timer"].state is NodeState.DONE


def test_a_sub_goal_is_a_goal_of_its_own(run: Callable[..., GoalStatus], chordal: Chordal) -> None:
    inner = {
        "nodes": [{"id": "x", "call": "work:add", "inputs": {"a": 4}}, {"id": "y"}],
        "edges": [{"source": "y", "target": "x"}],
    }
    status = run(
        [
            {"id": "sub", "kind": "goal", "goal": inner},
            {"id": "use", "call": "work:add", "inputs": {"a": {"from": "sub", "path": "outputs.x"}}},
            {"id": "bad", "kind": "goal", "goal": {"nodes": [{"id": "z", "call": "work:boom"}]}},
        ],
        [("sub", "use")],
    )
    assert status.nodes["use"].output == 4
    assert "is FAILED" in (status.nodes["bad"].error or "")
    assert chordal.status(f"{status.goal_id}.sub").state is GoalState.DONE


def test_cancel_reaches_running_parked_and_child_nodes(chordal: Chordal) -> None:
    inner = {"nodes": [{"id": "w", "kind": "wait", "inputs": {"signal": "s"}}]}
    nodes = [
        {"id": "nap", "call": "work:nap", "inputs": {"seconds": 1.0}},
        {"id": "wait", "kind": "approval"}, {"id": "sub", "kind": "goal", "goal": inner}, {"id": "after"},
    ]  # fmt: skip
    goal = chordal.submit({"nodes": nodes, "edges": [{"source": "nap", "target": "after"}]})
    until(
        lambda: (
            chordal.summary(goal).counts[NodeState.WAITING] == 2 and chordal.summary(goal).counts[NodeState.RUNNING]
        ),
        what="parked",
    )
    assert chordal.cancel(goal, "enough") == "cancelled"
    status = chordal.status(goal)
    assert status.state is GoalState.CANCELLED
    assert set(states(status).values()) == {"CANCELLED"}
    assert chordal.summary(f"{goal}.sub").state is GoalState.CANCELLED
    until(lambda: any(event.type == "node.fenced" for event in chordal.events(goal)), what="the late commit is fenced")
    assert chordal.cancel(goal) == "ended"
    assert states(chordal.status(goal))["nap"] == "CANCELLED"


def test_pause_lets_running_nodes_finish_and_claims_nothing(chordal: Chordal) -> None:
    goal = chordal.submit(
        {
            "nodes": [{"id": "a", "call": "work:nap", "inputs": {"seconds": 0.5}}, {"id": "b"}],
            "edges": [{"source": "a", "target": "b"}],
        }
    )
    until(lambda: chordal.summary(goal).counts[NodeState.RUNNING], what="a runs")
    assert chordal.pause(goal, "lunch") == "paused"
    assert chordal.pause(goal) == "unchanged"
    until(lambda: chordal.status(goal).nodes["a"].state is NodeState.DONE, what="a is done")
    reaped = chordal.store.fleet.ticks()["reap"]["at_ms"]
    until(lambda: chordal.store.fleet.ticks()["reap"]["at_ms"] > reaped + 1000, what="a beat passes")
    assert chordal.status(goal).nodes["b"].state is NodeState.READY
    assert chordal.resume(goal) == "resumed"
    until(lambda: chordal.summary(goal).terminal, what="the end")


def test_retry_runs_what_failed_and_what_was_skipped(chordal: Chordal, running: Fleet) -> None:
    inputs = {"path": str(running.folder / "again"), "fails": 1}
    nodes = [{"id": "a"}, {"id": "f", "call": "work:flaky", "inputs": inputs}, {"id": "z"}, {"id": "zz"}]
    pairs = [("a", "f"), ("f", "z"), ("z", "zz")]
    goal = chordal.submit({"nodes": nodes, "edges": [{"source": one, "target": two} for one, two in pairs]})
    until(lambda: chordal.summary(goal).state is GoalState.FAILED, what="the failure")
    assert states(chordal.status(goal)) == {"a": "DONE", "f": "FAILED", "z": "SKIPPED", "zz": "SKIPPED"}
    assert chordal.retry(goal, "f") == "retried"
    until(lambda: chordal.summary(goal).state is GoalState.DONE, what="the success")
    status = chordal.status(goal)
    assert set(states(status).values()) == {"DONE"}
    assert status.nodes["a"].attempt == 1
    with pytest.raises(IllegalTransition, match="only a FAILED goal"):
        chordal.retry(goal)


def test_a_patch_changes_a_running_plan_or_nothing(chordal: Chordal) -> None:
    nodes = [{"id": "gate", "kind": "approval"}, {"id": "old"}, {"id": "end"}]
    pairs = [("gate", "old"), ("old", "end")]
    goal = chordal.submit({"nodes": nodes, "edges": [{"source": one, "target": two} for one, two in pairs]})
    until(lambda: chordal.summary(goal).counts[NodeState.WAITING], what="the gate")
    with pytest.raises(InvalidGoal, match="cycle"):
        chordal.patch(goal, {"add_edges": [{"source": "end", "target": "old"}]})
    with pytest.raises(InvalidGoal, match="no node 'nobody'"):
        chordal.patch(goal, {"add_nodes": [{"id": "x"}], "add_edges": [{"source": "nobody", "target": "x"}]})
    assert set(chordal.status(goal).nodes) == {"gate", "old", "end"}
    patch = {
        "add_nodes": [{"id": "new", "call": "work:add", "inputs": {"a": 1}}],
        "add_edges": [{"source": "gate", "target": "new"}, {"source": "new", "target": "end"}],
        "drop_edges": [("old", "end")],
        "drop_nodes": ["old"],
    }
    assert chordal.patch(goal, patch, "a better way") == 2
    chordal.approve(goal, "gate")
    until(lambda: chordal.summary(goal).terminal, what="the end")
    assert states(chordal.status(goal)) == {"gate": "DONE", "old": "DROPPED", "new": "DONE", "end": "DONE"}


def test_large_outputs_travel_by_reference(run: Callable[..., GoalStatus], chordal: Chordal) -> None:
    status = run(
        [
            {"id": "big", "call": "work:big", "inputs": {"n": 200_000}},
            {"id": "size", "call": "work:size", "inputs": {"text": {"from": "big"}}},
        ],
        [("big", "size")],
    )
    assert status.nodes["size"].output == 200_000
    assert status.nodes["big"].output["$ref"]["bytes"] == 200_002
    assert chordal.output(status.goal_id, "big") == "x" * 200_000


def test_lanes_run_one_at_a_time_in_order(run: Callable[..., GoalStatus]) -> None:
    nodes = [{"id": f"n{index}", "call": "work:nap", "inputs": {"seconds": 0.05}, "lane": "row"} for index in range(6)]
    status = run(nodes)
    names = [f"n{index}" for index in range(6)]
    spans = [(node.started or 0.0, node.ended or 0.0) for node in map(status.nodes.__getitem__, names)]
    assert all(one[1] <= two[0] for one, two in pairwise(spans)), spans


def test_a_deadline_ends_the_goal(run: Callable[..., GoalStatus]) -> None:
    status = run([{"id": "w", "kind": "wait", "inputs": {"signal": "x"}}], deadline_seconds=0.5)
    assert status.state is GoalState.FAILED
    assert status.reason == "the deadline has passed"


def test_the_same_key_gives_one_goal(chordal: Chordal) -> None:
    document = {"nodes": [{"id": "a"}], "idempotency_key": "k1"}
    assert chordal.submit(document) == chordal.submit(document)
