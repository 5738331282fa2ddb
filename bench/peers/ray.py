"""Ray: tasks on two worker processes, results in its object store. Nothing survives the driver."""

# mypy: disable-error-code="import-not-found, untyped-decorator"
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray

from bench.client import Plan, Rows
from bench.graphs import Graph, dag


@ray.remote
def noop(*_: Any) -> None:
    """Do nothing."""


class RayClient:
    """Futures as arguments of further tasks."""

    def first(self) -> None:
        """One task."""
        ray.get(noop.remote())

    def settle(self) -> None:
        """Nothing to wait for."""

    def rows(self, plan: Plan) -> Rows:
        """Each workload once."""
        graph = dag(plan.dag, plan.layers)
        return {
            ("ray", "chain"): lambda: _chain(plan.chain),
            ("ray", "fan"): lambda: ray.get(noop.remote(*[noop.remote() for _ in range(plan.fan)])),
            ("ray", "dag"): lambda: _dag(graph),
        }


def _chain(nodes: int) -> None:
    last = noop.remote()
    for _ in range(nodes - 1):
        last = noop.remote(last)
    ray.get(last)


def _dag(graph: Graph) -> None:
    made: dict[str, Any] = {}
    for name, parents in graph.items():
        made[name] = noop.remote(*[made[parent] for parent in parents])
    ray.get(list(made.values()))


@contextmanager
def opened() -> Iterator[RayClient]:
    """A cluster of this machine with two CPUs."""
    ray.init(num_cpus=2, log_to_driver=False, include_dashboard=False)
    try:
        yield RayClient()
    finally:
        ray.shutdown()
