"""A plan for a terminal: what runs one after the other, what waits for what, and what takes longest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Final

from orchestrator.compile.plan import Chain, Chord, Plan
from orchestrator.compile.render.words import clipped, count, guard, kind, shortened
from orchestrator.domain.dag import Edge, Goal

MOST_NODES: Final = 500
"""Plans with more nodes are summarised."""


def as_text(plan: Plan, goal: Goal) -> str:
    """Every chain on a line with what it waits for, or, for a large plan, its measures."""
    lines = [*_head(plan, goal), "", *(_chains(plan) if len(plan.order) <= MOST_NODES else _measures(plan)), ""]
    lines.append(
        f"critical path, {count(len(plan.critical_path), 'node')}: {shortened(plan.critical_path, ' -> ', 12)}"
    )
    return "\n".join(lines) + "\n"


def _head(plan: Plan, goal: Goal) -> Iterator[str]:
    name = goal.goal_id or "(no goal_id)"
    yield f"goal {name}" + (f": {clipped(' '.join(goal.title.split()), 80)}" if goal.title else "")
    size = f"{count(len(plan.order), 'node')}, {count(len(plan.dag.edges), 'edge')}"
    shape = f"{count(len(plan.chains), 'chain')}, {count(len(plan.chords), 'chord')}"
    width = max(map(len, plan.layers), default=0)
    yield f"{size}: {shape}; {count(len(plan.layers), 'layer')}, up to {width:,} side by side"


def _chains(plan: Plan) -> Iterator[str]:
    number = {chain.id: place for place, chain in enumerate(plan.chains, 1)}
    tail = {chain.id: chain.tail for chain in plan.chains}
    waits = {
        link.target: f"after {number[link.source]}{_said(plan, tail[link.source], link.target)}" for link in plan.links
    }
    waits |= {chord.body: _chord(plan, chord, number, tail) for chord in plan.chords}
    digits = len(str(len(number)))
    for chain in plan.chains:
        line = f"  {number[chain.id]:>{digits}}  {_nodes(chain, plan.guards)}"
        yield line + (f"   <- {waits[chain.id]}" if chain.id in waits else "")


def _nodes(chain: Chain, guards: Mapping[tuple[str, str], Edge]) -> str:
    steps = [chain.id]
    for edge in pairwise(chain.nodes):
        steps.append(f"[{guard(guards[edge])}] {edge[1]}" if edge in guards else edge[1])
    return shortened(steps, " -> ")


def _chord(plan: Plan, chord: Chord, number: Mapping[str, int], tail: Mapping[str, str]) -> str:
    header = [f"{number[source]}{_said(plan, tail[source], chord.body)}" for source in chord.header]
    which = "all" if chord.need == len(header) else "any" if chord.need == 1 else f"any {chord.need}"
    return f"{which} of {shortened(header, ', ')}"


def _said(plan: Plan, source: str, target: str) -> str:
    edge = plan.guards.get((source, target))
    return f" [{guard(edge)}]" if edge else ""


def _measures(plan: Plan) -> Iterator[str]:
    kinds = Counter(kind(node) for node in plan.dag.nodes)
    yield f"  kinds: {', '.join(f'{number:,} {name}' for name, number in kinds.most_common())}"
    longest = max(plan.chains, key=lambda chain: len(chain.nodes))
    yield f"  longest chain, {count(len(longest.nodes), 'node')}: {shortened(longest.nodes, ' -> ')}"
    if plan.chords:
        widest = max(plan.chords, key=lambda chord: len(chord.header))
        yield f"  widest chord: {widest.body} waits for {widest.need:,} of {count(len(widest.header), 'chain')}"
    forks = Counter(link.source for link in plan.links)
    if forks:
        source, number = forks.most_common(1)[0]
        tail = next(chain.tail for chain in plan.chains if chain.id == source)
        yield f"  widest fork: {count(number, 'chain')} follow {tail}"
    if plan.guards:
        yield f"  {count(len(plan.guards), 'edge')} fire otherwise than on plain done"
