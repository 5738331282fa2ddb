"""The graphs that are measured: fixed, so that figures of two runs and of two systems can be compared.

A graph is ``{node: [parents]}`` in topological order.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any, Final

Graph = dict[str, list[str]]

SEED: Final = 20241121
REACH: Final = 3
"""From how many layers above a node takes its parents."""


def chain(nodes: int) -> Graph:
    """One node after the other."""
    return {f"n{at}": [f"n{at - 1}"] if at else [] for at in range(nodes)}


def fan(nodes: int) -> Graph:
    """Independent nodes, and one that joins them all."""
    wide: Graph = {f"n{at}": [] for at in range(nodes)}
    return {**wide, "join": list(wide)}


def dag(nodes: int = 1000, layers: int = 20, seed: int = SEED) -> Graph:
    """A layered random DAG that is not series-parallel, the same on every Python 3.

    Every node below the first layer has two or three parents: the first is in the layer just above, so that the depth is
    `layers`; the others are in the three layers above. `nodes` must be a multiple of `layers`.
    """
    if nodes % layers:
        raise ValueError(f"{nodes} nodes do not make {layers} layers of one width")
    chance = random.Random(seed)
    names = [[f"n{layer:02d}_{at:03d}" for at in range(nodes // layers)] for layer in range(layers)]
    graph: Graph = {name: [] for name in names[0]}
    for layer in range(1, layers):
        above = [name for near in names[max(0, layer - REACH) : layer] for name in near]
        for name in names[layer]:
            graph[name] = _parents(chance, names[layer - 1], above)
    return graph


def _parents(chance: random.Random, just_above: Sequence[str], above: Sequence[str]) -> list[str]:
    want = min(chance.choice((2, 3)), len(above))
    parents = [chance.choice(just_above)]
    while len(parents) < want:
        parent = chance.choice(above)
        if parent not in parents:
            parents.append(parent)
    return parents


def children(graph: Graph) -> Graph:
    """The graph the other way round: ``{node: [children]}``."""
    below: Graph = {name: [] for name in graph}
    for name, parents in graph.items():
        for parent in parents:
            below[parent].append(name)
    return below


def document(graph: Graph, call: str | None = None) -> Mapping[str, Any]:
    """The graph as a goal of nodes that do nothing: the default handler, or a registered function."""
    nodes = [{"id": name} if call is None else {"id": name, "call": call} for name in graph]
    edges = [{"source": parent, "target": name} for name, parents in graph.items() for parent in parents]
    return {"nodes": nodes, "edges": edges}
