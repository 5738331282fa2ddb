"""Agents and their tools as plain data: what a goal carries along, so that any worker can take an agent's next turn."""

from __future__ import annotations

import hashlib
import json
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

ID_PATTERN: Final = r"^[A-Za-z0-9._-]{1,64}$"
TOOL_PATTERN: Final = r"^[A-Za-z0-9_-]{1,64}$"
Name = Annotated[str, StringConstraints(pattern=ID_PATTERN)]
Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class AgentLimits(_Model):
    """How far an agent may go on one node. Times are seconds."""

    max_turns: int = Field(10, ge=1, le=1000)
    """Answers of the model; the last one must be the final output. Repairs of that one come on top."""
    turn_timeout_seconds: Seconds = 120.0
    """Time limit of the model call of one turn; waiting for a place in the queue does not count."""
    max_retries: int = Field(5, ge=0, le=1000)
    """How often the node is tried again after a failed turn; what was said before stays."""
    repairs: int = Field(3, ge=0, le=20)
    """How often in a row an answer that breaks a rule (invalid output, unknown tool) is given back with its faults."""
    tools_per_turn: int = Field(16, ge=1, le=128)
    """Tool calls of one turn that are carried out; the others are refused and the model is told."""
    argument_bytes: int = Field(65_536, ge=64, le=1_048_576)
    """The largest arguments of one tool call."""
    result_bytes: int = Field(32_768, ge=64, le=1_048_576)
    """A tool's result is cut after so many bytes, where the tool does not say."""
    context_tokens: int | None = Field(None, ge=256)
    """The conversation is trimmed to so many tokens; without it to what fits into the model."""
    max_output_tokens: int | None = Field(None, ge=1, le=10_000_000)
    """The reservation of a call; without it what such calls were learnt to need."""
    depth: int = Field(3, ge=0, le=10)
    """How deep its sub-agents may have sub-agents."""
    spawn: int = Field(10, ge=0, le=1000)
    """Sub-agents and sub-goals of one node, over all its turns."""
    recoveries: int = Field(2, ge=0, le=10)
    """Recovery attempts after the retries are used up, where the goal's plan asks for recovery."""


class AgentCard(_Model):
    """An agent: a role that takes turns with a model on nodes of kind `agent`."""

    name: Name
    """Its name; nodes name it as `agent`."""
    role: Name | None = None
    """What it does, for plans that ask for a role; its name where it is left out."""
    goal: Name | None = None
    """The goal it belongs to, if it belongs to one alone."""
    instructions: str = Field("", max_length=100_000, repr=False)
    """What the model is told before everything else."""
    model: str | None = Field(None, min_length=1, max_length=128)
    """A model or a chain of the profiles; without it the profiles' default."""
    tools: tuple[str, ...] = Field((), max_length=128)
    """Tools by name: of a registered function, `task:<Celery task>`, `agent:<name>`, `ask_person`, `start_goal`."""
    output_schema: dict[str, Any] | None = Field(None, repr=False)
    """JSON schema of its final output; without it the output is a text."""
    limits: AgentLimits = AgentLimits()
    """How far it may go."""
    queue: Name | None = None
    """The Celery queue of its nodes and tools, where they do not say; without it the default queue."""
    fallback_roles: tuple[Name, ...] = ()
    """Roles that take its nodes when no worker serves its queue, unless the assignment is hard."""
    memory: int = Field(50, ge=0, le=1000)
    """Latest outputs that it remembers from node to node of an owner's goals; 0: none."""
    heartbeat: str | None = Field(None, max_length=1000)
    """The file with its directives, relative to where it was declared."""
    cadence_seconds: Seconds | None = None
    """Kept from its declaration; that file is read at once."""
    log_level: str | None = Field(None, pattern=r"^(debug|info|warning|error)$")
    """Kept from its declaration."""

    @property
    def resolved_role(self) -> str:
        """Its role."""
        return self.role or self.name

    def digest(self) -> str:
        """The same for the same card: 16 hexadecimal digits."""
        return digest_of(self.model_dump(mode="json", exclude_defaults=True))


class ToolKind(StrEnum):
    """What calling a tool means."""

    PYTHON = "python"  # a function registered with @tool
    TASK = "task"  # a Celery task of the user's app
    AGENT = "agent"  # another agent, as a node of its own
    GOAL = "goal"  # a sub-goal, whose document the model gives
    DEFERRED = "deferred"  # completed from outside, by its token
    PERSON = "person"  # a question to a person


def _no_arguments() -> dict[str, Any]:
    """The schema of a tool that takes none: no arguments."""
    return {"type": "object", "properties": {}}


class ToolCard(_Model):
    """A tool as the model is told of it, and how it is carried out."""

    name: str = Field(pattern=TOOL_PATTERN)
    """What the model calls it."""
    description: str = Field("", max_length=4000)
    """What the model is told of it."""
    parameters: dict[str, Any] = Field(default_factory=_no_arguments)
    """JSON schema of its arguments, an object."""
    kind: ToolKind = ToolKind.PYTHON
    """What calling it means."""
    call: str = Field("", max_length=500)
    """The registered function, the Celery task or the agent; without it the tool's name."""
    approval: bool = False
    """A person must approve each call before it is carried out."""
    timeout_seconds: float | None = Field(None, gt=0, le=31_536_000, allow_inf_nan=False)
    """Time limit of one call; of deferred tools and questions, of the whole wait."""
    retries: int = Field(0, ge=0, le=100)
    """How often a failed call is repeated before the model is told."""
    queue: Name | None = None
    """The Celery queue it runs on; without it the agent's."""
    result_bytes: int | None = Field(None, ge=64, le=1_048_576)
    """Its result is cut after so many bytes; without it as the agent's limits say."""


class Kit(_Model):
    """What an agent may use on one node. It is fixed before the first answer of the model is read, and never grows."""

    agent: Name
    """Whose it is."""
    tools: tuple[ToolCard, ...] = ()
    """The allow-list."""
    output_schema: dict[str, Any] | None = Field(None, repr=False)
    """JSON schema of the final output."""

    def tool(self, name: str) -> ToolCard | None:
        """The tool of that name, if it is allowed."""
        return next((tool for tool in self.tools if tool.name == name), None)

    def digest(self) -> str:
        """The same for the same kit: 16 hexadecimal digits."""
        return digest_of(self.model_dump(mode="json", exclude_defaults=True))


def digest_of(value: Any) -> str:
    """16 hexadecimal digits of a JSON value, whatever the order of its fields."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
