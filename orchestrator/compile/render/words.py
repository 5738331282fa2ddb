"""How edges, nodes and long lists are said in one line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from orchestrator.domain.dag import Edge, Firing, Node

_MOST: Final = 8


def label(node: Node) -> str:
    """What a box says: the title on one line, or the id."""
    return " ".join(node.title.split()) or node.id


def kind(node: Node) -> str:
    """The kind that runs; ``plain`` is the default handler."""
    return node.resolved_kind or "plain"


def guard(edge: Edge) -> str:
    """When an edge fires, if not on plain `done`: ``failed``, ``score >= 0.5``, ``finished, ok``. Empty for plain edges."""
    parts = [] if edge.on is Firing.DONE else [edge.on.value]
    if edge.when is not None:
        path = edge.when.path or "output"
        plain = edge.when.op in ("truthy", "exists")
        end = {"truthy": "", "exists": " exists"}.get(edge.when.op)
        parts.append(f"{path}{end}" if plain else f"{path} {edge.when.op} {json.dumps(edge.when.value)}")
    return ", ".join(parts)


def shortened(items: Sequence[str], joint: str, most: int = _MOST) -> str:
    """The items, the middle left out when there are too many of them."""
    if len(items) <= most:
        return joint.join(items)
    head, tail = most - most // 3, most // 3
    return joint.join([*items[:head], f"... {len(items) - head - tail:,} more ...", *items[-tail:]])


def count(number: int, what: str) -> str:
    """``1 chain``, ``2,000 chains``."""
    return f"{number:,} {what}" + ("" if number == 1 else "s")


def clipped(text: str, most: int) -> str:
    """The text, cut to `most` characters with an ellipsis."""
    return text if len(text) <= most else text[: most - 1] + "…"
