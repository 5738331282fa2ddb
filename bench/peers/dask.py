"""Dask: a scheduler and two worker processes of one thread. Nothing survives the scheduler."""

# mypy: disable-error-code="import-not-found"
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from distributed import Client, LocalCluster

from bench.client import Plan, Rows
from bench.graphs import Graph, dag


def noop(*_: Any) -> None:
    """Do nothing."""


class DaskClient:
    """Futures as arguments of further tasks."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def first(self) -> None:
        """One task."""
        self._submit().result()

    def settle(self) -> None:
        """Nothing to wait for."""

    def rows(self, plan: Plan) -> Rows:
        """Each workload once."""
        graph = dag(plan.dag, plan.layers)
        return {
            ("dask", "chain"): lambda: self._chain(plan.chain),
            ("dask", "fan"): lambda: self._submit(self._client.map(noop, range(plan.fan), pure=False)).result(),
            ("dask", "dag"): lambda: self._dag(graph),
        }

    def _submit(self, *after: Any) -> Any:
        return self._client.submit(noop, *after, pure=False)

    def _chain(self, nodes: int) -> None:
        last = self._submit()
        for _ in range(nodes - 1):
            last = self._submit(last)
        last.result()

    def _dag(self, graph: Graph) -> None:
        made: dict[str, Any] = {}
        for name, parents in graph.items():
            made[name] = self._submit(*[made[parent] for parent in parents])
        self._client.gather(list(made.values()))


@contextmanager
def opened() -> Iterator[DaskClient]:
    """A cluster of this machine."""
    cluster = LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address="127.0.0.1:0"
    )
    with cluster, Client(cluster) as client:
        yield DaskClient(client)
