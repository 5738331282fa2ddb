"""A DAG on a plain queue, as its users write it by hand: one counter a node of the parents that are still open.

No recovery: a task that is delivered twice counts twice. The counters are in the Redis of the queue.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Any, Final

import redis

from bench.graphs import Graph, children, dag

URL: Final = os.environ.get("BENCH_REDIS_URL", "redis://127.0.0.1:6379/0")


@cache
def _client() -> Any:
    return redis.Redis.from_url(URL, decode_responses=True)


@cache
def _below(nodes: int, layers: int) -> Graph:
    return children(dag(nodes, layers))


def load(nodes: int, layers: int) -> list[str]:
    """Set the counters of the DAG; returns the nodes that can start."""
    graph = dag(nodes, layers)
    with _client().pipeline() as pipe:
        pipe.delete("bench:ended")
        pipe.mset({f"bench:open:{name}": len(parents) for name, parents in graph.items()})
        pipe.set("bench:left", len(graph))
        pipe.execute()
    return [name for name, parents in graph.items() if not parents]


def finish(name: str, nodes: int, layers: int) -> list[str]:
    """A node ended: count its children down; returns those that can start."""
    below = _below(nodes, layers)[name]
    with _client().pipeline() as pipe:
        for child in below:
            pipe.decr(f"bench:open:{child}")
        pipe.decr("bench:left")
        counts = pipe.execute()
    if counts[-1] == 0:
        _client().lpush("bench:ended", 1)
    return [child for child, left in zip(below, counts, strict=False) if left == 0]


def wait(seconds: float) -> None:
    """Until the last node has ended. Raises TimeoutError."""
    if _client().brpop("bench:ended", timeout=seconds) is None:
        raise TimeoutError(f"the DAG did not end within {seconds:g} s")
