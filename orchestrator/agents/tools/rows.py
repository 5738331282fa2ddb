"""A tool call as the node that carries it out, and how that node ended as what the model reads."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Any, Final

from orchestrator.agents.conversation.arguments import Accepted
from orchestrator.agents.conversation.hostile import cut_bytes, shown
from orchestrator.agents.conversation.transcript import Called, Result
from orchestrator.agents.tools.kits import TASK_PARAMETERS
from orchestrator.domain.agent import AgentCard, AgentLimits, ToolCard, ToolKind
from orchestrator.domain.dag import POSITIONAL
from orchestrator.domain.errors import OutputNotSerialisable
from orchestrator.engine.encode import score
from orchestrator.engine.payload import to_json
from orchestrator.store.records import NodeRow

DEPTH: Final = "agent_depth"
"""Metadata of the agents of a sub-goal: how deep they are."""
ERROR_CHARACTERS: Final = 1000
NOTE_BYTES: Final = 32
"""Room for the note that something was cut, so that a result with its note is not cut again."""


def tool_row(
    accepted: Accepted,
    *,
    card: AgentCard,
    parent: str,
    depth: int,
    priority: int,
    queue: str | None = None,
    head: Mapping[str, Any] | None = None,
) -> NodeRow:
    """The node of an accepted call, below the agent's node `parent` at `depth`.

    `queue` is the agent's node's own; `head` holds fields for the document of a sub-goal, such as `owner` and `agents`.
    The arguments are stored as they are: what looks like a reference in them is none.
    """
    tool = accepted.tool
    fields = _SPECS[tool.kind](accepted, card, depth)
    if tool.kind is ToolKind.GOAL:
        fields["goal"] = {**(head or {}), **fields["goal"]}
    spec = {"title": tool.name, "_literal": True, **fields}
    return NodeRow(
        id=accepted.called.node,
        spec=to_json(spec),
        parents="",
        edges=f"{parent}:i",
        need=0,
        open=None,
        score=score(2, priority),
        queue=_queue(tool, queue or card.queue),
        lane="",
        lease_ms=None,
    )


def _queue(tool: ToolCard, agents: str | None) -> str:
    """Functions run where the agent's other work runs; who starts a task or a goal and waits can be anybody."""
    named = tool.queue
    if tool.kind in (ToolKind.PYTHON, ToolKind.DEFERRED):
        named = tool.queue or agents
    elif tool.kind is not ToolKind.AGENT:
        named = None
    return named if named and named != "default" else ""


def _function(accepted: Accepted, card: AgentCard, _: int) -> dict[str, Any]:
    tool = accepted.tool
    fields: dict[str, Any] = {
        "kind": "tool",
        "call": tool.call or tool.name,
        "agent": card.name,
        "inputs": accepted.arguments,
        "retries": tool.retries,
        "result_bytes": tool.result_bytes or card.limits.result_bytes,
    }
    if tool.approval:
        fields["approval"] = True
    if tool.timeout_seconds is not None:
        fields["timeout_seconds"] = tool.timeout_seconds
    if tool.kind is ToolKind.DEFERRED:
        fields["deferred"] = new_secret()
    return fields


def new_secret() -> str:
    """What completes a deferred call, beside the ids of its goal and node: letters, digits, underscores and hyphens."""
    return secrets.token_urlsafe(16)


def _task(accepted: Accepted, _: AgentCard, __: int) -> dict[str, Any]:
    tool, inputs = accepted.tool, accepted.arguments
    if tool.parameters == TASK_PARAMETERS:
        inputs = {**inputs.get("kwargs", {}), POSITIONAL: inputs.get("args", [])}
    else:
        inputs = {name: value for name, value in inputs.items() if name != POSITIONAL}
    fields: dict[str, Any] = {"kind": "task", "call": tool.call, "inputs": inputs, "retries": tool.retries}
    if tool.queue:
        fields["queue"] = tool.queue
    if tool.timeout_seconds is not None:
        fields["timeout_seconds"] = tool.timeout_seconds
    return fields


def _agent(accepted: Accepted, _: AgentCard, depth: int) -> dict[str, Any]:
    return {"kind": "agent", "agent": accepted.tool.call, "inputs": accepted.arguments, "_depth": depth + 1}


def _goal(accepted: Accepted, _: AgentCard, depth: int) -> dict[str, Any]:
    document = dict(accepted.arguments["goal"])
    document["nodes"] = [
        {**node, "metadata": {DEPTH: str(depth + 1)}} if node.get("kind") == "agent" else node
        for node in document["nodes"]
    ]
    return {"kind": "goal", "goal": document, "retries": 0}


def _person(accepted: Accepted, card: AgentCard, _: int) -> dict[str, Any]:
    question = str(accepted.arguments.get("question", ""))
    fields: dict[str, Any] = {
        "kind": "approval",
        "title": shown(f"{card.name} asks: {question}", 1000),
        "inputs": {"question": question},
    }
    if accepted.tool.timeout_seconds is not None:
        fields["timeout_seconds"] = accepted.tool.timeout_seconds
    return fields


_SPECS: Final[Mapping[ToolKind, Callable[[Accepted, AgentCard, int], dict[str, Any]]]] = {
    ToolKind.PYTHON: _function,
    ToolKind.DEFERRED: _function,
    ToolKind.TASK: _task,
    ToolKind.AGENT: _agent,
    ToolKind.GOAL: _goal,
    ToolKind.PERSON: _person,
}


def result_of(called: Called, tool: ToolCard, limits: AgentLimits, state: str, output: Any, failure: str) -> Result:
    """What the model reads of a call whose node ended in this state with this output, or failed for this reason."""
    if state != "DONE":
        return Result(id=called.id, text=error_text(failure or f"the call was {state.lower()}"), failed=True)
    text = as_result(_told(tool, output), tool.result_bytes or limits.result_bytes)
    return Result(id=called.id, text=text)


def _told(tool: ToolCard, output: Any) -> Any:
    """An output without what only people need."""
    if not isinstance(output, Mapping):
        return output
    if tool.kind is ToolKind.PERSON:
        return output.get("comment") or ("yes" if output.get("approved") else "no answer")
    if tool.kind is ToolKind.AGENT:
        return output.get("output")
    if tool.kind is ToolKind.GOAL:
        return {name: _of_agent(one) for name, one in (output.get("outputs") or {}).items()}
    return output


def _of_agent(output: Any) -> Any:
    return output["output"] if isinstance(output, Mapping) and {"output", "turns", "usage"} <= set(output) else output


def error_text(failure: str) -> str:
    """An error of a tool as the model reads it: no traceback, 1,000 characters."""
    return f"ToolError: {shown(failure, ERROR_CHARACTERS)}"


def as_result(output: Any, most_bytes: int) -> str:
    """A result as text: itself, or JSON. One that is too long is cut between two characters, and says how much is gone."""
    try:
        text = output if isinstance(output, str) else to_json(output)
    except OutputNotSerialisable:  # what was read from JSON is JSON; a half pair of a surrogate is what this is about
        text = str(output)
    whole, cut = cut_bytes(text, most_bytes)
    if not cut:
        return whole
    kept, cut = cut_bytes(text, most_bytes - NOTE_BYTES)
    return f"{kept}\n[cut: {cut} more bytes]"
