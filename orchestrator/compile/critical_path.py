"""The critical path: the nodes that, taken together, are why a run takes as long as it does (Kelley and Walker, 1959)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

from orchestrator.domain import graph

if TYPE_CHECKING:
    from orchestrator.compile.plan import Plan


@dataclass(frozen=True, slots=True)
class CriticalPath:
    """A path that bounds the makespan, and how far every node is from being on one."""

    nodes: tuple[str, ...]
    length: float
    """Seconds, or nodes when no durations were given."""
    slack: Mapping[str, float]
    """How much later each node may end without the goal ending later, all else equal: 0 on the path. Where a join needs
    only some of its parents this is a lower bound, since another parent could stand in for a late one."""


def critical_path(plan: Plan, durations: Mapping[str, float] | None = None) -> CriticalPath:
    """The critical path of a plan when every edge fires and there are workers enough.

    `durations` are seconds by node id; a node without an entry counts 0 (it was skipped, say). Without durations every
    node counts 1. A join of k is passed when the k-th of its parents ends.
    """
    parents = graph.predecessors(plan.order, ((edge.source, edge.target) for edge in plan.dag.edges))
    need = {chord.body: chord.need for chord in plan.chords}
    return longest_path(plan.order, parents, need, durations)


def longest_path(
    order: Sequence[str],
    parents: Mapping[str, Sequence[str]],
    need: Mapping[str, int],
    durations: Mapping[str, float] | None = None,
) -> CriticalPath:
    """The same on bare ids: `order` is topological, `need` says how many parents a node waits for (default: all)."""
    end: dict[str, float] = {}
    waits_for: dict[str, list[str]] = {}
    for node in order:
        # sorted() is stable, so parents that end together keep their order and the path is the same every time.
        awaited = parents[node]
        if len(awaited) > 1:
            awaited = sorted(awaited, key=end.__getitem__)[: need.get(node, len(awaited))]
        waits_for[node] = list(awaited)
        end[node] = (end[awaited[-1]] if awaited else 0.0) + _cost(node, durations)
    length = max(end.values(), default=0.0)
    path: list[str] = []
    last = next((node for node in order if end[node] == length), None)
    while last is not None:
        path.append(last)
        last = waits_for[last][-1] if waits_for[last] else None
    return CriticalPath(tuple(reversed(path)), length, _slack(order, end, waits_for, length))


def _slack(
    order: Sequence[str],
    end: Mapping[str, float],
    waits_for: Mapping[str, Sequence[str]],
    length: float,
) -> dict[str, float]:
    # From gaps between ends, not as latest minus earliest end: so the path's own slack is exactly 0 in floats too.
    slack = dict.fromkeys(order, inf)
    for node in reversed(order):
        slack[node] = min(slack[node], length - end[node])
        start = end[waits_for[node][-1]] if waits_for[node] else 0.0
        for parent in waits_for[node]:
            slack[parent] = min(slack[parent], slack[node] + start - end[parent])
    return slack


def _cost(node: str, durations: Mapping[str, float] | None) -> float:
    return 1.0 if durations is None else durations.get(node, 0.0)
