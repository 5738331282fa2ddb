"""A plan for people: as text, as a diagram, as data. One format a file; the same plan gives the same text every time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from orchestrator.compile.plan import Plan
from orchestrator.compile.render.as_json import as_json
from orchestrator.compile.render.as_text import as_text
from orchestrator.compile.render.dot import dot
from orchestrator.compile.render.mermaid import mermaid
from orchestrator.compile.render.svg import svg
from orchestrator.domain.dag import Goal

FORMATS: Final[Mapping[str, Callable[[Plan, Goal], str]]] = {
    "text": as_text,
    "mermaid": mermaid,
    "dot": dot,
    "svg": svg,
    "json": as_json,
}


def render(plan: Plan, goal: Goal, format: str) -> str:
    """The plan of a goal in one of FORMATS, ending in a newline. Raises ValueError for another format.

    dot and json hold everything. text, mermaid and svg stay readable: above 500 nodes they show chains, or layers.
    """
    if format not in FORMATS:
        raise ValueError(f"there is no format {format!r}; there are {', '.join(FORMATS)}")
    return FORMATS[format](plan, goal)
