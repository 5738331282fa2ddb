"""Nodes that sleep 50 to 500 ms on 64 slots: how far the run is from the shortest that any order could give."""

from __future__ import annotations

import json
import random
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from bench.chordal_client import FLEET_SECONDS, run_goal
from bench.graphs import SEED, Graph, dag, document
from bench.processes import Processes, processes, until
from bench.systems import QUIET
from orchestrator.settings import Settings
from orchestrator.wiring import Chordal, connect

WORKERS: Final = 2
SLOTS: Final = 32
"""Of each worker."""
SHORTEST, LONGEST = 0.05, 0.5
POLL_SECONDS: Final = 0.01


@dataclass(frozen=True, slots=True)
class Makespan:
    """One graph on one pool. Times are seconds."""

    shape: str
    pool: str
    nodes: int
    slots: int
    critical_path: float
    work_a_slot: float
    runs: list[float] = field(default_factory=list)
    """From the start to the last commit, by the server's clock."""

    @property
    def bound(self) -> float:
        """No order is shorter, whoever schedules."""
        return max(self.critical_path, self.work_a_slot)

    @property
    def ratio(self) -> float:
        """The median against the bound."""
        return statistics.median(self.runs) / self.bound

    def as_json(self) -> dict[str, Any]:
        """With what follows from the measurements."""
        return {**asdict(self), "bound": self.bound, "ratio": self.ratio}


@dataclass(frozen=True, slots=True)
class Shape:
    """Nodes and layers of a graph."""

    name: str
    nodes: int
    layers: int


SHAPES: Final = (Shape("wide", 2000, 10), Shape("deep", 1000, 20))
"""The work decides the bound of the first, the critical path that of the second."""
POOLS: Final = ("threads", "gevent")
TIMES: Final = 3
SMALL: Final = (Shape("wide", 200, 2),)
SMALL_POOLS: Final = ("threads",)


def naps(graph: Graph) -> Mapping[str, float]:
    """How long each node sleeps, the same in every run."""
    chance = random.Random(SEED)
    return {name: round(chance.uniform(SHORTEST, LONGEST), 3) for name in graph}


def critical_path(graph: Graph, seconds: Mapping[str, float]) -> float:
    """The longest way through the graph, seconds."""
    end: dict[str, float] = {}
    for name, parents in graph.items():
        end[name] = max((end[parent] for parent in parents), default=0.0) + seconds[name]
    return max(end.values())


def measure(pool: str, shapes: tuple[Shape, ...], times: int, tell: Callable[[str], None]) -> list[Makespan]:
    """Every graph on a fleet of one pool."""
    with processes() as place:
        chordal = _fleet(place, pool)
        run_goal(chordal, document(dag(200, 10), "bench.nodes:noop"))
        done = []
        for shape in shapes:
            graph = dag(shape.nodes, shape.layers)
            seconds = naps(graph)
            work = sum(seconds.values()) / (WORKERS * SLOTS)
            one = Makespan(shape.name, pool, shape.nodes, WORKERS * SLOTS, critical_path(graph, seconds), work)
            for _ in range(times):
                one.runs.append(run_goal(chordal, _goal(graph, seconds), POLL_SECONDS))
            tell(f"{shape.name} on {pool}: {one.ratio:.3f} of its bound of {one.bound:.2f} s")
            done.append(one)
        chordal.store.close()
    return done


def _fleet(place: Processes, pool: str) -> Chordal:
    for number in range(WORKERS):
        place.celery("orchestrator", "worker", "-P", pool, "-c", str(SLOTS), "-n", f"w{number}@%h", *QUIET)
    place.celery("orchestrator", "beat")
    chordal = connect(Settings(redis_url=place.url, data_dir=place.folder / "data"))
    counted = chordal.store.fleet.slots
    until(lambda: sum(json.loads(counted() or "{}").values()) >= WORKERS * SLOTS, 30, "beat counts every slot")
    time.sleep(FLEET_SECONDS)
    return chordal


def _goal(graph: Graph, seconds: Mapping[str, float]) -> Mapping[str, Any]:
    goal = document(graph, "bench.nodes:nap")
    for node in goal["nodes"]:
        node["inputs"] = {"seconds": seconds[node["id"]]}
    return goal
