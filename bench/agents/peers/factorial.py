"""nfactorial: agents in Redis, one asyncio worker that takes them in batches; a batch ends with its slowest turn."""

# mypy: disable-error-code="import-not-found, untyped-decorator"
from __future__ import annotations

import asyncio
import logging
import os
import resource

import httpx
import redis.asyncio as redis
from factorial import (
    Agent,
    AgentContext,
    AgentWorkerConfig,
    Model,
    Orchestrator,
    Task,
    function_tool,
)
from factorial.llms import Provider

from bench.agents.order import INSTRUCTIONS, Order
from bench.agents.order import look as found


@function_tool
def look(word: str) -> str:
    """Look a word up."""
    return found(word)


async def run(order: Order) -> None:
    """One worker whose batch holds all agents; how they stand is asked twice a second."""
    os.environ |= {"OPENAI_BASE_URL": order.url, "OPENAI_API_KEY": "none"}  # an agent's client is told in no other way
    pool = redis.ConnectionPool.from_url(os.environ["BENCH_REDIS_URL"], max_connections=5 * order.agents + 100)
    # By itself an agent opens no more than 100 connections.
    http = httpx.AsyncClient(
        limits=httpx.Limits(max_connections=order.agents + 50, max_keepalive_connections=order.agents), timeout=120.0
    )
    agent = Agent(
        http_client=http,
        name="looker", instructions=INSTRUCTIONS, tools=[look], max_turns=order.turns + 2,
        model=Model("m", Provider.OPENAI, "m", 128_000),
    )  # fmt: skip
    one = Orchestrator(redis_pool=pool, openai_api_key="none")
    one.register_runner(agent=agent, agent_worker_config=AgentWorkerConfig(workers=1, batch_size=order.agents))
    working = asyncio.create_task(one.start_workers(one.shutdown_event))
    await asyncio.sleep(1)
    begun = order.begin()
    tasks = []
    for number in range(order.agents):
        payload = AgentContext(query=f"What is lamp number {number}?")
        tasks.append(Task.create("me", agent.name, payload))
        await one.enqueue_task(agent=agent, task=tasks[-1])
    open_ = [task.id for task in tasks]
    ended = 0
    while open_ and not working.done():
        status = await one.get_task_status(open_[-1])
        if status.value in ("completed", "failed", "cancelled"):
            ended += status.value == "completed"
            open_.pop()
            continue
        await asyncio.sleep(0.2)
    order.leave(begun, ended)


if __name__ == "__main__":
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(65_536, hard)), hard))
    logging.disable(logging.INFO)
    asyncio.run(run(Order.given()))
