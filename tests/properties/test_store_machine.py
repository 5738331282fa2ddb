"""The scripts under any order of steps: workers, stale workers, beat and people, on the real store with a simulated clock.

Invariants are those of `support.invariants`: one accepted commit a node, rising tokens, counters that equal a recount,
every open node in exactly one place, no join that waits for what cannot come, an end exactly when nothing is left.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from orchestrator.store.store import Store
from support.crew import Crew
from support.invariants import broken, unknown_keys
from support.sim import TTL_MS, Sim
from support.walk import ENDED, Walk, small_steps

INDEX = st.integers(0, 40)
NEAR = st.one_of(st.just(0), st.just(0), st.integers(0, 3), INDEX)
OUTCOMES = st.sampled_from(["done", "failed", "park", "retry", "release"])
FORMS = st.sampled_from([{}, {"on": "failed"}, {"on": "finished"}, {"when": "== 1"}])


@st.composite
def plans(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """A DAG of up to eight nodes: joins, lanes, queues, edges of every sort."""
    nodes: list[dict[str, Any]] = []
    edges: list[dict[str, Any]] = []
    for index in range(draw(st.integers(1, 8))):
        sources = draw(st.sets(st.integers(0, index - 1), max_size=4)) if index else set()
        edges += [{"source": f"n{source}", "target": f"n{index}", **draw(FORMS)} for source in sorted(sources)]
        node: dict[str, Any] = {"id": f"n{index}"}
        if sources:
            node["join"] = draw(st.one_of(st.just("all"), st.just("any"), st.integers(1, len(sources))))
        if draw(st.integers(0, 4)) == 0:
            node["lane"] = "l"
        if draw(st.integers(0, 4)) == 0:
            node["queue"] = "gpu"
        nodes.append(node)
    return nodes, edges


class StoreMachine(RuleBasedStateMachine):
    """Steps on one goal; `Walk` knows which commit must be accepted."""

    asked = Bundle("asked")
    """A person who is about to cancel: drawn at most once, so that most runs get far."""

    def __init__(self, store: Store, crew: Crew) -> None:
        super().__init__()
        self.store = store
        store.client.flushall()
        self.walk = Walk(Sim(store), crew)

    @initialize(target=asked, plan=plans(), deadline=st.sampled_from([None, None, None, 30]))
    def submit(self, plan: tuple[list[dict[str, Any]], list[dict[str, Any]]], deadline: int | None) -> str:
        nodes, edges = plan
        self.walk.submit(nodes, edges, deadline_seconds=deadline)
        return "cancel"

    @rule(worker=st.integers(0, 2), most=st.integers(1, 4), queue=st.integers(0, 1))
    def claim(self, worker: int, most: int, queue: int) -> None:
        self.walk.claim(worker, most, queue)

    @rule(lease=NEAR, outcome=OUTCOMES, choice=INDEX, most=st.integers(0, 2))
    def commit(self, lease: int, outcome: str, choice: int, most: int) -> None:
        self.walk.commit(lease, outcome, choice, most)

    @rule(lease=NEAR)
    def renew(self, lease: int) -> None:
        self.walk.renew(lease)

    @rule(ms=st.sampled_from([0, 1, 20, 3000, 4000]), lost_limit=st.integers(1, 3))
    def look(self, ms: int, lost_limit: int) -> None:
        self.walk.look(ms, lost_limit)

    @rule()
    def settle(self) -> None:
        self.walk.settle()

    @rule(node=INDEX, outcome=st.sampled_from(["done", "failed", "ready", "retry"]), cause=st.integers(0, 5))
    def wake(self, node: int, outcome: str, cause: int) -> None:
        self.walk.wake(node, outcome, cause)

    @rule()
    def signal(self) -> None:
        self.walk.signal()

    @rule(node=INDEX)
    def begin(self, node: int) -> None:
        self.walk.begin(node)

    @rule(lease=NEAR, items=st.integers(0, 3))
    def expand(self, lease: int, items: int) -> None:
        self.walk.expand(lease, items)

    @rule()
    def pause(self) -> None:
        self.walk.pause()

    @rule()
    def stop(self) -> None:
        self.walk.pause(stop=True)

    @rule()
    def resume(self) -> None:
        self.walk.resume()

    @rule(node=INDEX)
    def hold(self, node: int) -> None:
        self.walk.hold(node)

    @rule()
    def release(self) -> None:
        self.walk.release()

    @rule(node=st.integers(-1, 7), descendants=st.booleans())
    def retry(self, node: int, descendants: bool) -> None:
        self.walk.retry(node, descendants)

    @rule(node=INDEX, dependants=st.sampled_from(["skip", "fail", "rewire"]))
    def drop(self, node: int, dependants: str) -> None:
        self.walk.drop(node, dependants)

    @rule(node=INDEX)
    def edit(self, node: int) -> None:
        self.walk.edit(node)

    @rule(node=st.integers(0, 300), what=st.sampled_from(["add", "rescue", "drop", "link", "cut"]))
    def patch(self, node: int, what: str) -> None:
        self.walk.patch(node, what)

    @rule(_=consumes(asked))
    def cancel(self, _: str) -> None:
        self.walk.cancel()

    @precondition(lambda self: "cancelling" in self.walk.sim.record())
    @rule()
    def go_on_cancelling(self) -> None:
        self.walk.cancel(begin=False)

    @invariant()
    def nothing_is_broken(self) -> None:
        assert broken(self.store, "g") == []

    def teardown(self) -> None:
        """Whatever happened, the goal comes to its end, and then goes without a trace."""
        sim = self.walk.sim
        if not sim.record():
            return
        self.walk.finish()
        assert sim.state in ENDED
        assert broken(self.store, "g") == []
        assert unknown_keys(self.store) == []
        sim.tick(max(TTL_MS))
        assert sim.reap().advice == "remove"
        while self.store.goals.remove("g", now_ms=sim.now) == "more":
            pass
        assert list(self.store.client.scan_iter("*")) == []


def run(store: Store, folder: Path, **how: Any) -> None:
    crew = Crew(store, folder)
    with small_steps(store):
        machine: Any = partial(StoreMachine, store, crew)  # typed as a class, called as a factory
        run_state_machine_as_test(machine, settings=settings(**how))


def test_the_store_keeps_its_invariants(store: Store, tmp_path: Path) -> None:
    run(store, tmp_path, max_examples=100, stateful_step_count=40)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_the_store_keeps_its_invariants_for_long(store: Store, tmp_path: Path) -> None:
    run(store, tmp_path, max_examples=3000, stateful_step_count=100, derandomize=False)
