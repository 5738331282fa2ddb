"""Agents declared in Python: `Agent(...)` is a card that workers find by its name, and runs without Redis in unit tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import BaseModel, ValidationError

from orchestrator.agents.tools.toolbox import TOOLS, Toolbox
from orchestrator.domain.agent import AgentCard, AgentLimits
from orchestrator.domain.dag import NodeKind
from orchestrator.domain.errors import ChordalError
from orchestrator.llm.schema import strict_schema

if TYPE_CHECKING:  # running inline needs the client of models, declaring an agent does not
    from orchestrator.agents.inline.run import InlineOutput

MOMENTS: Final = ("on_start", "on_turn", "on_done", "on_failed", "on_cancelled")
Moment = Literal["on_start", "on_turn", "on_done", "on_failed", "on_cancelled"]


class BadAgent(ChordalError):
    """An agent is declared in a way that cannot work; every fault is named. Mend the declaration."""


@dataclass(frozen=True, slots=True)
class AgentEvent:
    """What a callback is told."""

    moment: Moment
    agent: str
    goal: str
    node: str
    turn: int = 0
    """The turn that was taken; of the other moments, how many there were."""
    output: Any = field(default=None, repr=False)
    """on_done: the node's output."""
    error: str = field(default="", repr=False)
    """on_failed: why."""


Callback = Callable[[AgentEvent], None]


class Agent:
    """An agent: a role that takes turns with a model, on nodes of kind `agent` and in `run_inline`.

    It registers itself by its name, so workers that import its module (CHORDAL_IMPORTS) know it.
    """

    def __init__(
        self,
        name: str,
        instructions: str = "",
        *,
        model: str | None = None,
        tools: Sequence[Callable[..., Any] | str | Agent] = (),
        output_type: type[BaseModel] | None = None,
        limits: AgentLimits | Mapping[str, Any] | None = None,
        role: str | None = None,
        queue: str | None = None,
        fallback_roles: Sequence[str] = (),
        memory: int = 50,
        on_start: Callback | None = None,
        on_turn: Callback | None = None,
        on_done: Callback | None = None,
        on_failed: Callback | None = None,
        on_cancelled: Callback | None = None,
        toolbox: Toolbox = TOOLS,
        registry: Agents | None = None,
    ) -> None:
        """`tools` are functions (those without @tool are registered with its defaults), other agents, and names:
        of a registered tool, `task:<Celery task>`, `agent:<name>`, `ask_person`, `start_goal`. The schema of `output_type`
        is what the final output must follow. Callbacks are called in the process that took the step, at least once.

        Raises BadAgent with every fault, and BadTool.
        """
        self.output_type = output_type
        self.toolbox = toolbox
        given = (on_start, on_turn, on_done, on_failed, on_cancelled)
        self.callbacks: Mapping[str, Callback] = MappingProxyType(
            {moment: one for moment, one in zip(MOMENTS, given, strict=True) if one is not None}
        )
        fields = {
            "name": name, "instructions": instructions, "model": model, "tools": tuple(self._name_of(one) for one in tools),
            "output_schema": None if output_type is None else _schema_of(name, output_type),
            "limits": limits if limits is not None else AgentLimits(), "role": role, "queue": queue,
            "fallback_roles": tuple(fallback_roles), "memory": memory,
        }  # fmt: skip
        try:
            self._card = AgentCard.model_validate(fields)
        except ValidationError as error:
            raise BadAgent(f"the agent {str(name)[:80]!r} is not valid: {_faults(error)}") from None
        self.name = self._card.name
        self.agents: dict[str, Agent] = {one.name: one for one in tools if isinstance(one, Agent)}
        self.registry = AGENTS if registry is None else registry
        self.registry.add(self)

    def __repr__(self) -> str:
        return f"Agent({self.name!r})"

    def _name_of(self, one: Callable[..., Any] | str | Agent) -> str:
        if isinstance(one, str):
            return one
        if isinstance(one, Agent):
            return f"agent:{one.name}"
        if not callable(one):
            raise BadAgent(f"a tool is a function, a name or an agent, not {type(one).__name__}")
        known = next((name for name, tool in self.toolbox.functions.items() if tool.function is one), None)
        return known or self.toolbox.add(one, {}).card.name

    def card(self) -> AgentCard:
        """It as plain data, as a goal's document carries it in `agents`."""
        return self._card

    def node(self, id: str, task: Any, **fields: Any) -> dict[str, Any]:
        """A node for a goal's document on which this agent does `task`: a text, or a reference to an output.

        `fields` are other fields of the node; `inputs` among them are given to the agent beside the task.
        """
        inputs = {"task": task, **fields.pop("inputs", {})}
        made = {"id": id, "kind": NodeKind.AGENT.value, "agent": self.name, "inputs": inputs}
        if self._card.queue is not None:
            made["queue"] = self._card.queue
        return made | fields

    def run_inline(self, task: Any, **options: Any) -> InlineOutput:
        """Do a task in this thread, without Redis: for unit tests. See `orchestrator.agents.inline.run.run_inline`."""
        from orchestrator.agents.inline.run import run_inline

        return run_inline(self, task, **options)


class Agents:
    """Agents by name."""

    def __init__(self) -> None:
        self.known: dict[str, Agent] = {}
        """By name."""

    def add(self, agent: Agent) -> None:
        """Register an agent; the same again is fine. Raises BadAgent where another one has its name."""
        known = self.known.get(agent.name)
        if known is not None and known.card() != agent.card():
            raise BadAgent(f"another agent is called {agent.name!r}; give one of them another name")
        self.known[agent.name] = agent

    def find(self, name: str) -> Agent | None:
        """The agent of that name."""
        return self.known.get(name)

    def cards(self) -> dict[str, AgentCard]:
        """Every agent as plain data, by name."""
        return {name: agent.card() for name, agent in self.known.items()}

    def tell(self, event: AgentEvent) -> None:
        """Call the agent's callback for this moment, if it is known here and has one. Raises what that raises."""
        agent = self.known.get(event.agent)
        callback = agent.callbacks.get(event.moment) if agent else None
        if callback is not None:
            callback(event)


AGENTS: Final = Agents()
"""The process's agents; declaring one registers it."""


def _schema_of(name: str, output_type: type[BaseModel]) -> dict[str, Any]:
    """As providers take it for structured output: every field required, no others."""
    given: Any = output_type
    if not (isinstance(given, type) and issubclass(given, BaseModel)):
        raise BadAgent(f"the output_type of the agent {name!r} must be a pydantic model, this is {given!r}")
    return strict_schema(output_type)


def _faults(error: ValidationError) -> str:
    listed = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(f"{'.'.join(map(str, one['loc'])) or 'agent'}: {one['msg']}" for one in listed)
