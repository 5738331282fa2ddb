"""Tools: ordinary functions that agents may call, registered with @tool, and the allow-list that an agent gets on a node.

Only what is registered can be called: an agent never imports code.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, overload

from pydantic import ValidationError

from orchestrator.agents.tools.kits import PERSON_NAME, START_GOAL_NAME, UnknownTool, card_of_task, make_kit
from orchestrator.agents.tools.signature import BadArguments, BadTool, Signature, signature_of
from orchestrator.domain.agent import AgentCard, Kit, ToolCard, ToolKind

__all__ = [
    "TOOLS",
    "BadArguments",
    "BadTool",
    "RegisteredTool",
    "ToolContext",
    "Toolbox",
    "UnknownTool",
    "kit_of",
    "task_tool",
    "tool",
]

Function = TypeVar("Function", bound=Callable[..., Any])
RESERVED = frozenset({PERSON_NAME, START_GOAL_NAME})


@dataclass(frozen=True, slots=True)
class ToolContext:
    """What a tool may know of the call that it carries out: a parameter annotated with this class gets it."""

    goal: str
    """The goal's id."""
    node: str
    """The node of this call."""
    attempt: int
    """1 for the first try of this call."""
    token: int
    """The fencing token: rises with every claim. Systems that remember the highest can refuse an older writer."""
    idempotency_key: str
    """`goal:node`: the same at every attempt of this call, and no other call's."""
    agent: str
    """Who called."""
    deferred_token: str = field(default="", repr=False)
    """Of a deferred tool: what completes this call from outside, once. The same at every attempt; keep it secret."""


@dataclass(frozen=True, slots=True)
class RegisteredTool:
    """A function and how the model is told of it."""

    card: ToolCard
    function: Callable[..., Any]
    signature: Signature

    @property
    def deferred(self) -> bool:
        """Its result comes from outside."""
        return self.card.kind is ToolKind.DEFERRED

    def call(self, arguments: Mapping[str, Any], context: ToolContext) -> Any:
        """Call the function in this thread; an async one in an event loop of its own.

        Raises BadArguments, and what the function raises.
        """
        given = self.signature.read(arguments)
        if self.signature.context:
            given[self.signature.context] = context
        result = self.function(**given)
        return asyncio.run(_awaited(result)) if inspect.isawaitable(result) else result


async def _awaited(result: Any) -> Any:
    return await result


@dataclass(slots=True)
class Toolbox:
    """Tools by name."""

    functions: dict[str, RegisteredTool] = field(default_factory=dict)
    """Registered with @tool."""
    tasks: dict[str, ToolCard] = field(default_factory=dict)
    """Celery tasks by their own names, with the schema that they were registered with."""

    def add(self, function: Callable[..., Any], card: Mapping[str, Any]) -> RegisteredTool:
        """Register a function; `card` holds fields of its ToolCard. Raises BadTool."""
        name = str(card.get("name") or getattr(function, "__name__", ""))
        if name in RESERVED:
            raise BadTool(f"{name!r} is the name of a tool that is there already; choose another name=")
        signature = signature_of(function, ToolContext)
        described = {"description": (inspect.getdoc(function) or "")[:4000], "parameters": signature.parameters}
        made = RegisteredTool(_card({**described, **card, "name": name}), function, signature)
        known = self.functions.get(name)
        if known is not None and not _same(known.function, function):
            other = f"{known.function.__module__}:{known.function.__qualname__}"
            raise BadTool(f"the tool {name!r} is registered already, as {other}; give one of them another name=")
        self.functions[name] = made
        return made

    def add_task(self, card: ToolCard) -> None:
        """Register a Celery task with its schema. Raises BadTool."""
        known = self.tasks.get(card.call)
        if known is not None and known != card:
            raise BadTool(f"the Celery task {card.call!r} is registered as a tool already, with other options")
        self.tasks[card.call] = card

    def get(self, name: str) -> RegisteredTool:
        """The tool of that name. Raises UnknownTool."""
        found = self.functions.get(name)
        if found is None:
            raise UnknownTool.of([name], self.functions)
        return found


