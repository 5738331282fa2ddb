"""Tool calls as a model asks for them: each is accepted with its arguments, or refused with a fault that it can act on."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from orchestrator.agents.conversation.hostile import Unreadable, clean, cut_bytes, read_value, safe_name, shown
from orchestrator.agents.conversation.transcript import Answered, Called, Entry
from orchestrator.domain.agent import AgentLimits, Kit, ToolCard, ToolKind
from orchestrator.domain.errors import InvalidGoal
from orchestrator.domain.validate import read_goal
from orchestrator.llm.messages import ToolCall
from orchestrator.llm.schema import schema_faults

LAST_TURN: Final = "no tool may be called any more: this is the last turn, give the final answer now"
KEPT_BEYOND: Final = 16
"""Refused calls above `tools_per_turn` that stay in the transcript; more are forgotten and counted."""
SUB_GOAL_KINDS: Final = frozenset({"agent", "approval", "wait"})
"""What a model may plan: nothing that runs code by name."""
_SUB_GOAL_FIELDS: Final = frozenset({"title", "instructions", "nodes", "edges"})
_SUB_NODE_FIELDS: Final = frozenset(
    {"id", "title", "kind", "agent", "inputs", "join", "timeout_seconds", "expected_artifacts"}
)
_SPAWNING: Final = frozenset({ToolKind.AGENT, ToolKind.GOAL})
_ID: Final = re.compile(r"[A-Za-z0-9_.:-]{1,40}")


@dataclass(frozen=True, slots=True)
class Accepted:
    """A call that is carried out."""

    called: Called
    tool: ToolCard
    arguments: dict[str, Any]
    index: int
    """Its place among the calls of the turn."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What bounds the calls of one turn."""

    limits: AgentLimits
    kit: Kit
    spawned: int
    """Sub-agents and sub-goals that the node started before."""
    depth: int
    """How deep the node is: 0 for one that no agent started."""
    last: bool
    """It is the last turn."""


def judge_calls(
    asked: Sequence[ToolCall], allowed: Allowance, entries: Sequence[Entry], turn: int, name_of: Callable[[int], str]
) -> tuple[tuple[Called, ...], tuple[Accepted, ...]]:
    """Every call that is kept, in order, and those of them that are carried out."""
    most = allowed.limits.tools_per_turn
    kept = asked[: most + KEPT_BEYOND]
    ids = _unique_ids(kept, entries, turn)
    called: list[Called] = []
    accepted: list[Accepted] = []
    spawned = allowed.spawned
    for index, (call, id_) in enumerate(zip(kept, ids, strict=True)):
        tool, arguments, fault = _judged(call, allowed, spawned, index >= most)
        if fault and index == len(kept) - 1 and len(asked) > len(kept):
            fault += f"; {len(asked) - len(kept)} more calls were dropped"
        text, _ = cut_bytes(call.arguments, allowed.limits.argument_bytes)
        name = tool.name if tool else safe_name(call.name)
        node = name_of(index) if tool and not fault else ""
        called.append(Called(id=id_, name=name, arguments=text, node=node, fault=fault))
        if tool and not fault:
            spawned += tool.kind in _SPAWNING
            accepted.append(Accepted(called[-1], tool, arguments, index))
    return tuple(called), tuple(accepted)


def _judged(
    call: ToolCall, allowed: Allowance, spawned: int, beyond: bool
) -> tuple[ToolCard | None, dict[str, Any], str]:
    limits, kit = allowed.limits, allowed.kit
    tool = kit.tool(call.name)
    if allowed.last:
        return tool, {}, LAST_TURN
    if tool is None:
        known = ", ".join(one.name for one in kit.tools)
        return (
            None,
            {},
            f"there is no tool {shown(call.name, 64)!r}; " + (f"there are: {known}" if known else "there are none"),
        )
    if beyond:
        return tool, {}, f"more than {limits.tools_per_turn} calls in one turn; call it again in the next turn"
    if tool.kind in _SPAWNING and allowed.depth >= limits.depth:
        return tool, {}, f"sub-agents may go {limits.depth} deep, and this is as deep: do the work yourself"
    if tool.kind in _SPAWNING and spawned >= limits.spawn:
        return tool, {}, f"all {limits.spawn} sub-agents and sub-goals of this node are used up: do the work yourself"
    arguments, fault = read_arguments(call.arguments, tool, limits.argument_bytes)
    if not fault and tool.kind is ToolKind.GOAL:
        fault = "; ".join(sub_goal_faults(arguments.get("goal"), kit, limits))
    return tool, arguments, fault


