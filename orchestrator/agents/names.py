"""Names of the nodes that an agent's steps add."""

from __future__ import annotations

import hashlib
from typing import Final

_LONGEST: Final = 64


def child_name(node: str, part: str) -> str:
    """`<node>.<part>`, shortened by a hash where that is too long for an id; `part` is `t<turn>.<call>` and the like."""
    name = f"{node}.{part}"
    if len(name) <= _LONGEST:
        return name
    digest = hashlib.sha256(node.encode()).hexdigest()[:12]
    return f"{node[: _LONGEST - len(part) - 14]}-{digest}.{part}"
