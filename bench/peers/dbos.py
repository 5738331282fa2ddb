"""DBOS: workflows of steps in one process, each step recorded in SQLite."""

# mypy: disable-error-code="import-not-found, untyped-decorator"
from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dbos import DBOS, SetWorkflowID

from bench import steps
from bench.client import Plan, Rows
from bench.graphs import Graph, dag


@DBOS.step()
def noop() -> None:
    """Do nothing."""


@DBOS.step()
async def noop_async() -> None:
    """Do nothing."""


@DBOS.step()
def step(at: int, seconds: float) -> None:
    """One step of the chain whose worker is killed."""
    steps.take(at, seconds)


async def _nothing() -> None:
    """Do nothing, as a step whose number was reserved."""


@DBOS.workflow()
def chain(nodes: int) -> None:
    """One after the other."""
    for _ in range(nodes):
        noop()


@DBOS.workflow()
async def fan(nodes: int) -> None:
    """All at once, then one."""
    await asyncio.gather(*[noop_async() for _ in range(nodes)])
    await noop_async()


@DBOS.workflow()
async def flow(graph: Graph) -> None:
    """Each as soon as its parents are done; numbers are reserved in a fixed order, so that a recovery finds them."""
    made: dict[str, asyncio.Task[None]] = {}

    async def node(parents: list[str], reserved: Any) -> None:
        for parent in parents:
            await made[parent]
        await reserved.run_async(None, _nothing)

    for name, parents in graph.items():
        made[name] = asyncio.create_task(node(parents, DBOS.reserve_step()))
    await asyncio.gather(*made.values())


@DBOS.workflow()
def step_chain(count: int, seconds: float) -> None:
    """The chain of `bench.steps`."""
    for at in range(count):
        step(at, seconds)


class DbosClient:
    """Workflows in this process."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self._runner = runner

    def first(self) -> None:
        """One step."""
        chain(1)

    def settle(self) -> None:
        """Nothing to wait for."""

    def rows(self, plan: Plan) -> Rows:
        """Each workload once."""
        graph = dag(plan.dag, plan.layers)
        return {
            ("dbos", "chain"): lambda: chain(plan.chain),
            ("dbos", "fan"): lambda: self._runner.run(fan(plan.fan)),
            ("dbos", "dag"): lambda: self._runner.run(flow(graph)),
        }


def _launch() -> None:
    url = f"sqlite:///{Path.cwd() / 'dbos.sqlite'}"
    DBOS(config={"name": "bench", "system_database_url": url, "log_level": "ERROR", "run_admin_server": False})
    DBOS.launch()


@contextmanager
def opened() -> Iterator[DbosClient]:
    """With a database in the working directory."""
    _launch()
    with asyncio.Runner() as runner:
        yield DbosClient(runner)
    DBOS.destroy()


def work_steps(count: int, seconds: float) -> None:
    """Run the chain of `bench.steps`, or wait for it: DBOS goes on by itself with what it finds open."""
    _launch()
    with SetWorkflowID("steps"):
        DBOS.start_workflow(step_chain, count, seconds).get_result()
