"""`why` on whatever state a goal can come into: an answer for every node, and the causes fit what is stored."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis.stateful import invariant, run_state_machine_as_test

from orchestrator.domain.errors import GoalNotFound
from orchestrator.domain.states import NodeState
from orchestrator.operate.reason import Cause, Level
from orchestrator.store.fleet import Tick, Worker
from orchestrator.store.store import Store
from properties.test_store_machine import StoreMachine
from support.crew import Crew
from support.walk import small_steps

OF_STATE = {
    NodeState.DONE: {Cause.DONE}, NodeState.FAILED: {Cause.FAILED}, NodeState.SKIPPED: {Cause.SKIPPED},
    NodeState.DROPPED: {Cause.DROPPED}, NodeState.CANCELLED: {Cause.CANCELLED},
    NodeState.RUNNING: {Cause.RUNS, Cause.WORKER_LOST}, NodeState.BLOCKED: {Cause.PARENTS, Cause.LEFT_OVER},
    NodeState.READY: {Cause.PAUSED, Cause.CANCELLING, Cause.LANE, Cause.HELD, Cause.NO_WORKER, Cause.SLOTS, Cause.INVITED,
                      Cause.MESSAGE_LOST},
    NodeState.WAITING: {Cause.PAUSED, Cause.CANCELLING, Cause.BACKOFF, Cause.TIMER, Cause.SIGNAL, Cause.APPROVAL,
                        Cause.ITEMS, Cause.TASK},
}  # fmt: skip
"""What the first reason of a node can be; beat ticks, and one worker serves the default queue."""
GOAL = "g"


class WhyMachine(StoreMachine):
    """Asks why after every step."""

    @invariant()
    def every_node_has_an_answer(self) -> None:
        fleet, view = self.store.fleet, self.walk.crew.wired.operator
        fleet.beat(Worker("w1@a", 7, 4, ("default",), "prefork", 0.0))
        fleet.record_ticks({"reap": Tick(0.01, 1.0, "")})
        try:
            whole = view.why(GOAL)
        except GoalNotFound:
            return
        finally:
            self.store.client.delete(self.store.keys.ticks, self.store.keys.workers)
        json.dumps(whole.as_json())
        assert whole.findings
        if whole.findings[0].reason.cause is Cause.LEFT_OVER:
            front = self.store.look.front(GOAL, 10)
            assert (front.ready, front.waiting, front.running) == ((), (), ())
        for node in self.store.goals.part(GOAL, "nodes"):
            self._one(node)

    def _one(self, node: str) -> None:
        fleet, view = self.store.fleet, self.walk.crew.wired.operator
        fleet.beat(Worker("w1@a", 7, 4, ("default",), "prefork", 0.0))
        fleet.record_ticks({"reap": Tick(0.01, 1.0, "")})
        found = view.why(GOAL, node)
        self.store.client.delete(self.store.keys.ticks, self.store.keys.workers)
        assert found.node is not None
        first = found.findings[0].reason
        assert first.cause in OF_STATE[found.node.state], (node, found.node.state, first)
        assert all(one.reason.remedy for one in found.findings if one.reason.level is Level.BROKEN)


@pytest.mark.timeout(300)
def test_why_answers_in_every_state(store: Store, tmp_path: Path) -> None:
    machine: Any = partial(WhyMachine, store, Crew(store, tmp_path))  # typed as a class, called as a factory
    with small_steps(store):
        run_state_machine_as_test(machine, settings=settings(max_examples=25, stateful_step_count=20))
