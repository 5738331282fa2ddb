"""The allow-list of an agent on a node: its tools' names as cards, fixed before any answer of the model is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Final, Self

from orchestrator.agents.conversation.hostile import safe_name
from orchestrator.agents.tools.signature import BadTool
from orchestrator.domain.agent import AgentCard, Kit, ToolCard, ToolKind
from orchestrator.domain.errors import ChordalError
from orchestrator.llm.schema import check_schema

PERSON_NAME: Final = "ask_person"
START_GOAL_NAME: Final = "start_goal"
TASK_PARAMETERS: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "args": {"type": "array", "description": "Positional arguments."},
        "kwargs": {"type": "object", "description": "Arguments by name."},
    },
    "additionalProperties": False,
}
"""Of a Celery task without a schema of its own."""


class UnknownTool(ChordalError):
    """An agent names tools that this worker does not know. Import their modules through CHORDAL_IMPORTS."""

    @classmethod
    def of(cls, names: Iterable[str], known: Iterable[str]) -> Self:
        """With what was probably meant."""
        listed = list(known)
        told = []
        for name in names:
            near = get_close_matches(name, listed, n=2)
            told.append(repr(name) + (f" (did you mean {' or '.join(map(repr, near))}?)" if near else ""))
        return cls(f"no tool is registered as {', '.join(told)}; {len(listed)} are registered here")


def make_kit(
    card: AgentCard, functions: Mapping[str, ToolCard], tasks: Mapping[str, ToolCard], agents: Mapping[str, AgentCard]
) -> Kit:
    """The kit; see `tools.kit_of`."""
    found: dict[str, ToolCard] = {}
    unknown = []
    for name in dict.fromkeys(card.tools):
        made = _one(name, functions, tasks, agents)
        if made is None:
            unknown.append(name)
        elif made.name in found:
            raise BadTool(f"the agent {card.name!r} has two tools that the model would call {made.name!r}")
        else:
            found[made.name] = made
    if unknown:
        also = [*functions, *(f"agent:{name}" for name in agents), PERSON_NAME, START_GOAL_NAME]
        raise UnknownTool.of(unknown, also)
    for one in found.values():
        check_schema(one.parameters)
    if card.output_schema is not None:
        check_schema(card.output_schema)
    return Kit(agent=card.name, tools=tuple(found.values()), output_schema=card.output_schema)


def _one(
    name: str, functions: Mapping[str, ToolCard], tasks: Mapping[str, ToolCard], agents: Mapping[str, AgentCard]
) -> ToolCard | None:
    kind, colon, rest = name.partition(":")
    if not colon:
        return functions.get(name) or _OURS.get(name)
    if kind == "task" and rest:
        return tasks.get(rest) or card_of_task(rest, None)
    if kind == "agent" and rest in agents:
        return _card_of_agent(agents[rest])
    return None


def card_of_task(task: str, parameters: dict[str, Any] | None) -> ToolCard:
    """A Celery task as a tool. Raises BadTool."""
    if not task or len(task) > 500:
        raise BadTool("a Celery task has a name of 1 to 500 characters")
    name = safe_name(f"task_{task}")
    told = f"Runs the Celery task {task}."[:4000]
    return ToolCard(
        name=name, description=told, kind=ToolKind.TASK, call=task, parameters=parameters or TASK_PARAMETERS
    )  # fmt: skip


def _card_of_agent(agent: AgentCard) -> ToolCard:
    role = f", {agent.role}" if agent.role and agent.role != agent.name else ""
    return ToolCard(
        name=safe_name(f"agent_{agent.name}"),
        description=f"Hands a task to the agent {agent.name}{role}, and gives its final output.",
        kind=ToolKind.AGENT,
        call=agent.name,
        queue=agent.queue,
        parameters=_object(task=("string", "What it is to do, with everything that it needs to know.")),
    )


def _object(**fields: tuple[str, str]) -> dict[str, Any]:
    properties = {name: {"type": type_, "description": told} for name, (type_, told) in fields.items()}
    return {"type": "object", "properties": properties, "required": list(fields), "additionalProperties": False}


_GOAL_TOLD: Final = (
    'A plan: {"title": text, "nodes": [{"id", "kind": "agent" | "approval" | "wait", "agent": name, "inputs": {"task": text}}], '
    '"edges": [{"source": id, "target": id}]}. Agents are those that you can call as tools.'
)
_OURS: Final = {
    PERSON_NAME: ToolCard(
        name=PERSON_NAME,
        description="Asks a person, and gives the answer. It may take long.",
        kind=ToolKind.PERSON,
        parameters=_object(question=("string", "What you want to know.")),
    ),
    START_GOAL_NAME: ToolCard(
        name=START_GOAL_NAME,
        description="Starts a goal of several steps, and gives the outputs of its last steps when all have ended.",
        kind=ToolKind.GOAL,
        parameters=_object(goal=("object", _GOAL_TOLD)),
    ),
}
