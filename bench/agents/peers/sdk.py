"""The same turns in one event loop with OpenAI's SDK and a list: nothing is kept, a crash loses everything."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from openai import AsyncOpenAI

from bench.agents.order import INSTRUCTIONS, TOOL, Order, look
from bench.llm.slow_server import more_files


async def run(order: Order) -> None:
    """Every agent a task."""
    client = AsyncOpenAI(base_url=order.url, api_key="none", max_retries=0)

    async def agent(number: int) -> bool:
        said: list[Any] = [
            {"role": "system", "content": INSTRUCTIONS},
            {"role": "user", "content": f"What is lamp number {number}?"},
        ]
        for _ in range(order.turns):
            tools: Any = [TOOL]
            answer = await client.chat.completions.create(
                model="m", messages=said, tools=tools, max_completion_tokens=64
            )
            message = answer.choices[0].message
            said.append(message.model_dump(exclude_none=True))
            if not message.tool_calls:
                return True
            for call in message.tool_calls:
                assert call.type == "function"
                text = look(**json.loads(call.function.arguments))
                said.append({"role": "tool", "tool_call_id": call.id, "content": text})
        return False

    begun = order.begin()
    ended = await asyncio.gather(*(agent(number) for number in range(order.agents)))
    order.leave(begun, sum(ended))


if __name__ == "__main__":
    more_files()
    asyncio.run(run(Order.given()))
