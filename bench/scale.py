"""What a node costs as goals grow: validate, compile, submit and run DAGs of up to 100,000 nodes."""

from __future__ import annotations

import gc
import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from bench.graphs import dag, document
from bench.machine import OthersBusy
from bench.processes import descendants, processes, until
from bench.systems import CHORDAL
from orchestrator.compile import compile as compile_dag
from orchestrator.domain.states import GoalState, NodeState
from orchestrator.domain.validate import read_goal
from orchestrator.settings import Settings
from orchestrator.wiring import Chordal, connect

SIZES: Final = (1_000, 10_000, 100_000)
WIDTH: Final = 50
LIMIT_SECONDS: Final = 900.0
POLL_SECONDS: Final = 0.01
FLEET_SECONDS: Final = 2.1
"""Workers read the number of slots again after two seconds."""


@dataclass(frozen=True, slots=True)
class Scale:
    """One size. Times are seconds."""

    nodes: int
    validate: float
    compile: float
    submit: float
    """From the document to the first invitation: `submit` validates (again, here) and stores."""
    run: float
    """From the start to the last commit, by the server's clock."""
    redis_bytes_a_node: float
    """What the server's memory grew by from before the submission to after the end: records, outputs, history."""
    scripts_a_node: float
    """Scripts that the fleet sent to the server while the goal ran."""
    commands_a_node: float
    """Commands that the server carried out meanwhile, those inside scripts included."""
    commands: Mapping[str, float]
    """The same by command, the most frequent first."""
    others_busy_cpus: float | None

    @property
    def ms_a_node(self) -> float:
        """Milliseconds of the run for each node."""
        return self.run / self.nodes * 1000


def measure(sizes: Sequence[int], tell: Callable[[str], None]) -> list[Scale]:
    """Every size on one fleet and one server. Goals stay: memory that is given back late would count for the next one."""
    with processes() as place:
        CHORDAL.start(place)
        chordal = connect(Settings(redis_url=place.url, data_dir=place.folder / "data"))
        until(lambda: chordal.live_workers() and chordal.store.fleet.slots(), 30, "a worker and a beat")
        time.sleep(FLEET_SECONDS)
        _finish(chordal, chordal.submit(document(dag(10 * WIDTH, 10))), 10 * WIDTH)  # warm
        done = []
        for size in sizes:
            # A small goal is over in a moment, and a moment is noisy: the run of median length stands for it.
            times = max(1, min(5, 20_000 // size))
            measured = sorted((_one(chordal, size) for _ in range(times)), key=lambda scale: scale.run)
            memory = statistics.median(scale.redis_bytes_a_node for scale in measured)
            done.append(replace(measured[times // 2], redis_bytes_a_node=memory))
            tell(f"{size:,} nodes: run {done[-1].run:.2f} s, other programs used {done[-1].others_busy_cpus} CPUs")
        chordal.store.close()
    return done


def _one(chordal: Chordal, size: int) -> Scale:
    written = document(dag(size, size // WIDTH))
    busy = OthersBusy(lambda: descendants(os.getpid()))
    gc.collect()
    watch = _Watch()
    goal = read_goal(written)
    validate = watch.lap()
    compile_dag(goal)
    compiled = watch.lap()
    client = chordal.store.client
    before = _memory(client)
    client.config_resetstat()
    watch.lap()
    name = chordal.submit(written)
    submit = watch.lap()
    stored = calls(client)
    run = _finish(chordal, name, size)
    commands = {command: count - stored.get(command, 0) for command, count in calls(client).items()}
    scripts = commands.get("evalsha", 0) + commands.get("eval", 0)
    after = _memory(client)
    return Scale(
        size, validate, compiled, submit, run, (after - before) / size, scripts / size,
        sum(commands.values()) / size, dict(_most(commands, size)), busy.cpus(),
    )  # fmt: skip


class _Watch:
    """Seconds since the last lap."""

    def __init__(self) -> None:
        self._at = time.perf_counter()

    def lap(self) -> float:
        now = time.perf_counter()
        self._at, passed = now, now - self._at
        return passed


def _finish(chordal: Chordal, name: str, nodes: int) -> float:
    field = chordal.store.goals.field
    ended = (GoalState.DONE, GoalState.FAILED, GoalState.CANCELLED)
    until(lambda: field(name, "state") in ended, LIMIT_SECONDS, f"{name} ends", POLL_SECONDS)
    summary = chordal.summary(name)
    if summary.counts[NodeState.DONE] != nodes:
        raise RuntimeError(f"the goal did not complete: {summary}")
    return summary.seconds


def _memory(client: Any) -> int:
    """Bytes in use without what is only on its way to the file or to a client."""
    info = client.info("memory")
    passing = ("mem_aof_buffer", "mem_clients_normal", "mem_replication_backlog")
    return int(info["used_memory"]) - sum(int(info.get(name, 0)) for name in passing)


def calls(client: Any) -> dict[str, int]:
    """How often the server carried out each command since its counters were set back."""
    stats = client.info("commandstats")
    return {name.removeprefix("cmdstat_"): int(values["calls"]) for name, values in stats.items()}


def _most(commands: Mapping[str, int], size: int) -> Iterator[tuple[str, float]]:
    for name, count in sorted(commands.items(), key=lambda item: -item[1])[:12]:
        yield name, round(count / size, 3)


def as_json(scales: Sequence[Scale]) -> list[dict[str, Any]]:
    """With the cost of a node relative to the smallest size."""
    first = scales[0]
    return [
        {**asdict(scale), "ms_a_node": scale.ms_a_node, "cost_against_first": scale.ms_a_node / first.ms_a_node}
        for scale in scales
    ]
