"""A plan as a Mermaid flowchart, for READMEs and notebooks."""

from __future__ import annotations

from typing import Final

from orchestrator.compile.plan import Plan
from orchestrator.compile.render.picture import Arrow, Box, picture
from orchestrator.compile.render.words import clipped
from orchestrator.domain.dag import Goal

MOST_BOXES: Final = 500
MOST_ARROWS: Final = 500
"""Mermaid's own limit, `maxEdges`, unless a page raises it."""

_SHAPES: Final = {
    "approval": ("{{", "}}"),
    "wait": ("([", "])"),
    "map": ("[/", "/]"),
    "goal": ("[[", "]]"),
    "chain": ("[[", "]]"),
    "layer": ("[[", "]]"),
}
_ESCAPES: Final = str.maketrans(
    {"#": "#35;", '"': "#quot;", "<": "#lt;", ">": "#gt;", "&": "#amp;", "`": "#96;", "\\": "#92;"}
)


def mermaid(plan: Plan, goal: Goal) -> str:
    """A flowchart from left to right; the critical path has thick borders."""
    shown = picture(plan, MOST_BOXES, MOST_ARROWS)
    lines = ["flowchart LR"]
    said = "; ".join(part for part in (goal.goal_id, shown.note) if part)
    if said:
        lines.append(f"  %% {said}")
    lines += [_box(index, box) for index, box in enumerate(shown.boxes)]
    lines += [_arrow(arrow) for arrow in shown.arrows]
    critical = [f"n{index}" for index, box in enumerate(shown.boxes) if box.critical]
    if critical:
        lines += ["  classDef critical stroke-width:3px", f"  class {','.join(critical)} critical"]
    return "\n".join(lines) + "\n"


def _box(index: int, box: Box) -> str:
    left, right = _SHAPES.get(box.kind, ("[", "]"))
    return f"  n{index}{left}{_quoted(box.label)}{right}"


def _arrow(arrow: Arrow) -> str:
    line = "-->" if arrow.on == "done" else "-.->"
    said = f"|{_quoted(arrow.label)}|" if arrow.label else ""
    return f"  n{arrow.source} {line}{said} n{arrow.target}"


def _quoted(text: str) -> str:
    # Ids in the chart are n0, n1, ...: words such as `end` in an id would end the chart.
    return f'"{clipped(text, 80).translate(_ESCAPES)}"'
