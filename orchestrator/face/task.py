"""A task: what an agent is asked to do, and the goal that it becomes. No I/O here."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import to_jsonable_python

from orchestrator.domain.agent import ID_PATTERN, AgentCard, AgentLimits
from orchestrator.domain.refs import references
from orchestrator.face.config import AgentWorkerConfig
from orchestrator.face.errors import InvalidTask

NODE: Final = "task"
"""The node of a task's goal."""
BATCH: Final = "batch-"
"""How the ids of batches begin; a task of a batch is called `<batch>.t<number>`."""
_TITLE_CHARACTERS: Final = 100
_RESERVED: Final = frozenset({"task", "judge"})
_ROLES: Final = ("system", "user", "assistant")


class AgentContext(BaseModel):
    """What an agent is asked, and later what became of it. Further fields are allowed; the model is shown them as data."""

    model_config = ConfigDict(extra="allow")

    query: str
    """What it is asked to do."""
    messages: list[dict[str, Any]] = []
    """What was said before, each with `role` and `content`; `get_task_data` puts the whole conversation here."""
    turn: int = 0
    """Turns that were taken."""
    output: Any = None
    """The final output."""
    attempt: int = 0
    """The attempt, from 1, of the node; 0 before the first."""

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return self.model_dump(mode="json")

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> AgentContext:
        """From plain data. Raises pydantic.ValidationError."""
        return cls.model_validate(dict(data))


@dataclass(frozen=True, slots=True)
class Task:
    """A task for `enqueue_task`. Its id is that of the goal which it becomes."""

    agent: str
    """The name of the agent."""
    owner_id: str
    """Whose it is."""
    payload: AgentContext
    """What is asked."""
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    """1 to 64 letters, digits, dots, underscores or hyphens."""
    max_turns: int | None = None
    """Answers of the model at most; None: as the agent says."""

    @classmethod
    def create(
        cls,
        owner_id: str,
        agent: str,
        payload: AgentContext | Mapping[str, Any] | str,
        max_turns: int | None = None,
        id: str | None = None,
    ) -> Task:
        """A task with a new id, or the given one. A text is the query. Raises InvalidTask."""
        task = cls(agent, owner_id, read_payload(payload), str(uuid.uuid4()) if id is None else id, max_turns)
        _check(task)
        return task


class Named(Protocol):
    """Something with a name, such as an agent."""

    @property
    def name(self) -> str:
        """Its name."""
        ...


def create_task(
    agent: Named, *, owner_id: str, payload: AgentContext | Mapping[str, Any] | str, max_turns: int | None = None
) -> Task:
    """A task for this agent, to be given to `enqueue_task`. Raises InvalidTask."""
    return Task.create(owner_id, agent.name, payload, max_turns)


def read_payload(payload: AgentContext | Mapping[str, Any] | str) -> AgentContext:
    """What is asked, from a context, a mapping or a text. Raises InvalidTask."""
    if isinstance(payload, AgentContext):
        return payload
    if not isinstance(payload, str | Mapping):
        raise InvalidTask(f"payload is an AgentContext, a mapping or a text, not {type(payload).__name__}")
    try:
        return AgentContext.model_validate({"query": payload} if isinstance(payload, str) else dict(payload))
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise InvalidTask(f"the payload is not an AgentContext: {wrong}") from None


def goal_of(task: Task, cards: Sequence[AgentCard], config: AgentWorkerConfig, lease_seconds: float) -> dict[str, Any]:
    """The goal that a task becomes: one node of kind `agent`, and the agents (the task's first) that it may need.

    `lease_seconds` is the longest lease of the node. Raises InvalidTask.
    """
    _check(task)
    if task.agent != cards[0].name:
        raise InvalidTask(f"the task is for the agent {task.agent!r}, not for {cards[0].name!r}")
    limits = config.limits() | ({} if task.max_turns is None else {"max_turns": task.max_turns})
    first = cards[0].model_copy(update={"limits": cards[0].limits.model_copy(update=limits)})
    title = " ".join(task.payload.query.split())
    node = {
        "id": NODE,
        "kind": "agent",
        "agent": first.name,
        "title": title if len(title) <= _TITLE_CHARACTERS else f"{title[: _TITLE_CHARACTERS - 1]}…",
        "inputs": _inputs(task.payload),
        "lease_seconds": max(0.5, min(lease_seconds, config.stale_seconds)),
        **({"queue": first.queue} if first.queue else {}),
    }
    return {
        "goal_id": task.id,
        "owner": task.owner_id,
        "title": node["title"],
        "agents": [card.model_dump(mode="json", exclude_defaults=True) for card in (first, *cards[1:])],
        "nodes": [node],
    }


