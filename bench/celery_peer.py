"""Plain Celery on the same workloads: chain and chord, and for the DAG what its users write by hand.

The counters are what a queue without DAGs needs at the least: one key a node that counts its open parents down. They have
no recovery: a task that is delivered twice counts twice. The server, its append-only file and late acknowledgement are
Chordal's.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Any, Final

import redis
from celery import Celery

from bench.graphs import Graph, children, dag

URL: Final = os.environ.get("BENCH_REDIS_URL", "redis://127.0.0.1:6379/0")
_BROKER: Final = URL.replace("unix://", "redis+socket://", 1)

app = Celery("bench.celery_peer", broker=_BROKER, backend=_BROKER)
app.conf.update(task_acks_late=True, worker_prefetch_multiplier=4, broker_connection_retry_on_startup=True)


@app.task
def noop(*_: Any) -> None:
    """Do nothing."""


@app.task(ignore_result=True)
def node(name: str, nodes: int, layers: int) -> None:
    """Do nothing, then start what was waiting for this node alone."""
    for ready in finish(name, nodes, layers):
        node.delay(ready, nodes, layers)


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
