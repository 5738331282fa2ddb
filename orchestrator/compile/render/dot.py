"""A plan in Graphviz's language, complete."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from orchestrator.compile.plan import Plan
from orchestrator.compile.render.words import guard, kind, label
from orchestrator.domain.dag import Goal

_SHAPES: Final = {"approval": "hexagon", "wait": "oval", "map": "parallelogram", "goal": "component"}
_STYLES: Final = {"failed": "dashed", "finished": "dotted"}


def dot(plan: Plan, goal: Goal) -> str:
    """A digraph with a box a node and bold lines along the critical path."""
    critical = set(pairwise(plan.critical_path))
    lines = [
        f"digraph {_quoted(goal.goal_id or 'goal')} {{",
        "  rankdir=LR;",
        '  node [shape=box, style=rounded, fontname="Helvetica", fontsize=11];',
        '  edge [fontname="Helvetica", fontsize=9];',
        *_nodes(plan),
    ]
    for edge in plan.dag.edges:
        looks = []
        if said := guard(edge):
            looks += [f"label={_quoted(said)}", f"style={_STYLES.get(edge.on, 'solid')}"]
        if (edge.source, edge.target) in critical:
            looks.append("penwidth=2")
        lines.append(
            f"  {_quoted(edge.source)} -> {_quoted(edge.target)}" + (f" [{', '.join(looks)}];" if looks else ";")
        )
    return "\n".join([*lines, "}"]) + "\n"


def _nodes(plan: Plan) -> Iterator[str]:
    critical = set(plan.critical_path)
    for node in plan.dag.nodes:
        looks = [f"label={_quoted(label(node))}", f"tooltip={_quoted(f'{node.id}: {kind(node)}')}"]
        if shape := _SHAPES.get(kind(node)):
            looks.append(f"shape={shape}")
        if node.id in critical:
            looks.append("penwidth=2")
        yield f"  {_quoted(node.id)} [{', '.join(looks)}];"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
