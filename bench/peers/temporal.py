"""Temporal: workflows and activities in one worker process, history in the development server's SQLite file.

Measured twice: with activities, which the server hands out and records one by one, and with local activities, which run in
the workflow's worker and are recorded when its task ends.
"""

# mypy: disable-error-code="import-not-found, untyped-decorator"
from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from itertools import count
from typing import Any

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from bench import steps
from bench.client import Plan, Rows
from bench.graphs import Graph, dag

QUEUE = "bench"
STEP_LIMIT = timedelta(seconds=5)
"""How long a step may take before it counts as lost. Temporal notices a dead worker by this, or by heartbeats."""


@activity.defn
async def noop() -> None:
    """Do nothing."""


@activity.defn
async def step(at: int, seconds: float) -> None:
    """One step of the chain whose worker is killed."""
    steps.mark(at)
    await asyncio.sleep(seconds)


def _noop(local: bool) -> Any:
    start: Callable[..., Any] = workflow.start_local_activity if local else workflow.start_activity
    return start(noop, start_to_close_timeout=timedelta(seconds=60))


@workflow.defn
class Chain:
    """One after the other."""

    @workflow.run
    async def run(self, nodes: int, local: bool) -> None:
        """All of them."""
        for _ in range(nodes):
            await _noop(local)


@workflow.defn
class Fan:
    """All at once, then one."""

    @workflow.run
    async def run(self, nodes: int, local: bool) -> None:
        """All of them."""
        await asyncio.gather(*[_noop(local) for _ in range(nodes)])
        await _noop(local)


@workflow.defn
class Dag:
    """Each as soon as its parents are done."""

    @workflow.run
    async def run(self, graph: Graph, local: bool) -> None:
        """All of them."""
        made: dict[str, asyncio.Task[None]] = {}

        async def node(parents: list[str]) -> None:
            for parent in parents:
                await made[parent]
            await _noop(local)

        for name, parents in graph.items():
            made[name] = asyncio.create_task(node(parents))
        await asyncio.gather(*made.values())


@workflow.defn
class Steps:
    """The chain of `bench.steps`."""

    @workflow.run
    async def run(self, nodes: int, seconds: float) -> None:
        """All of them."""
        for at in range(nodes):
            await workflow.execute_activity(step, args=[at, seconds], start_to_close_timeout=STEP_LIMIT)


class TemporalClient:
    """A client that is the worker too."""

    def __init__(self, runner: asyncio.Runner, client: Any) -> None:
        self._runner, self._client = runner, client
        self._runs = count()

    def first(self) -> None:
        """One activity."""
        self._run(Chain.run, 1, False)

    def settle(self) -> None:
        """Nothing to wait for."""

    def rows(self, plan: Plan) -> Rows:
        """Each workload with activities and with local ones."""
        graph = dag(plan.dag, plan.layers)
        made: dict[tuple[str, str], Callable[[], None]] = {}
        for row, local in (("temporal", False), ("temporal local", True)):
            made[row, "chain"] = partial(self._run, Chain.run, plan.chain, local)
            made[row, "fan"] = partial(self._run, Fan.run, plan.fan, local)
            made[row, "dag"] = partial(self._run, Dag.run, graph, local)
        return made

    def _run(self, flow: Any, size: Any, local: bool) -> None:
        name = f"run-{next(self._runs)}"
        self._runner.run(self._client.execute_workflow(flow, args=[size, local], id=name, task_queue=QUEUE))


def _worker(client: Any) -> Any:
    return Worker(
        client, task_queue=QUEUE, workflows=[Chain, Fan, Dag, Steps], activities=[noop, step],
        max_concurrent_activities=100, workflow_runner=UnsandboxedWorkflowRunner(),
    )  # fmt: skip


async def _connect() -> Any:
    return await Client.connect(os.environ["BENCH_TEMPORAL"])


@contextmanager
def opened() -> Iterator[TemporalClient]:
    """A client and a worker in one event loop, which turns while a workload runs."""
    with asyncio.Runner() as runner:
        client = runner.run(_connect())
        worker = _worker(client)
        runner.run(worker.__aenter__())
        yield TemporalClient(runner, client)
        runner.run(worker.__aexit__(None, None, None))


def submit_steps(count: int, seconds: float) -> None:
    """Start the chain of `bench.steps`."""

    async def submit() -> None:
        client = await _connect()
        await client.start_workflow(Steps.run, args=[count, seconds], id="steps", task_queue=QUEUE)

    asyncio.run(submit())


def work_steps(count: int, seconds: float) -> None:  # noqa: ARG001 (the workflow has them)
    """A worker, until it is ended."""

    async def work() -> None:
        await _worker(await _connect()).run()

    asyncio.run(work())
