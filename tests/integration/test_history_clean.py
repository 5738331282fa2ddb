"""Goals that went through everything there is are clean, and what the checker then read is not nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.domain.errors import ChordalError
from orchestrator.events.check import check_fleet, examine_goal
from orchestrator.events.violation import INVARIANTS
from orchestrator.store.store import Store
from support.crew import Crew


def flaky(times: int) -> Callable[[], int]:
    """Fails so often, then returns how often it was called."""
    calls = []

    def run() -> int:
        calls.append(1)
        if len(calls) <= times:
            raise RuntimeError(f"call {len(calls)}")
        return len(calls)

    return run


def read(**upstream: Any) -> Any:
    return upstream


def everything(crew: Crew) -> None:
    """Every kind of node, edge and end; `broken` fails the goal, and would succeed when it is tried again."""
    crew.function(lambda item: {"item": item}, "same")
    crew.function(read, "read")
    crew.function(flaky(2), "flaky")
    crew.function(flaky(1), "broken")
    crew.function(lambda: "x" * 100_000, "large")
    nodes: list[Any] = [
        "plain", {"id": "large", "call": "large"}, {"id": "retried", "call": "flaky", "retries": 2, "backoff_seconds": 0},
        {"id": "broken", "call": "broken", "retries": 0}, "after", {"id": "rescue"}, {"id": "always"},
        {"id": "map", "kind": "map", "call": "same", "inputs": {"items": [1, 2, 3]}},
        {"id": "sum", "call": "read", "inputs": {"all": {"from": "map"}, "much": {"from": "large"}}},
        {"id": "timer", "kind": "wait", "inputs": {"seconds": 0}}, {"id": "signal", "kind": "wait", "inputs": {"signal": "s"}},
        {"id": "asks", "kind": "approval"}, {"id": "said", "call": "read", "inputs": {"answer": {"from": "asks"}}},
        {"id": "picked", "join": "any"}, {"id": "two", "join": 2}, {"id": "sub", "kind": "goal", "goal": {"nodes": [{"id": "x"}]}},
        {"id": "theirs", "kind": "task", "call": "theirs"}, "yes", "no",
        *({"id": f"lane{number}", "lane": "l", "call": "read"} for number in range(3)), {"id": "held", "kind": "approval"},
        "dropped",
    ]  # fmt: skip
    edges: list[Any] = [
        ("broken", "after"), {"source": "broken", "target": "always", "on": "finished"},
        {"source": "retried", "target": "rescue", "on": "failed"}, ("map", "sum"), ("large", "sum"), ("asks", "said"),
        ("plain", "picked"), ("asks", "picked"), ("plain", "two"), ("broken", "two"), ("large", "two"),
        {"source": "plain", "target": "yes", "when": "title"}, {"source": "plain", "target": "no", "when": "ghost"},
        ("held", "dropped"),
    ]  # fmt: skip
    crew.submit(nodes, edges, idempotency_key="once", deadline_seconds=1000)


def beat(crew: Crew, *moves: Callable[[], Any]) -> None:
    """Doors, timers, and work until nothing is left to do."""
    for move in (*moves, crew.work, crew.work):
        move()
        crew.work()
        crew.store.goals.hasten(["g"])
        crew.duties.reap()
        crew.work()


def task(crew: Crew) -> None:
    """The user's Celery task runs."""
    outcome, lease, _ = crew.store.nodes.begin("g", "theirs", 1, worker="celery", nonce="n", lease_ms=60_000)
    assert lease is not None, outcome
    crew.committer.commit_for(lease, {"theirs": 1}, None)


@pytest.fixture
def crew(store: Store, tmp_path: Path) -> Crew:
    made = Crew(store, tmp_path, record_digests=True)
    everything(made)
    return made


def clean(store: Store, *partly: str) -> None:
    """No violation; everything but these, LLM permits and commands was checked in full."""
    report = examine_goal(store, "g", retries=3)
    assert report.violations == ()
    assert report.events > 50
    expected = {"I7": "not applicable", "I9": "not applicable"}
    assert {invariant: report.verdict(invariant) for invariant in INVARIANTS} == dict.fromkeys(
        INVARIANTS, "ok"
    ) | expected
    assert set(report.notes) == {"I7", "I9", "I10", *partly}
    assert check_fleet(store, alone=True) == []


def test_a_goal_that_was_patched_paused_answered_and_retried_is_clean(crew: Crew, store: Store) -> None:
    clean_so_far = examine_goal(store, "g")
    assert clean_so_far.violations == ()
    beat(
        crew,
        lambda: crew.control.pause("g"),
        lambda: crew.control.resume("g"),
        lambda: crew.control.signal("g", "s", {"level": 1}),
        lambda: crew.control.approve("g", "asks"),
        lambda: task(crew),
        lambda: crew.patcher.apply("g", {"drop_nodes": ["dropped"], "add_nodes": [{"id": "new"}],
                                         "add_edges": [{"source": "held", "target": "new"}]}),
        lambda: crew.control.approve("g", "held"),
    )  # fmt: skip
    assert crew.state() == "FAILED", crew.states()
    states = crew.states()
    assert {name: states[name] for name in ("broken", "after", "always", "rescue", "no", "new")} == {
        "broken": "FAILED", "after": "SKIPPED", "always": "DONE", "rescue": "SKIPPED", "no": "SKIPPED", "new": "DONE",
    }  # fmt: skip
    clean(store)
    crew.reopener.retry("g")
    beat(crew)
    assert crew.state() == "DONE", crew.states()
    assert crew.output("after") is not None
    clean(store)
    types = {fields["type"] for _, fields in store.goals.events("g", "0", 10_000)}
    assert {"node.retry", "node.expanded", "node.waiting", "node.woken", "goal.patched", "goal.retried"} <= types


def test_a_goal_that_was_cancelled_on_its_way_is_clean(crew: Crew, store: Store) -> None:
    beat(crew)
    assert crew.state() == "RUNNING"
    crew.control.cancel("g", "enough")
    beat(crew)
    assert crew.state() == "CANCELLED"
    clean(store)


def test_what_cannot_be_changed_any_more_leaves_it_clean(crew: Crew, store: Store) -> None:
    beat(crew)
    with pytest.raises(ChordalError):
        crew.patcher.apply("g", {"drop_nodes": ["plain"]})
    with pytest.raises(ChordalError):
        crew.reopener.retry("g", "plain")
    with pytest.raises(ChordalError):
        crew.control.reject("g", "plain")
    clean(store)
