"""Streams of a goal: how they are read, and the one with the pieces of models' answers."""

from __future__ import annotations

import json
from typing import Any, Final

from orchestrator.domain.lease import Lease
from orchestrator.store.keys import Keys

KEPT: Final = 5000
"""Pieces of a goal."""
KEPT_SECONDS: Final = 3600
_LONGEST_MS: Final = 4000


def read_stream(client: Any, key: str, after: str, most: int, block_ms: int = 0) -> list[tuple[str, dict[str, str]]]:
    """Entries behind an id, oldest first, waiting up to `block_ms` (at most 4,000) for the first."""
    reply = client.xread({key: after}, count=most, block=min(block_ms, _LONGEST_MS) if block_ms > 0 else None)
    if not reply:
        return []
    entries = next(iter(reply.values()))[0] if isinstance(reply, dict) else reply[0][1]
    return [(str(name), dict(fields)) for name, fields in entries]


class ChunkStore:
    """Pieces of answers while they are written. They are for eyes: the answer is whole with the node's commit."""

    def __init__(self, client: Any, keys: Keys) -> None:
        self._client = client
        self._keys = keys

    def add(self, lease: Lease, call: int, model: str, text: str) -> None:
        """One more piece, of the so-manieth request of a node's call. The latest few thousand of a goal are kept for an hour."""
        key = self._keys.part(lease.goal, "chunks")
        data = json.dumps({"text": text, "model": model, "call": call})
        fields = {
            "type": "node.chunk",
            "node": lease.node,
            "attempt": lease.attempt,
            "token": lease.token,
            "data": data,
        }
        with self._client.pipeline(transaction=False) as pipe:
            pipe.xadd(key, fields, maxlen=KEPT, approximate=True)
            pipe.expire(key, KEPT_SECONDS)
            pipe.execute()

    def read(self, goal: str, after: str, most: int, block_ms: int = 0) -> list[tuple[str, dict[str, str]]]:
        """Pieces behind a stream id, as `read_stream` reads them."""
        return read_stream(self._client, self._keys.part(goal, "chunks"), after, most, block_ms)