TOOLS = Toolbox()
"""The process's tools, which `@tool` fills."""


@overload
def tool(function: Function, /) -> Function: ...
@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    approval: bool = False,
    deferred: bool = False,
    timeout_seconds: float | None = None,
    retries: int = 0,
    queue: str | None = None,
    result_bytes: int | None = None,
    toolbox: Toolbox | None = None,
) -> Callable[[Function], Function]: ...
def tool(
    function: Any = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    approval: bool = False,
    deferred: bool = False,
    timeout_seconds: float | None = None,
    retries: int = 0,
    queue: str | None = None,
    result_bytes: int | None = None,
    toolbox: Toolbox | None = None,
) -> Any:
    """Let agents call this function, sync or async; it stays an ordinary function.

    Its name, docstring and annotated parameters are what the model is told. `approval`: a person approves each call first.
    `deferred`: the function only starts something, and the result comes later by `complete_deferred` with the context's
    token. `timeout_seconds` limits one call (of a deferred tool the whole wait), `retries` is how often a failed call is
    repeated before the model is told, `queue` the Celery queue it runs on, `result_bytes` where its result is cut.
    Raises BadTool.
    """
    options = {
        "name": name, "description": description, "approval": approval or None, "timeout_seconds": timeout_seconds,
        "kind": ToolKind.DEFERRED if deferred else None, "retries": retries or None, "queue": queue,
        "result_bytes": result_bytes,
    }  # fmt: skip
    given = {key: value for key, value in options.items() if value is not None}

    def register(target: Function) -> Function:
        (TOOLS if toolbox is None else toolbox).add(target, given)
        return target

    return register(function) if function is not None else register


def task_tool(
    task: str,
    *,
    parameters: dict[str, Any] | None = None,
    name: str | None = None,
    description: str = "",
    queue: str | None = None,
    timeout_seconds: float | None = None,
    retries: int = 0,
    result_bytes: int | None = None,
    toolbox: Toolbox | None = None,
) -> str:
    """Describe a Celery task that agents may call; returns what an agent's `tools` name it: `task:<task>`.

    `parameters` is the JSON schema of its keyword arguments, an object; without it the model gives
    `{"args": [...], "kwargs": {...}}`. Raises BadTool.
    """
    given = {"name": name, "queue": queue, "timeout_seconds": timeout_seconds, "result_bytes": result_bytes}
    fields = {key: value for key, value in given.items() if value is not None}
    card = card_of_task(task, parameters)
    made = _card(
        card.model_dump() | {"retries": retries} | ({"description": description} if description else {}) | fields
    )
    (TOOLS if toolbox is None else toolbox).add_task(made)
    return f"task:{task}"


def kit_of(card: AgentCard, toolbox: Toolbox, agents: Mapping[str, AgentCard]) -> Kit:
    """What an agent may use on a node. `agents` are those that it may name as `agent:<name>`.

    Raises UnknownTool with every name that means nothing, BadTool where two tools have one name, and BadSchema.
    """
    cards = {name: one.card for name, one in toolbox.functions.items()}
    return make_kit(card, cards, toolbox.tasks, agents)


def _card(fields: Mapping[str, Any]) -> ToolCard:
    try:
        return ToolCard.model_validate(fields)
    except ValidationError as error:
        faults = "; ".join(f"{one['loc'][0] if one['loc'] else 'tool'}: {one['msg']}" for one in error.errors())
    raise BadTool(f"the tool {str(fields.get('name'))[:80]!r} is not valid: {faults}")


def _same(one: Callable[..., Any], other: Callable[..., Any]) -> bool:
    """A module that is imported again registers its functions again."""
    names = [(function.__module__, function.__qualname__) for function in (one, other)]
    return one is other or (names[0] == names[1] and "<locals>" not in names[0][1])
