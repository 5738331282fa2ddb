"""Node, edge and goal as people write them: the interchange format, with unknown fields refused.

These models check one object at a time; `domain.validate` reads a whole document and reports every fault in it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Final, Literal, NewType, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from orchestrator.domain.agent import AgentCard
from orchestrator.domain.condition import Condition
from orchestrator.domain.refs import references

GoalId = NewType("GoalId", str)
NodeId = NewType("NodeId", str)

ID_PATTERN: Final = r"^[A-Za-z0-9._-]{1,64}$"
Name = Annotated[str, StringConstraints(pattern=ID_PATTERN)]
SCHEMA_VERSION: Final = 1
MAX_PRIORITY: Final = 16_383
POSITIONAL: Final = "__args__"
"""The reserved input of a `task` node that holds its positional arguments, a list."""


class NodeKind(StrEnum):
    """What running a node means."""

    PYTHON = "python"  # a function registered with @node
    TASK = "task"  # a Celery task of the user's app, by name
    AGENT = "agent"  # turns of a model with tools
    LLM = "llm"  # one model call
    APPROVAL = "approval"  # a person says yes or no
    WAIT = "wait"  # a timer or a named signal
    GOAL = "goal"  # a DAG of its own
    MAP = "map"  # one child per item of an upstream output
    TOOL = "tool"  # one call of a function registered with @tool


_CALLING: Final = frozenset({NodeKind.PYTHON, NodeKind.TASK, NodeKind.MAP, NodeKind.TOOL})
"""Kinds whose `call` says what is run."""


class Firing(StrEnum):
    """Which ends of the source let an edge fire."""

    DONE = "done"
    FAILED = "failed"
    FINISHED = "finished"  # done, failed, skipped or dropped


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Node(_Model):
    """One step of a DAG. Every field but `id` has a default; times are seconds."""

    id: Name
    """1 to 64 letters, digits, dots, underscores or hyphens; once a goal."""
    title: str = Field("", max_length=1000)
    """What people read."""
    kind: NodeKind | None = None
    """None: `python` when `call` is given, else the default handler, which records the title."""
    call: str | None = Field(None, min_length=1, max_length=500)
    """`python`, `map`: a registered function, ``"package.module:function"``; `task`: a Celery task name; `tool`: a tool."""
    inputs: dict[str, Any] | None = None
    """Keyword arguments; ``{"from": "node", "path": "a.b"}`` anywhere inside stands for an upstream output."""
    goal: dict[str, Any] | None = None
    """kind `goal`: the document of the sub-DAG. Without it `inputs.goal` must give one at run time."""
    each: Literal["python", "task"] = "python"
    """kind `map`: what `call` names."""
    priority: int = Field(0, ge=0, le=MAX_PRIORITY)
    """Higher first, among nodes that are equally far from the end of the plan."""
    lane: Name | None = None
    """Nodes of a goal with the same lane run one at a time, in the order in which they became ready."""
    queue: Name | None = None
    """The Celery queue whose workers run it; without it the default queue."""
    agent: Name | None = None
    """kind `agent`: the agent that takes the turns, one of the goal's `agents` or of the workers' modules."""
    retries: int | None = Field(None, ge=0, le=1000)
    """How often it is tried again after a failure; without it the setting `node_retries`."""
    backoff_seconds: float | None = Field(None, ge=0, le=86_400, allow_inf_nan=False)
    """Base of the exponential back-off between retries; without it the setting `backoff_seconds`."""
    timeout_seconds: float | None = Field(None, gt=0, le=31_536_000, allow_inf_nan=False)
    """Time limit of one attempt; of a `wait` or `approval`, of the whole wait."""
    lease_seconds: float | None = Field(None, ge=0.5, le=86_400, allow_inf_nan=False)
    """How long its claim is valid without renewal; without it the setting `lease_seconds`."""
    join: Literal["all", "any"] | Annotated[int, Field(ge=1)] = "all"
    """How many of the edges into it must fire."""
    metadata: dict[str, str] = Field(default_factory=dict)
    """Free texts, kept and shown."""
    expected_artifacts: list[str] = Field(default_factory=list)
    """Names of what it should leave behind, kept and shown."""

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        kind, inputs = self.resolved_kind, self.inputs or {}
        if kind in _CALLING and self.kind is not None and not self.call:
            raise ValueError(f"a {kind} node needs 'call'")
        if kind is not None and kind not in _CALLING and self.call:
            raise ValueError(f"a {kind} node takes no 'call'")
        if kind is NodeKind.AGENT and not self.agent:
            raise ValueError("an agent node needs 'agent': the name of the agent that takes the turns")
        if kind is NodeKind.WAIT and ("seconds" in inputs) == ("signal" in inputs):
            raise ValueError("a wait node needs either inputs.seconds or inputs.signal")
        if kind is NodeKind.WAIT and inputs.get("signal", "x") == "":
            raise ValueError("inputs.signal is empty; a signal has a name")
        if kind is NodeKind.GOAL and (self.goal is None) == ("goal" not in inputs):
            raise ValueError("a goal node needs either 'goal' (a document) or inputs.goal (a reference to one)")
        if kind is NodeKind.LLM and ("prompt" in inputs) == ("messages" in inputs):
            raise ValueError("an llm node needs either inputs.prompt (a text) or inputs.messages (a list)")
        if kind is NodeKind.MAP and "items" not in inputs:
            raise ValueError("a map node needs inputs.items: a list, or a reference to one")
        if kind is not NodeKind.GOAL and self.goal is not None:
            raise ValueError(f"'goal' belongs to nodes of kind goal, this one is {kind or 'a plain node'}")
        return self

    @property
    def resolved_kind(self) -> NodeKind | None:
        """The kind that runs: None is the default handler."""
        return self.kind or (NodeKind.PYTHON if self.call else None)

    def upstream_references(self) -> list[str]:
        """The ids of the nodes whose outputs the inputs name, each once, in order."""
        return list(dict.fromkeys(references(self.inputs))) if self.inputs else []


class Edge(_Model):
    """`target` waits for `source` to end as `on` says, and for `when` to hold on its output."""

    source: Name
    """The node that ends first."""
    target: Name
    """The node that waits."""
    on: Firing = Firing.DONE
    """Which end of the source lets the edge fire; `finished` is any end but cancellation."""
    when: Condition | None = None
    """A test of the source's output; only with `on: done`."""

    @model_validator(mode="after")
    def _when_needs_an_output(self) -> Self:
        if self.when is not None and self.on is not Firing.DONE:
            raise ValueError(f"'when' tests the output, which only 'on: done' has; this edge is 'on: {self.on}'")
        return self


