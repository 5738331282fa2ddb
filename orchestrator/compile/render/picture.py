"""What a diagram shows of a plan: its nodes while there are few, else its chains, else its layers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from orchestrator.compile.plan import Plan
from orchestrator.compile.render.words import count, guard, kind, label, shortened


@dataclass(frozen=True, slots=True)
class Box:
    """One shape of a diagram."""

    label: str
    kind: str
    """A node's kind, or ``chain`` or ``layer``."""
    nodes: tuple[str, ...]
    """The ids of the nodes that it stands for."""
    about: str
    """One line more, for a tooltip."""
    critical: bool
    """Whether one of its nodes is on the critical path."""


@dataclass(frozen=True, slots=True)
class Arrow:
    """One line of a diagram, between boxes by their places in it; it always points to a later box."""

    source: int
    target: int
    on: str = "done"
    label: str = ""
    critical: bool = False


@dataclass(frozen=True, slots=True)
class Picture:
    """Boxes in topological order, and the arrows between them."""

    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    note: str
    """What was drawn together, if anything was."""


def picture(plan: Plan, boxes: int, arrows: int) -> Picture:
    """The most detailed picture of a plan with at most so many boxes and arrows."""
    if len(plan.order) <= boxes and len(plan.dag.edges) <= arrows:
        return _of_nodes(plan)
    between = len(plan.links) + sum(len(chord.header) for chord in plan.chords)
    if len(plan.chains) <= boxes and between <= arrows:
        return _of_chains(plan)
    return _of_layers(plan, boxes)


def _of_nodes(plan: Plan) -> Picture:
    nodes = {node.id: node for node in plan.dag.nodes}
    place = {name: index for index, name in enumerate(plan.order)}
    path, steps = set(plan.critical_path), set(pairwise(plan.critical_path))
    boxes = []
    for name in plan.order:
        node = nodes[name]
        join = f", waits for {node.join} of its parents" if node.join != "all" else ""
        about = f"{name}: {kind(node)}{f' {node.call}' if node.call else ''}, rank {plan.rank[name]}{join}"
        boxes.append(Box(label(node), kind(node), (name,), about, name in path))
    arrows = [
        Arrow(place[edge.source], place[edge.target], edge.on, guard(edge), (edge.source, edge.target) in steps)
        for edge in plan.dag.edges
    ]
    return Picture(tuple(boxes), tuple(arrows), "")


def _of_chains(plan: Plan) -> Picture:
    path = set(plan.critical_path)
    boxes = [
        Box(_span(chain.nodes), "chain", chain.nodes, shortened(chain.nodes, " -> "), not path.isdisjoint(chain.nodes))
        for chain in plan.chains
    ]
    note = f"{count(len(plan.order), 'node')} drawn as {count(len(boxes), 'chain')}"
    return Picture(tuple(boxes), tuple(_between_chains(plan)), note)


def _between_chains(plan: Plan) -> Iterator[Arrow]:
    place = {chain.id: index for index, chain in enumerate(plan.chains)}
    tail = {chain.id: chain.tail for chain in plan.chains}
    steps = set(pairwise(plan.critical_path))
    pairs = [(link.source, link.target) for link in plan.links]
    pairs += [(source, chord.body) for chord in plan.chords for source in chord.header]
    for source, target in pairs:
        ends = tail[source], target
        edge = plan.guards.get(ends)
        on, said = (edge.on, guard(edge)) if edge else ("done", "")
        yield Arrow(place[source], place[target], on, said, ends in steps)


def _of_layers(plan: Plan, boxes: int) -> Picture:
    each = -(-len(plan.layers) // boxes)
    bands = [plan.layers[start : start + each] for start in range(0, len(plan.layers), each)]
    found = []
    for index, band in enumerate(bands):
        first, nodes = index * each + 1, tuple(name for layer in band for name in layer)
        name = f"layer {first:,}" if len(band) == 1 else f"layers {first:,}-{first + len(band) - 1:,}"
        found.append(Box(f"{name}: {count(len(nodes), 'node')}", "layer", nodes, shortened(nodes, ", "), False))
    note = f"{count(len(plan.order), 'node')} drawn as {count(len(plan.layers), 'layer')}"
    return Picture(tuple(found), tuple(Arrow(index, index + 1) for index in range(len(found) - 1)), note)


def _span(nodes: Sequence[str]) -> str:
    return nodes[0] if len(nodes) == 1 else f"{nodes[0]} -> {nodes[-1]} ({len(nodes):,})"
