"""Words for patches of a plan."""

from __future__ import annotations

from typing import Any


def edge(source: str, target: str, **fields: Any) -> dict[str, Any]:
    """An edge as a patch writes it."""
    return {"source": source, "target": target, **fields}
