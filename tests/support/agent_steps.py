"""Agents' nodes driven by hand: a script in the place of a model, a few tools, and what tests look at."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.agents.agent import AGENTS
from orchestrator.agents.desk import AgentDesk
from orchestrator.agents.tools.toolbox import TOOLS, ToolContext, tool
from orchestrator.llm.scripted import Scripted, Step
from orchestrator.store.store import Store
from support.calls import Calls
from support.crew import Crew

SEEN: list[Any] = []


@pytest.fixture
def agent_tools() -> Iterator[None]:
    """A few tools for the time of a test."""
    before, agents = dict(TOOLS.functions), dict(AGENTS.known)
    SEEN.clear()

    @tool
    def look(word: str) -> str:
        """Looks a word up."""
        SEEN.append(word)
        return f"{word} means something"

    @tool
    def broken() -> str:
        """Never works."""
        raise RuntimeError("it is broken")

    @tool(approval=True)
    def pay(amount: int, context: ToolContext) -> str:
        """Pays."""
        SEEN.append((amount, context.idempotency_key, context.token))
        return f"paid {amount}"

    @tool(deferred=True)
    def order(context: ToolContext) -> None:
        """Orders; the answer comes later."""
        SEEN.append(context.deferred_token)

    yield
    TOOLS.functions.clear()
    TOOLS.functions.update(before)
    AGENTS.known.clear()
    AGENTS.known.update(agents)


@pytest.fixture
def talks(store: Store, tmp_path: Path, agent_tools: None) -> Iterator[Callable[..., Calls]]:  # noqa: ARG001
    """Calls with a script."""
    made: list[Calls] = []

    def make(*steps: Step, **changes: Any) -> Calls:
        models = {"models": {"a": {"account": "first", "context_tokens": 100_000}}, "chains": {"default": ["a"]}}
        made.append(Calls(Crew(store, tmp_path), Scripted(steps), **(models | changes)))
        return made[-1]

    yield make
    for one in made:
        one.limiter.close()


Talks = Callable[..., Calls]


def submit(one: Calls, *cards: dict[str, Any], nodes: Any = None, **head: Any) -> None:
    found = nodes or [{"id": "n", "kind": "agent", "agent": cards[0]["name"], "inputs": {"task": "the task"}}]
    one.crew.submit(found, agents=list(cards), **head)


def desk(one: Calls) -> AgentDesk:
    return one.crew.wired.agents


def said(one: Calls, node: str = "n") -> list[str]:
    return [entry["kind"] for entry in desk(one).transcript("g", node)]


def reaped(one: Calls) -> dict[str, str]:
    """The states after a look of beat."""
    one.crew.store.goals.expect("g")
    one.crew.duties.reap()
    return one.crew.states()


def wants(name: str, **arguments: Any) -> dict[str, Any]:
    return {"name": name, "arguments": json.dumps(arguments), "id": ""}


def turn(number: int, text: str = "", *calls: dict[str, Any], **more: Any) -> Step:
    return Step.model_validate({"turn": number, "text": text, "tool_calls": list(calls), "times": None, **more})
