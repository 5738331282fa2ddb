"""Cards, kits and replies for tests of what agents are told and answer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from orchestrator.agents.conversation.decide import AskAgain, CallTools, Finished, GivenUp, after
from orchestrator.agents.conversation.transcript import Answered, Called, Entry, Result, Results
from orchestrator.domain.agent import AgentCard, AgentLimits, Kit, ToolCard, ToolKind
from orchestrator.llm.messages import Reply, ToolCall, Usage

LOOK = ToolCard(
    name="look",
    description="Look something up.",
    parameters={
        "type": "object",
        "properties": {"word": {"type": "string"}, "times": {"type": "integer", "minimum": 1}},
        "required": ["word"],
        "additionalProperties": False,
    },
)
HELPER = ToolCard(
    name="helper",
    kind=ToolKind.AGENT,
    call="helper",
    parameters={"type": "object", "properties": {"task": {"type": "string"}}, "required": ["task"]},
)
START_GOAL = ToolCard(
    name="start_goal",
    kind=ToolKind.GOAL,
    parameters={"type": "object", "properties": {"goal": {"type": "object"}}, "required": ["goal"]},
)
ANSWER_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"size": {"type": "integer"}},
    "required": ["size"],
    "additionalProperties": False,
}


def card(**limits: Any) -> AgentCard:
    """An agent with these limits."""
    return AgentCard(name="ada", instructions="Find out.", limits=AgentLimits(**limits))


def kit(*tools: ToolCard, schema: dict[str, Any] | None = None) -> Kit:
    """What it may use."""
    return Kit(agent="ada", tools=tools or (LOOK,), output_schema=schema)


def call(name: str = "look", arguments: Any = None, id_: str = "c1") -> ToolCall:
    """A call; arguments that are a text are sent as they are."""
    text = arguments if isinstance(arguments, str) else json.dumps(arguments or {"word": "x"})
    return ToolCall(id=id_, name=name, arguments=text)


def reply(text: str = "", *calls: ToolCall, finish: str = "", **fields: Any) -> Reply:
    """An answer of a model."""
    reason = finish or ("tool_calls" if calls else "stop")
    usage = fields.pop("usage", Usage(input_tokens=10, output_tokens=5))
    return Reply(text=text, tool_calls=calls, finish_reason=reason, model="m", account="a", usage=usage, **fields)


def follow(
    answer: Reply, entries: Sequence[Entry] = (), *, kit_: Kit | None = None, depth: int = 0, spawned: int = 0,
    judge: Any = None, **limits: Any,
) -> CallTools | Finished | AskAgain | GivenUp:  # fmt: skip
    """What follows from an answer."""
    found = kit_ or kit()
    return after(
        card(**limits), found, entries, answer, name_of=lambda index: f"n.t.{index}", spawned=spawned, depth=depth,
        judge=judge,
    )  # fmt: skip


def round_of(turn: int, result: str = "found", text: str = "") -> list[Entry]:
    """A turn that called one tool, and its result."""
    called = Called(id=f"id{turn}", name="look", arguments='{"word": "x"}', node=f"n.t{turn}.0")
    return [
        Answered(turn=turn, text=text, calls=(called,), input_tokens=3, output_tokens=2, micro_usd=7),
        Results(turn=turn, results=(Result(id=f"id{turn}", text=result),)),
    ]
