"""Chordal beside plain Celery: repetitions in turn, each on a server and a fleet of its own, so that noise hits both."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from bench.client import LIMIT_SECONDS, Figure, Plan
from bench.machine import OthersBusy, memory_bytes
from bench.processes import BenchError, Processes, descendants, processes

QUIET: Final = ("--without-mingle", "--without-gossip")
"""Mingle waits a second at the start for other workers; neither system needs one of the two."""


def _chordal(system: Processes) -> None:
    system.celery("orchestrator", "worker", "-c", "2", *QUIET)
    system.celery("orchestrator", "beat")


def _celery(system: Processes) -> None:
    system.celery("bench.celery_peer", "worker", "-c", "2", *QUIET)


SYSTEMS: Final[Mapping[str, Callable[[Processes], None]]] = {"chordal": _chordal, "celery": _celery}
"""How each system's processes are started: two prefork processes, and what else it needs."""


@dataclass
class Repetition:
    """One system once, from a fresh server to its last workload."""

    system: str
    number: int
    figures: list[Figure] = field(default_factory=list)
    memory_bytes: int | None = None
    """Server and fleet after the last workload."""
    others_busy_cpus: float | None = None


def repeat(system: str, number: int, plan: Plan) -> Repetition:
    """Measure one system once. Raises BenchError with the logs when a workload does not complete."""
    done = Repetition(system, number)
    with processes() as place:
        busy = OthersBusy(lambda: descendants(os.getpid()))
        started = time.time()
        SYSTEMS[system](place)
        done.figures = list(_client(place, system, plan, started))
        done.memory_bytes = memory_bytes(place.pids())
        done.others_busy_cpus = busy.cpus()
    return done


def _client(place: Processes, system: str, plan: Plan, started: float) -> Iterator[Figure]:
    command = [sys.executable, "-m", "bench.client", system, json.dumps(asdict(plan)), repr(started)]
    try:
        ended = subprocess.run(
            command, cwd=place.folder, env=place.environment(), capture_output=True, text=True,
            timeout=2 * LIMIT_SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise BenchError(f"{system} did not get through its workloads") from None
    if ended.returncode:
        raise BenchError(f"the client of {system} failed:\n{ended.stderr[-3000:]}")
    for line in ended.stdout.splitlines():
        yield Figure(**json.loads(line))


def interleaved(plan: Plan, repetitions: int, tell: Callable[[str], None]) -> list[Repetition]:
    """Every system in turn, the order reversed each time."""
    done = []
    names = list(SYSTEMS)
    for number in range(repetitions):
        for system in names if number % 2 == 0 else reversed(names):
            done.append(repeat(system, number, plan))
            tell(f"{system} {number + 1} of {repetitions}, other programs used {done[-1].others_busy_cpus} CPUs")
    return done


@dataclass(frozen=True, slots=True)
class Spread:
    """Several measurements of one thing, seconds."""

    median: float
    least: float
    most: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of one measurement or more."""
        return cls(statistics.median(values), min(values), max(values), len(values))


@dataclass(frozen=True, slots=True)
class Row:
    """One workload on one system."""

    workload: str
    row: str
    nodes: int
    seconds: Spread
    run_seconds: Spread | None
    ratio: float | None
    """How many times plain Celery's median this system is as fast."""

    @property
    def ms_a_node(self) -> float:
        """Milliseconds from the client's call to its answer, divided by the nodes."""
        return self.seconds.median / self.nodes * 1000

    @property
    def nodes_a_second(self) -> float:
        """The same, the other way round."""
        return self.nodes / self.seconds.median

    def as_json(self) -> dict[str, Any]:
        """With what follows from the measurements."""
        return {**asdict(self), "ms_a_node": self.ms_a_node, "nodes_a_second": self.nodes_a_second}


def rows(repetitions: Sequence[Repetition], peer: str = "celery") -> list[Row]:
    """Medians, spreads and ratios, workload by workload."""
    by: dict[tuple[str, str], list[Figure]] = defaultdict(list)
    for repetition in repetitions:
        for figure in repetition.figures:
            by[figure.workload, figure.row].append(figure)
    made = []
    for (workload, row), figures in sorted(by.items(), key=lambda item: list(WORKLOADS).index(item[0][0])):
        seconds = Spread.of([figure.seconds for figure in figures])
        inner = [figure.run_seconds for figure in figures if figure.run_seconds is not None]
        beside = by.get((workload, peer), [])
        ratio = statistics.median(figure.seconds for figure in beside) / seconds.median if beside else None
        spread = Spread.of(inner) if inner else None
        made.append(Row(workload, row, figures[0].nodes, seconds, spread, None if row == peer else ratio))
    return made


WORKLOADS: Final = {
    "chain": "(a) chain",
    "fan": "(b) fan and join",
    "dag": "(c) random DAG",
    "cold": "(d) cold process to first node",
}
