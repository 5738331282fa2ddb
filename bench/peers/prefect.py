"""Prefect: flows and tasks in one process with eight threads, states in its server's SQLite."""

# mypy: disable-error-code="import-not-found, untyped-decorator"
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prefect import flow, task
from prefect.task_runners import ThreadPoolTaskRunner

from bench.client import Plan, Rows
from bench.graphs import Graph, dag

_POOL = ThreadPoolTaskRunner(max_workers=8)


@task
def noop(*_: Any) -> None:
    """Do nothing."""


@task
def one_of_many(_: int) -> None:
    """Do nothing. With a parameter of its own, which `map` spreads over its items."""


@task
def join(results: list[None]) -> int:
    """How many there were, when all are done."""
    return len(results)


@flow
def chain(nodes: int) -> None:
    """One after the other."""
    last = None
    for _ in range(nodes):
        last = noop(last)


@flow(task_runner=_POOL)
def fan(nodes: int) -> None:
    """All at once, then one."""
    joined = join.submit(one_of_many.map(range(nodes))).result()
    if joined != nodes:
        raise RuntimeError(f"{joined} of {nodes} tasks were joined")


@flow(task_runner=_POOL)
def graph_flow(graph: Graph) -> None:
    """Each when its parents are done."""
    made: dict[str, Any] = {}
    for name, parents in graph.items():
        made[name] = noop.submit(wait_for=[made[parent] for parent in parents])
    for future in made.values():
        future.wait()


class PrefectClient:
    """Flows in this process."""

    def first(self) -> None:
        """A flow of one task."""
        chain(1)

    def settle(self) -> None:
        """Nothing to wait for."""

    def rows(self, plan: Plan) -> Rows:
        """Each workload once."""
        graph = dag(plan.dag, plan.layers)
        return {
            ("prefect", "chain"): lambda: chain(plan.chain),
            ("prefect", "fan"): lambda: fan(plan.fan),
            ("prefect", "dag"): lambda: graph_flow(graph),
        }


@contextmanager
def opened() -> Iterator[PrefectClient]:
    """A client of the server that the environment names."""
    yield PrefectClient()