class Budget(_Model):
    """What a goal may spend on model calls."""

    tokens: int | None = Field(None, ge=0)
    """Tokens, input and output together."""
    micro_usd: int | None = Field(None, ge=0)
    """Millionths of a US dollar."""
    when_spent: Literal["pause", "fail"] = "pause"
    """What happens to the goal when a call does not fit into the rest: it pauses with the reason, or the node fails."""


class Dag(_Model):
    """The plan of a goal: nodes in document order, and the edges between them."""

    nodes: list[Node]
    """At least one."""
    edges: list[Edge] = Field(default_factory=list)
    """At most one between two nodes; no cycle."""


class Goal(Dag):
    """What someone wants done, with the DAG that does it."""

    schema_version: Literal[1] = SCHEMA_VERSION
    """The version of this format."""
    goal_id: Name | None = None
    """Its name, as for a node; without one it is given one. The same id with the same content is the same goal."""
    title: str = Field("", max_length=1000)
    """What people read."""
    instructions: str = Field("", max_length=100_000)
    """What is wanted, in words; kept and shown."""
    owner: Name = "default"
    """Whose it is."""
    priority: int = Field(0, ge=0, le=MAX_PRIORITY)
    """Which of four bands the goal's messages go to: 0, 1-9, 10-99, 100 or more; a higher band is served first."""
    budget: Budget | None = None
    """What it may spend on model calls."""
    deadline_seconds: float | None = Field(None, gt=0, le=31_536_000, allow_inf_nan=False)
    """It fails when it has not ended this long after its submission."""
    agents: tuple[AgentCard, ...] = Field((), max_length=1000)
    """The agents that its nodes name, where they are not registered in Python."""
    idempotency_key: str | None = Field(None, min_length=1, max_length=200)
    """A second submission by this owner with this key returns the first one's goal."""
