"""LangGraph: a graph in one process; each superstep is written to SQLite before the next begins (durability "sync").

Graphs are compiled beforehand and unmeasured, as the documents of goals are made beforehand.
"""

# mypy: disable-error-code="import-not-found, untyped-decorator"
from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from typing import Annotated, Any, TypedDict

from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send

from bench import steps
from bench.client import Plan, Rows
from bench.graphs import Graph, chain, dag

FILE = "checkpoints.sqlite"
_MANY = {"recursion_limit": 1_000_000}


class State(TypedDict):
    """How many nodes have ended."""

    done: Annotated[int, operator.add]


def noop(_: State) -> dict[str, int]:
    """Do nothing but count."""
    return {"done": 1}


def _graph(graph: Graph, saver: Any, call: Callable[[str], Callable[[State], dict[str, int]]] = lambda _: noop) -> Any:
    builder = StateGraph(State)
    for name, parents in graph.items():
        builder.add_node(name, call(name))
        builder.add_edge(parents if len(parents) > 1 else parents[0] if parents else START, name)
    builder.add_edge(name, END)
    return builder.compile(checkpointer=saver)


def _fan(nodes: int, saver: Any) -> Any:
    builder = StateGraph(State)
    builder.add_node("source", lambda _: {"done": 0})
    builder.add_node("work", noop)
    builder.add_node("join", noop)
    builder.add_edge(START, "source")
    builder.add_conditional_edges("source", lambda _: [Send("work", {"done": 0}) for _ in range(nodes)], ["work"])
    builder.add_edge("work", "join")
    builder.add_edge("join", END)
    return builder.compile(checkpointer=saver)


class LangGraphClient:
    """Every run in a thread of its own, as LangGraph names its histories."""

    def __init__(self, saver: Any) -> None:
        self._saver = saver
        self._threads = count()

    def first(self) -> None:
        """A graph of one node."""
        self._run(_graph(chain(1), self._saver), 1)

    def settle(self) -> None:
        """Nothing to wait for."""

    def rows(self, plan: Plan) -> Rows:
        """Each workload once."""
        graph = dag(plan.dag, plan.layers)
        return {
            ("langgraph", "chain"): partial(self._run, _graph(chain(plan.chain), self._saver), plan.chain),
            ("langgraph", "fan"): partial(self._run, _fan(plan.fan, self._saver), plan.fan + 1),
            ("langgraph", "dag"): partial(self._run, _graph(graph, self._saver), plan.dag),
        }

    def _run(self, compiled: Any, nodes: int) -> None:
        config = {"configurable": {"thread_id": str(next(self._threads))}, **_MANY}
        ended = compiled.invoke({"done": 0}, config, durability="sync")
        if ended["done"] != nodes:
            raise RuntimeError(f"{ended['done']} of {nodes} nodes ended")


@contextmanager
def opened() -> Iterator[LangGraphClient]:
    """With a database in the working directory."""
    with SqliteSaver.from_conn_string(FILE) as saver:
        yield LangGraphClient(saver)


def work_steps(count: int, seconds: float) -> None:
    """Run the chain of `bench.steps`, or go on with it."""

    def call(name: str) -> Callable[[State], dict[str, int]]:
        def step(_: State) -> dict[str, int]:
            steps.take(int(name[1:]), seconds)
            return {"done": 1}

        return step

    with SqliteSaver.from_conn_string(FILE) as saver:
        compiled = _graph(chain(count), saver, call)
        config = {"configurable": {"thread_id": "steps"}, **_MANY}
        begun = saver.get_tuple(config) is not None
        compiled.invoke(None if begun else {"done": 0}, config, durability="sync")
