"""The figures beside their targets, as a table and as JSON."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from bench.run import WORKLOADS, Repetition, Row, Spread
from bench.scale import Scale, as_json


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure should be: at most, or at least, a value."""

    what: str
    limit: float
    at_most: bool
    unit: str
    full_size: bool = True
    """It only means something at the full size of the workloads."""

    def met(self, value: float) -> bool:
        """Whether the figure is as good as it should be."""
        return value <= self.limit if self.at_most else value >= self.limit

    def __str__(self) -> str:
        return f"{'≤' if self.at_most else '≥'} {self.limit:,g} {self.unit}"


TARGETS: Final[Mapping[str, Target]] = {
    "chain ms": Target("chain, a hop", 0.4, True, "ms"),
    "chain ratio": Target("chain beside plain Celery", 10, False, "x"),
    "fan rate": Target("fan and join", 5_000, False, "nodes/s"),
    "fan ratio": Target("fan and join beside plain Celery's chord", 12, False, "x"),
    "dag rate": Target("random DAG", 5_000, False, "nodes/s"),
    "dag ratio": Target("random DAG beside hand-written counters", 7, False, "x"),
    "cold": Target("cold process to first node", 1.8, True, "s"),
    "scale": Target("cost of a node, largest goal against 1,000", 1.2, True, "x"),
    "submit": Target("submit 100,000 nodes", 5, True, "s"),
    "bytes": Target("server memory a node at the end", 500, True, "bytes"),
}


@dataclass(frozen=True, slots=True)
class Standing:
    """One target and where it stands."""

    target: Target
    value: float

    def as_json(self) -> dict[str, Any]:
        """The target, the figure and whether it is met."""
        return {
            "what": self.target.what,
            "target": str(self.target),
            "value": self.value,
            "met": self.target.met(self.value),
        }


def standings(rows: Sequence[Row], scales: Sequence[Scale]) -> list[Standing]:
    """Every target that there is a figure for; the default handler's rows stand for Chordal."""
    values = {**dict(_of_rows(rows)), **dict(_of_scales(scales))}
    return [Standing(TARGETS[name], value) for name, value in values.items()]


def _of_rows(rows: Iterable[Row]) -> Iterator[tuple[str, float]]:
    for row in rows:
        if row.row != "chordal":
            continue
        if row.workload == "cold":
            yield "cold", row.seconds.median
            continue
        if row.workload == "chain":
            yield "chain ms", row.ms_a_node
        else:
            yield f"{row.workload} rate", row.nodes_a_second
        if row.ratio is not None:
            yield f"{row.workload} ratio", row.ratio


def _of_scales(scales: Sequence[Scale]) -> Iterator[tuple[str, float]]:
    if not scales:
        return
    last = scales[-1]
    if len(scales) > 1:
        yield "scale", last.ms_a_node / scales[0].ms_a_node
    if last.nodes == 100_000:
        yield "submit", last.submit
    yield "bytes", last.redis_bytes_a_node


def as_document(
    machine: Mapping[str, Any], plan: Mapping[str, Any], repetitions: Sequence[Repetition], rows: Sequence[Row],
    scales: Sequence[Scale],
) -> dict[str, Any]:  # fmt: skip
    """Everything that was measured, raw figures included."""
    return {
        "machine": machine,
        "plan": plan,
        "rows": [row.as_json() for row in rows],
        "scale": as_json(scales) if scales else [],
        "targets": [standing.as_json() for standing in standings(rows, scales)],
        "repetitions": [asdict(repetition) for repetition in repetitions],
    }


def show(
    console: Console, repetitions: Sequence[Repetition], rows: Sequence[Row], scales: Sequence[Scale], sized: bool
) -> None:
    """Print the tables; with `sized`, what the targets say too."""
    if rows:
        console.print(_workloads(rows))
        console.print(_surroundings(repetitions))
    if scales:
        console.print(_scale(scales))
    if sized:
        console.print(_targets(standings(rows, scales)))


def _workloads(rows: Sequence[Row]) -> Table:
    table = Table(title="Workloads: seconds from the client's call to its answer, medians (least to most)")
    for name in ("workload", "system"):
        table.add_column(name)
    for name in ("nodes", "seconds", "ms a node", "nodes/s", "without submission", "x Celery"):
        table.add_column(name, justify="right")
    before = ""
    for row in rows:
        label = WORKLOADS[row.workload] if row.workload != before else ""
        before = row.workload
        ratio = "" if row.ratio is None else f"{row.ratio:.1f}"
        inner = "" if row.run_seconds is None else f"{row.nodes / max(row.run_seconds.median, 0.001):,.0f}/s"
        table.add_row(
            label, row.row, f"{row.nodes:,}", _spread(row.seconds), f"{row.ms_a_node:.3f}", f"{row.nodes_a_second:,.0f}",
            inner, ratio,
        )  # fmt: skip
    return table


def _spread(spread: Spread) -> str:
    return f"{spread.median:.3f} ({spread.least:.3f} to {spread.most:.3f})"


def _surroundings(repetitions: Sequence[Repetition]) -> str:
    parts = []
    for system in dict.fromkeys(repetition.system for repetition in repetitions):
        mine = [repetition for repetition in repetitions if repetition.system == system]
        memory = [one.memory_bytes for one in mine if one.memory_bytes is not None]
        busy = [one.others_busy_cpus for one in mine if one.others_busy_cpus is not None]
        used = f"{statistics.median(memory) / 2**20:.0f} MB with its server" if memory else "memory unknown"
        noise = f"other programs used {statistics.median(busy):.2f} CPUs meanwhile" if busy else "noise unknown"
        parts.append(f"{system}: {used}, {noise}")
    return "; ".join(parts)


def _scale(scales: Sequence[Scale]) -> Table:
    table = Table(title="Scale: random DAGs, 50 nodes a layer; seconds")
    names = (
        "nodes",
        "validate",
        "compile",
        "submit",
        "run",
        "ms a node",
        "cost",
        "bytes a node",
        "scripts a node",
        "commands a node",
    )
    for name in names:
        table.add_column(name, justify="right")
    for scale in scales:
        table.add_row(
            f"{scale.nodes:,}", f"{scale.validate:.2f}", f"{scale.compile:.2f}", f"{scale.submit:.2f}", f"{scale.run:.2f}",
            f"{scale.ms_a_node:.3f}", f"{scale.ms_a_node / scales[0].ms_a_node:.2f}x", f"{scale.redis_bytes_a_node:,.0f}",
            f"{scale.scripts_a_node:.2f}", f"{scale.commands_a_node:.1f}",
        )  # fmt: skip
    return table


def _targets(standing: Sequence[Standing]) -> Table:
    table = Table(title="Targets")
    for name in ("what", "target", "measured", ""):
        table.add_column(name)
    for one in standing:
        met = "[green]met[/]" if one.target.met(one.value) else "[red]not met[/]"
        table.add_row(one.target.what, str(one.target), f"{one.value:,.2f} {one.target.unit}", met)
    return table
