"""Systems beside each other: repetitions in turn, each on a server and a fleet of its own, so that noise hits all."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from threading import Timer
from typing import Any, Final

from bench.client import END, LIMIT_SECONDS, Figure, Plan
from bench.install import interpreter
from bench.machine import OthersBusy, memory_bytes, resident_bytes
from bench.processes import BenchError, Processes, descendants, processes
from bench.systems import System


@dataclass
class Repetition:
    """One system once, from a fresh server to its last workload."""

    system: str
    number: int
    figures: list[Figure] = field(default_factory=list)
    memory_bytes: int | None = None
    """Everything that runs after the last workload, client and server included; shared pages counted once (PSS)."""
    resident_bytes: int | None = None
    """The same with shared pages counted in every process (RSS)."""
    others_busy_cpus: float | None = None


def repeat(system: System, number: int, plan: Plan) -> Repetition:
    """Measure one system once. Raises BenchError with the logs when a workload does not complete."""
    done = Repetition(system.name, number)
    with processes(system.server, interpreter(system)) as place:
        busy = OthersBusy(lambda: descendants(os.getpid()))
        started = time.time()
        system.start(place)
        for figure in _client(place, system, plan, started):
            done.figures.append(figure)
        done.memory_bytes = memory_bytes(place.pids())
        done.resident_bytes = resident_bytes(place.pids())
        done.others_busy_cpus = busy.cpus()
    return done


def _client(place: Processes, system: System, plan: Plan, started: float) -> Iterator[Figure]:
    """What the client says, up to its last line; it waits there until `place` ends it."""
    argv = (str(place.python), "-m", "bench.client", system.client, json.dumps(asdict(plan)), repr(started))
    client = place.start("client", *argv, stdin=subprocess.PIPE)
    watchdog = Timer(2 * LIMIT_SECONDS, client.kill)
    watchdog.start()
    try:
        for line in client.stdout or ():
            # Libraries may print: a line that is not ours goes by.
            if line.startswith(b"{"):
                yield Figure(**json.loads(line))
            elif line.strip() == json.dumps(END).encode():
                return
    finally:
        watchdog.cancel()
    code = client.wait()
    said = place.log("client").read_text(errors="replace").strip().splitlines() or ["it said nothing"]
    raise BenchError(f"the client of {system.name} ended with {code} before it was through: {said[-1]}")


def interleaved(
    systems: Sequence[System], plan: Plan, repetitions: int, tell: Callable[[str], None],
    keep: Callable[[Repetition], None], lost: Callable[[str, str], None],
) -> None:  # fmt: skip
    """Every system in turn, the order reversed each time. A system that fails is `lost`, and not tried again."""
    left = list(systems)
    for number in range(repetitions):
        for system in left[:] if number % 2 == 0 else left[::-1]:
            try:
                done = repeat(system, number, plan)
            except Exception as error:  # whatever a system does, the others go on
                lost(system.name, f"repetition {number + 1} of {repetitions}: {error}")
                left.remove(system)
                continue
            keep(done)
            tell(f"{system.name} {number + 1} of {repetitions}, other programs used {done.others_busy_cpus} CPUs")


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
    """How many times as fast as plain Celery this system is, by the medians."""
    chordal_ratio: float | None
    """How many times as fast as this system Chordal with its default handler is, by the medians."""

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


def rows(repetitions: Sequence[Repetition]) -> list[Row]:
    """Medians, spreads and ratios, workload by workload, in the order in which they were measured."""
    by: dict[tuple[str, str], list[Figure]] = defaultdict(list)
    for repetition in repetitions:
        for figure in repetition.figures:
            by[figure.workload, figure.row].append(figure)
    medians = {key: statistics.median(figure.seconds for figure in figures) for key, figures in by.items()}
    made = []
    for (workload, row), figures in sorted(by.items(), key=lambda item: list(WORKLOADS).index(item[0][0])):
        seconds = Spread.of([figure.seconds for figure in figures])
        inner = [figure.run_seconds for figure in figures if figure.run_seconds is not None]
        celery, ours = medians.get((workload, "celery")), medians.get((workload, "chordal"))
        made.append(
            Row(
                workload, row, figures[0].nodes, seconds, Spread.of(inner) if inner else None,
                celery / seconds.median if celery and row != "celery" else None,
                seconds.median / ours if ours and not row.startswith("chordal") else None,
            )
        )  # fmt: skip
    return made


WORKLOADS: Final = {
    "chain": "(a) chain",
    "fan": "(b) fan and join",
    "dag": "(c) random DAG",
    "cold": "(d) cold process to first node",
}
