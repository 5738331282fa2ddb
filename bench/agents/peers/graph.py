"""LangGraph: a graph of model and tool for each agent in one event loop, every step written to SQLite (durability "sync")."""

# mypy: disable-error-code="import-not-found"
from __future__ import annotations

import asyncio
import json
import operator
import resource
from typing import Annotated, Any, TypedDict

from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, StateGraph
from openai import AsyncOpenAI

from bench.agents.order import INSTRUCTIONS, TOOL, Order, look


class State(TypedDict):
    """The conversation."""

    said: Annotated[list[Any], operator.add]


def _graph(client: AsyncOpenAI, saver: Any) -> Any:
    async def model(state: State) -> dict[str, Any]:
        tools: Any = [TOOL]
        answer = await client.chat.completions.create(
            model="m", messages=state["said"], tools=tools, max_completion_tokens=64
        )
        return {"said": [answer.choices[0].message.model_dump(exclude_none=True)]}

    def tools(state: State) -> dict[str, Any]:
        calls = state["said"][-1]["tool_calls"]
        found = [(call["id"], look(**json.loads(call["function"]["arguments"]))) for call in calls]
        return {"said": [{"role": "tool", "tool_call_id": name, "content": text} for name, text in found]}

    builder = StateGraph(State)
    builder.add_node("model", model)
    builder.add_node("tools", tools)
    builder.add_edge(START, "model")
    builder.add_conditional_edges("model", lambda state: "tools" if state["said"][-1].get("tool_calls") else END)
    builder.add_edge("tools", "model")
    return builder.compile(checkpointer=saver)


async def run(order: Order) -> None:
    """Every agent a thread of LangGraph's."""
    client = AsyncOpenAI(base_url=order.url, api_key="none", max_retries=0)
    async with AsyncSqliteSaver.from_conn_string(str(order.folder / "checkpoints.sqlite")) as saver:
        graph = _graph(client, saver)

        async def agent(number: int) -> bool:
            said = [
                {"role": "system", "content": INSTRUCTIONS},
                {"role": "user", "content": f"What is lamp number {number}?"},
            ]
            config = {"configurable": {"thread_id": f"a{number}"}, "recursion_limit": 4 * order.turns}
            ended = await graph.ainvoke({"said": said}, config, durability="sync")
            return not ended["said"][-1].get("tool_calls")

        begun = order.begin()
        ended = await asyncio.gather(*(agent(number) for number in range(order.agents)))
        order.leave(begun, sum(ended))


if __name__ == "__main__":
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(65_536, hard)), hard))
    asyncio.run(run(Order.given()))
