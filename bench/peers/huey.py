"""huey: a queue in Redis with two worker processes; pipelines, chords, and for the DAG counters by hand."""

# mypy: disable-error-code="import-not-found, untyped-decorator"
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from huey import RedisHuey, group

from bench import counters
from bench.client import LIMIT_SECONDS, Plan, Rows

queue = RedisHuey("bench", url=counters.URL, blocking=True)


@queue.task()
def noop(*_: Any) -> int:
    """Do nothing. Its result is what the client waits for; huey stores none for None."""
    return 1


@queue.task()
def node(name: str, nodes: int, layers: int) -> None:
    """Do nothing, then start what was waiting for this node alone."""
    for ready in counters.finish(name, nodes, layers):
        node(ready, nodes, layers)


class HueyClient:
    """Pipeline, chord, and counters by hand."""

    def first(self) -> None:
        """One task with its result."""
        _get(noop())

    def settle(self) -> None:
        """Nothing to wait for."""

    def rows(self, plan: Plan) -> Rows:
        """Each workload once."""
        return {
            ("huey", "chain"): lambda: _chain(plan.chain),
            ("huey", "fan"): lambda: _get(
                queue.enqueue(group([noop.s() for _ in range(plan.fan)]).then(noop)).callback
            ),
            ("huey", "dag"): lambda: _dag(plan.dag, plan.layers),
        }


def _chain(nodes: int) -> None:
    pipeline = noop.s()
    for _ in range(nodes - 1):
        pipeline = pipeline.then(noop)
    _get(list(queue.enqueue(pipeline))[-1])


def _dag(nodes: int, layers: int) -> None:
    for name in counters.load(nodes, layers):
        node(name, nodes, layers)
    counters.wait(LIMIT_SECONDS)


def _get(result: Any) -> None:
    result.get(blocking=True, timeout=LIMIT_SECONDS, backoff=1.0, max_delay=0.002)


@contextmanager
def opened() -> Iterator[HueyClient]:
    """A client of the server that the environment names."""
    yield HueyClient()
