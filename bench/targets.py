"""What the figures should be, and where they stand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure should be: at most, or at least, a value."""

    what: str
    limit: float
    at_most: bool
    unit: str

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
    "makespan": Target("sleeping nodes on 64 slots, against the lower bound", 1.05, True, "x"),
    "recovery": Target("next step after SIGKILL of the worker", 5, True, "s"),
    "idle": Target("idle fleet", 20, True, "commands/s"),
    "polite": Target("longest wait behind 10,000 tiny nodes, by medians", 1, True, "time slices"),
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
            "unit": self.target.unit,
            "value": self.value,
            "met": self.target.met(self.value),
        }


def standings(document: Mapping[str, Any]) -> list[Standing]:
    """Every target that the results have a figure for; the default handler's rows stand for Chordal."""
    figures = (*_of_rows(document["rows"]), *_of_scales(document["scale"]), *_of_others(document))
    return [Standing(TARGETS[name], value) for name, value in figures]


def _of_rows(rows: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, float]]:
    ours = {row["workload"]: row for row in rows if row["row"] == "chordal"}
    for workload, row in ours.items():
        if workload == "cold":
            yield "cold", row["seconds"]["median"]
            continue
        yield ("chain ms", row["ms_a_node"]) if workload == "chain" else (f"{workload} rate", row["nodes_a_second"])
        if row["ratio"] is not None:
            yield f"{workload} ratio", row["ratio"]


def _of_scales(scales: list[Mapping[str, Any]]) -> Iterator[tuple[str, float]]:
    if not scales:
        return
    last = scales[-1]
    if len(scales) > 1:
        yield "scale", last["cost_against_first"]
    if last["nodes"] == 100_000:
        yield "submit", last["submit"]
    yield "bytes", last["redis_bytes_a_node"]


def _of_others(document: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """The worst of each section: a target is only met where it is met everywhere."""
    if document["makespan"]:
        yield "makespan", max(one["ratio"] for one in document["makespan"])
    kills = [one["next_step"] for one in document["recovery"] if one["system"] == "chordal"]
    if kills:
        yield "recovery", max(float("inf") if kill is None else kill for kill in kills)
    yield from (("idle", one["commands_a_second"]) for one in document["idle"] if one["system"] == "chordal")
    waits = [one["slices"] for one in document["polite"] if one["what"] != "idle"]
    if waits:
        yield "polite", max(waits)