def read_arguments(text: str, tool: ToolCard, most_bytes: int) -> tuple[dict[str, Any], str]:
    """The arguments of a call, or ({}, what is wrong with them). No text at all is an empty object."""
    size = len(clean(text).encode())
    if size > most_bytes:
        return {}, f"the arguments have {size} bytes, the limit is {most_bytes}"
    try:
        value = read_value(text) if text.strip() else {}
    except Unreadable as error:
        return {}, f"the arguments cannot be read: {error}"
    if not isinstance(value, dict):
        return {}, "the arguments must be a JSON object"
    faults = schema_faults(value, tool.parameters)
    return (value, "") if not faults else ({}, shown_faults("the arguments do not fit", faults))


def shown_faults(head: str, faults: Iterable[str], most: int = 10) -> str:
    """Faults as a model is told of them: so many, each 300 characters at most."""
    listed = list(faults)
    more = f" (and {len(listed) - most} more)" if len(listed) > most else ""
    return f"{head}: " + "; ".join(shown(fault, 300) for fault in listed[:most]) + more


def sub_goal_faults(document: Any, kit: Kit, limits: AgentLimits) -> list[str]:
    """What is wrong with a goal that a model planned. Its nodes may be agents that it may call anyway, approvals, waits."""
    if not isinstance(document, Mapping):
        return ["goal: must be an object"]
    strange = sorted(set(document) - _SUB_GOAL_FIELDS)
    faults = [f"goal: there is no field {shown(name, 64)!r}" for name in strange[:5]]
    nodes = document.get("nodes")
    agents = {tool.call or tool.name for tool in kit.tools if tool.kind is ToolKind.AGENT}
    listed = [node for node in nodes if isinstance(node, Mapping)] if isinstance(nodes, list) else []
    for index, node in enumerate(listed[: 10 * SUB_GOAL_NODES]):
        faults += [f"goal.nodes[{index}]: {fault}" for fault in _sub_node_faults(node, agents)]
    most = min(SUB_GOAL_NODES, limits.spawn * 10)
    if len(listed) > most:
        faults.append(f"goal.nodes: there are {len(listed)}, the limit is {most}")
    if sum(node.get("kind") == "agent" for node in listed) > limits.spawn:
        faults.append(f"goal.nodes: more than {limits.spawn} are agents")
    if faults:
        return faults[:10]
    try:
        read_goal(document)
    except InvalidGoal as error:
        return [shown(f"goal.{fault}", 300) for fault in error.faults[:10]]
    except (TypeError, ValueError, RecursionError) as error:
        return [f"goal: cannot be read: {type(error).__name__}"]
    return []


SUB_GOAL_NODES: Final = 100


def _sub_node_faults(node: Mapping[str, Any], agents: set[str]) -> Iterable[str]:
    kind = node.get("kind")
    if not isinstance(kind, str) or kind not in SUB_GOAL_KINDS:
        yield f"kind must be one of {', '.join(sorted(SUB_GOAL_KINDS))}"
    elif kind == "agent" and node.get("agent") not in agents:
        yield f"agent must be one of: {', '.join(sorted(agents)) or 'none is allowed'}"
    for name in sorted(set(node) - _SUB_NODE_FIELDS)[:3]:
        yield f"there is no field {shown(name, 64)!r}"


def _unique_ids(calls: Sequence[ToolCall], entries: Sequence[Entry], turn: int) -> list[str]:
    """The model's ids where they can stand, else `call_<turn>_<index>`: no two calls of a transcript have the same."""
    used = {call.id for entry in entries if isinstance(entry, Answered) for call in entry.calls}
    made = []
    for index, call in enumerate(calls):
        id_, again = call.id if _ID.fullmatch(call.id) else f"call_{turn}_{index}", 0
        while id_ in used:
            id_, again = f"call_{turn}_{index}" + (f"_{again}" if again else ""), again + 1
        used.add(id_)
        made.append(id_)
    return made
