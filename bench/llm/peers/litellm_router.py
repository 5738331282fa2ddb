"""LiteLLM's router with its limits in Redis: the way of routing or the check is the environment's BENCH_ROUTER."""

# mypy: disable-error-code="import-not-found"
from __future__ import annotations

import asyncio
import os
import time
from typing import Any

import litellm
from litellm import Router

from bench.llm import backlog

WAYS: dict[str, dict[str, Any]] = {
    "usage": {"routing_strategy": "usage-based-routing-v2"},
    "check": {"optional_pre_call_checks": ["enforce_model_rate_limits"]},
}


async def run(order: backlog.Order) -> None:
    """Call until the time is over; its asynchronous interface is the one that its checks are complete in."""
    litellm.suppress_debug_info = True
    model = {"model": "openai/m", "api_base": order.url, "api_key": "none", "rpm": order.per_minute}
    router = Router(
        model_list=[{"model_name": "m", "litellm_params": model, "model_info": {"id": "one"}}],
        redis_url=os.environ["BENCH_REDIS_URL"], num_retries=2, **WAYS[os.environ["BENCH_ROUTER"]],
    )  # fmt: skip
    tally = backlog.Tally()
    end = order.begin()

    async def work() -> None:
        request: Any = backlog.REQUEST
        while time.monotonic() < end:
            error: Exception | None = None
            try:
                await router.acompletion(**request)
            except Exception as raised:
                error = raised
            if time.monotonic() >= end:
                return
            if error is None:
                tally.answered += 1
            else:
                tally.lost(error)

    tasks = [asyncio.create_task(work()) for _ in range(order.callers)]
    await asyncio.sleep(max(0.0, end - time.monotonic()))
    assert tasks
    tally.leave(order)


if __name__ == "__main__":
    asyncio.run(run(backlog.Order.given()))
