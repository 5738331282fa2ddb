"""Plain Celery on the same workloads: chain and chord, and for the DAG what its users write by hand (bench.counters).

The server, its append-only file and late acknowledgement are Chordal's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from celery import Celery, chain, chord

from bench import counters, steps
from bench.client import LIMIT_SECONDS, Plan, Rows

_BROKER: Final = counters.URL.replace("unix://", "redis+socket://", 1)

app = Celery("bench.celery_peer", broker=_BROKER, backend=_BROKER)
app.conf.update(task_acks_late=True, worker_prefetch_multiplier=4, broker_connection_retry_on_startup=True)


@app.task
def noop(*_: Any) -> None:
    """Do nothing."""


@app.task(ignore_result=True)
def node(name: str, nodes: int, layers: int) -> None:
    """Do nothing, then start what was waiting for this node alone."""
    for ready in counters.finish(name, nodes, layers):
        node.delay(ready, nodes, layers)


@app.task
def step(at: int, seconds: float) -> None:
    """One step of the chain whose worker is killed."""
    steps.take(at, seconds)


class CeleryClient:
    """Chain, chord, and counters by hand."""

    def first(self) -> None:
        """One task with its result."""
        noop.delay().get(timeout=LIMIT_SECONDS)

    def settle(self) -> None:
        """Nothing to wait for."""

    def rows(self, plan: Plan) -> Rows:
        """Each workload once."""
        return {
            ("celery", "chain"): lambda: _chain(plan.chain),
            ("celery", "fan"): lambda: _chord(plan.fan),
            ("celery", "dag"): lambda: _dag(plan.dag, plan.layers),
        }


def _chain(nodes: int) -> None:
    chain(*[noop.si() for _ in range(nodes)]).delay().get(timeout=LIMIT_SECONDS)


def _chord(nodes: int) -> None:
    chord([noop.si() for _ in range(nodes)])(noop.si()).get(timeout=LIMIT_SECONDS)


def _dag(nodes: int, layers: int) -> None:
    for name in counters.load(nodes, layers):
        node.delay(name, nodes, layers)
    counters.wait(LIMIT_SECONDS)


@contextmanager
def opened() -> Iterator[CeleryClient]:
    """A client of the server that the environment names."""
    yield CeleryClient()


def submit_steps(count: int, seconds: float) -> None:
    """The chain of `bench.steps`."""
    chain(*[step.si(at, seconds) for at in range(count)]).delay()