def batch_of(batch: str, owner: str, goals: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The goal of a batch: a sub-goal for each task, beside each other. One that fails does not stop the others."""
    width = len(str(len(goals)))
    nodes = [
        {"id": f"t{index:0{width}}", "kind": "goal", "title": goal["title"], "retries": 0,
         "goal": {name: value for name, value in goal.items() if name != "goal_id"}}
        for index, goal in enumerate(goals, 1)
    ]  # fmt: skip
    return {"goal_id": batch, "owner": owner, "title": f"{len(goals):,} tasks", "nodes": nodes}


def batch_of_task(task_id: str) -> str | None:
    """The batch that a task belongs to, by its id."""
    batch, dot, _ = task_id.rpartition(".")
    return batch if dot and batch.startswith(BATCH) else None


def asked_of(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The payload that inputs were made of, as plain data."""
    rest = {name: value for name, value in inputs.items() if name != "task"}
    return AgentContext(query=str(inputs.get("task", "")), **rest).to_dict()


def _check(task: Task) -> None:
    """Whatever a caller may have got wrong, by the field. Raises InvalidTask."""
    names: dict[str, Any] = {"owner_id": task.owner_id, "id": task.id}
    for what, name in names.items():
        if not isinstance(name, str) or not re.fullmatch(ID_PATTERN.strip("^$"), name):
            raise InvalidTask(
                f"{what} {name!r} is not 1 to 64 letters, digits, dots, underscores or hyphens; map yours"
            )
    if not task.payload.query.strip():
        raise InvalidTask("payload.query is empty: say what the agent is to do")
    if task.max_turns is None:
        return
    try:
        AgentLimits.model_validate({"max_turns": task.max_turns}, strict=True)
    except ValidationError as error:
        raise InvalidTask(f"max_turns {task.max_turns!r}: {error.errors()[0]['msg']}") from None


def _as_json(payload: AgentContext) -> dict[str, Any]:
    """What is asked, with the query as `task`. Raises InvalidTask, which names a field that JSON does not have."""
    found: dict[str, Any] = {}
    fields = {"query": payload.query, "messages": payload.messages, **(payload.model_extra or {})}
    for name, value in fields.items():
        try:
            text = json.dumps(to_jsonable_python(value), allow_nan=False, ensure_ascii=False)
            found[name] = json.loads(text.encode())
        except (ValueError, TypeError, RecursionError) as error:
            raise InvalidTask(f"payload.{name} is no JSON: {error}") from None
    return {"task": found.pop("query"), **found}


def _inputs(payload: AgentContext) -> dict[str, Any]:
    if payload.turn or payload.output is not None:
        raise InvalidTask("a task begins at turn 0 and without an output; hand on what was said before as `messages`")
    for message in payload.messages:
        if message.get("role") not in _ROLES or not isinstance(message.get("content"), str):
            raise InvalidTask("each of `messages` has a role (system, user or assistant) and a content, a text")
    if taken := _RESERVED & (payload.model_extra or {}).keys():
        raise InvalidTask(f"a field of the payload cannot be called {min(taken)!r}: it has a meaning of its own here")
    inputs = _as_json(payload)
    if not payload.messages:
        del inputs["messages"]
    if any(references(inputs)):
        raise InvalidTask('a value {"from": ...} would be read as the output of a node; name that field differently')
    return inputs
