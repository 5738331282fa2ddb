"""Streams of a goal: how they are read, and the one with the pieces of models' answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from redis.cluster import RedisCluster

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


def read_streams(
    client: Any, after: Mapping[str, str], most: int, block_ms: int = 0
) -> dict[str, list[tuple[str, dict[str, str]]]]:
    """Entries of several streams, each behind its own id, at most `most` of each; as `read_stream` waits for the first.

    Where the streams are on several servers (a Cluster) it does not wait.
    """
    if not after:
        return {}
    if isinstance(client, RedisCluster):
        found = {key: read_stream(client, key, seen, most) for key, seen in after.items()}
        return {key: entries for key, entries in found.items() if entries}
    reply = client.xread(dict(after), count=most, block=min(block_ms, _LONGEST_MS) if block_ms > 0 else None)
    pairs = [(key, groups[0]) for key, groups in reply.items()] if isinstance(reply, dict) else reply or []
    return {str(key): [(str(name), dict(fields)) for name, fields in entries] for key, entries in pairs}


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
