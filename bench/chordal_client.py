"""Chordal with its default handler, and with a registered function."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

from bench.client import LIMIT_SECONDS, Plan, Rows
from bench.graphs import chain, dag, document, fan
from orchestrator.domain.states import GOAL_TERMINAL, GoalState, NodeState
from orchestrator.wiring import Chordal, connect

POLL_SECONDS: Final = 0.002
FLEET_SECONDS: Final = 2.1
"""Workers read the number of slots again after two seconds; figures from before would be of a fleet of unknown size."""


class ChordalClient:
    """Each graph as two goals."""

    def __init__(self) -> None:
        self._chordal = connect()

    def first(self) -> None:
        """A goal of one node."""
        run_goal(self._chordal, document(chain(1)))

    def settle(self) -> None:
        """Until beat has counted the slots, and the workers have read that."""
        end = time.monotonic() + 20
        while self._chordal.store.fleet.slots() is None and time.monotonic() < end:
            time.sleep(0.05)
        time.sleep(FLEET_SECONDS)

    def rows(self, plan: Plan) -> Rows:
        """Workload by workload, the two ways beside each other."""
        made: dict[tuple[str, str], Callable[[], float | None]] = {}
        graphs = {"chain": chain(plan.chain), "fan": fan(plan.fan), "dag": dag(plan.dag, plan.layers)}
        for workload, graph in graphs.items():
            for row, call in (("chordal", None), ("chordal @node", "bench.nodes:noop")):
                made[row, workload] = partial(run_goal, self._chordal, document(graph, call))
        return made


def run_goal(chordal: Chordal, goal: Mapping[str, Any], poll: float = POLL_SECONDS) -> float:
    """Run a goal to its end; returns the seconds from its start to its last commit, by the server's clock."""
    name = chordal.submit(goal)
    end = time.monotonic() + LIMIT_SECONDS
    while chordal.store.goals.field(name, "state") not in GOAL_TERMINAL:
        if time.monotonic() > end:
            raise TimeoutError(f"{chordal.summary(name)}")
        time.sleep(poll)
    summary = chordal.summary(name)
    if summary.state != GoalState.DONE or summary.counts[NodeState.DONE] != len(goal["nodes"]):
        raise RuntimeError(f"the goal did not complete: {summary}")
    return summary.seconds


@contextmanager
def opened() -> Iterator[ChordalClient]:
    """A client of the server that the environment names."""
    yield ChordalClient()


def submit_steps(count: int, seconds: float) -> None:
    """The chain of `bench.steps` as a goal."""
    goal = document(chain(count), "bench.nodes:step")
    for at, node in enumerate(goal["nodes"]):
        node["inputs"] = {"at": at, "seconds": seconds}
    connect().submit(goal)
