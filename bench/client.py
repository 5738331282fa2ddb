"""The client of one repetition, a process of its own: first node, warm-up, then every workload; one JSON line a figure.

    python -m bench.client chordal '{"chain": 200, ...}' 1700000000.0

The last argument is when the system's processes were started, seconds since the epoch.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Final, Protocol

from bench.graphs import Graph, chain, dag, document, fan
from orchestrator.domain.states import GoalState, NodeState

LIMIT_SECONDS: Final = 300.0
POLL_SECONDS: Final = 0.002
FLEET_SECONDS: Final = 2.1
"""Workers read the number of slots again after two seconds; figures from before would be of a fleet of unknown size."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Sizes of the workloads, and how often each is measured after its warm-up."""

    chain: int = 200
    fan: int = 1000
    dag: int = 1000
    layers: int = 20
    rounds: int = 3

    def nodes(self, workload: str) -> int:
        """How many nodes a workload has."""
        return {"chain": self.chain, "fan": self.fan + 1, "dag": self.dag, "cold": 1}[workload]


@dataclass(frozen=True, slots=True)
class Figure:
    """One measurement. Seconds from the call of the client to the moment it knew of the end."""

    row: str
    workload: str
    nodes: int
    seconds: float
    run_seconds: float | None = None
    """From the first moment the goal could run to its last commit, by the server's clock; without submission."""


class Client(Protocol):
    """One system, seen from a program that uses it. Every method ends when the work has ended."""

    def first(self) -> None:
        """One node, right after the start."""

    def settle(self) -> None:
        """Wait until the fleet is as it will stay."""

    def rows(self, plan: Plan) -> Mapping[tuple[str, str], Callable[[], float | None]]:
        """(row, workload) to what runs it once."""


class ChordalClient:
    """Chordal with its default handler, and with a registered function."""

    def __init__(self) -> None:
        from orchestrator.wiring import connect

        self._chordal = connect()

    def first(self) -> None:
        """A goal of one node."""
        self._run(document(chain(1)))

    def settle(self) -> None:
        """Until beat has counted the slots, and the workers have read that."""
        end = time.monotonic() + 20
        while self._chordal.store.fleet.slots() is None and time.monotonic() < end:
            time.sleep(0.05)
        time.sleep(FLEET_SECONDS)

    def rows(self, plan: Plan) -> Mapping[tuple[str, str], Callable[[], float | None]]:
        """Each graph as two goals."""
        made: dict[tuple[str, str], Callable[[], float | None]] = {}
        for workload, graph in _graphs(plan).items():
            for row, call in (("chordal", None), ("chordal @node", "bench.nodes:noop")):
                goal = document(graph, call)
                made[row, workload] = partial(self._run, goal)
        return made

    def _run(self, goal: Mapping[str, Any]) -> float:
        chordal = self._chordal
        name = chordal.submit(goal)
        end = time.monotonic() + LIMIT_SECONDS
        while chordal.store.goals.field(name, "state") not in ("DONE", "FAILED", "CANCELLED"):
            if time.monotonic() > end:
                raise TimeoutError(f"{chordal.summary(name)}")
            time.sleep(POLL_SECONDS)
        summary = chordal.summary(name)
        if summary.state != GoalState.DONE or summary.counts[NodeState.DONE] != len(goal["nodes"]):
            raise RuntimeError(f"the goal did not complete: {summary}")
        return summary.seconds


class CeleryClient:
    """Plain Celery: chain, chord, and counters by hand."""

    def __init__(self) -> None:
        from bench import celery_peer

        self._peer = celery_peer

    def first(self) -> None:
        """One task with its result."""
        self._peer.noop.delay().get(timeout=LIMIT_SECONDS)

    def settle(self) -> None:
        """Nothing to wait for."""

    def rows(self, plan: Plan) -> Mapping[tuple[str, str], Callable[[], float | None]]:
        """Each workload once."""
        return {
            ("celery", "chain"): lambda: self._chain(plan.chain),
            ("celery", "fan"): lambda: self._chord(plan.fan),
            ("celery", "dag"): lambda: self._dag(plan.dag, plan.layers),
        }

    def _chain(self, nodes: int) -> None:
        from celery import chain as canvas

        canvas(*[self._peer.noop.si() for _ in range(nodes)]).delay().get(timeout=LIMIT_SECONDS)

    def _chord(self, nodes: int) -> None:
        from celery import chord

        chord([self._peer.noop.si() for _ in range(nodes)])(self._peer.noop.si()).get(timeout=LIMIT_SECONDS)

    def _dag(self, nodes: int, layers: int) -> None:
        for name in self._peer.load(nodes, layers):
            self._peer.node.delay(name, nodes, layers)
        self._peer.wait(LIMIT_SECONDS)


CLIENTS: Final[Mapping[str, Callable[[], Client]]] = {"chordal": ChordalClient, "celery": CeleryClient}


def _graphs(plan: Plan) -> Mapping[str, Graph]:
    return {"chain": chain(plan.chain), "fan": fan(plan.fan), "dag": dag(plan.dag, plan.layers)}


def measure(system: str, plan: Plan, started: float) -> Iterator[Figure]:
    """Every figure of one repetition."""
    client = CLIENTS[system]()
    client.first()
    yield Figure(system, "cold", 1, time.time() - started)
    client.settle()
    for (row, workload), run in client.rows(plan).items():
        run()
        for _ in range(plan.rounds):
            begun = time.perf_counter()
            inner = run()
            yield Figure(row, workload, plan.nodes(workload), time.perf_counter() - begun, inner)


def main() -> None:
    """Measure as the arguments say."""
    system, sizes, started = sys.argv[1:]
    for figure in measure(system, Plan(**json.loads(sizes)), float(started)):
        print(json.dumps(asdict(figure)), flush=True)


if __name__ == "__main__":
    main()
