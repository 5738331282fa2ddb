"""The decisions of an agent's turns: what the model is asked, and what follows from its answer. Pure; no I/O.

Whatever a model wrote is hostile: it is bounded, read as strict JSON, and never repeated at length in what we tell it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from orchestrator.agents.conversation.arguments import Accepted, Allowance, judge_calls, shown_faults
from orchestrator.agents.conversation.hostile import Unreadable, clean, cut_bytes, read_value, unfenced
from orchestrator.agents.conversation.opening import Opening, opening
from orchestrator.agents.conversation.transcript import (
    Answered,
    Called,
    Entry,
    Result,
    Results,
    Steered,
    Told,
    turns,
    used,
)
from orchestrator.agents.conversation.trimming import Trimmed, fit, tokens_of
from orchestrator.domain.agent import AgentCard, Kit
from orchestrator.domain.errors import ChordalError
from orchestrator.llm.messages import Message, Reply, Request, Speaker, Tool
from orchestrator.llm.schema import schema_faults

__all__ = [
    "Accepted",
    "AskAgain",
    "CallTools",
    "Finished",
    "GivenUp",
    "NoFinalAnswer",
    "Opening",
    "Trimmed",
    "WholeJudge",
    "after",
    "opening",
    "outcome",
    "request",
    "results_of",
]

Judge = Callable[[Any], list[str]]
FINAL_NOW: Final = "This is your last turn: give the final answer now. No tool can be called."
MOST_TEXT_BYTES: Final = 1_048_576
"""The largest answer that is kept; of a larger one the beginning is, and it is not taken as final."""
_WITHHELD: Final = frozenset({"content_filter", "refusal"})


@dataclass(frozen=True, slots=True)
class WholeJudge:
    """A judge who names the faults against the schema too, so that an answer is told of all its faults at once."""

    faults: Judge
    shown: int = 50
    """So many of them are told."""

    def __call__(self, output: Any) -> list[str]:
        return self.faults(output)


class NoFinalAnswer(ChordalError):
    """The transcript does not end with a final answer. Ask for its outcome when the node is done."""


@dataclass(frozen=True, slots=True)
class CallTools:
    """Carry out `calls`; `answered.calls` holds the refused ones too, with their faults and without a node."""

    answered: Answered
    calls: tuple[Accepted, ...]


@dataclass(frozen=True, slots=True)
class Finished:
    """The final output: a text, or what the schema asks for."""

    answered: Answered
    output: Any


@dataclass(frozen=True, slots=True)
class AskAgain:
    """Nothing to carry out: append these and ask the model again."""

    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class GivenUp:
    """The model gave too many answers in a row that could not be used; `reason` names the last one's faults."""

    answered: Answered
    reason: str
    entries: tuple[Entry, ...] = ()
    """What to append to the transcript: the answer, and what was wrong with it."""


def request(
    card: AgentCard,
    kit: Kit,
    start: Opening,
    entries: Sequence[Entry],
    *,
    model: str,
    room_tokens: int,
    count: Callable[[str], int],
) -> tuple[Request, Trimmed | None]:
    """The request of the next turn, and what was left out of it to fit into `room_tokens` of input.

    On the last turn no tools are offered, and a sentence says that the final answer is due.
    """
    last = _is_last(card, entries)
    tools = () if last else tuple(_tool(tool.name, tool.description, tool.parameters) for tool in kit.tools)
    head = [Message(speaker=Speaker.SYSTEM, text=start.system), Message(speaker=Speaker.USER, text=start.task)]
    tail = [Message(speaker=Speaker.USER, text=FINAL_NOW)] if last else []
    shapes = [tool.model_dump(mode="json") for tool in tools] + ([kit.output_schema] if kit.output_schema else [])
    fixed = sum(tokens_of(message, count) for message in head + tail)
    fixed += sum(count(json.dumps(shape, ensure_ascii=False)) for shape in shapes)
    room = min(room_tokens, card.limits.context_tokens or room_tokens)
    middle, trimmed = fit(entries, fixed_tokens=fixed, room_tokens=room, count=count)
    made = Request(
        model=model,
        messages=tuple(head + middle + tail),
        tools=tools,
        response_schema=kit.output_schema,
        check=False,
        role=card.resolved_role,
        max_output_tokens=card.limits.max_output_tokens,
    )
    return made, trimmed


def _is_last(card: AgentCard, entries: Sequence[Entry]) -> bool:
    return used(entries) + 1 >= card.limits.max_turns


def _tool(name: str, description: str, parameters: dict[str, Any]) -> Tool:
    return Tool(name=name, description=description, parameters=parameters)


def after(
    card: AgentCard,
    kit: Kit,
    entries: Sequence[Entry],
    reply: Reply,
    *,
    name_of: Callable[[int], str],
    spawned: int,
    depth: int,
    judge: Judge | None = None,
) -> CallTools | Finished | AskAgain | GivenUp:
    """What follows from a model's answer.

    `name_of(i)` is the id of the node that carries out call i; `spawned` counts the sub-agents and sub-goals that the node
    started before; `depth` is 0 for a node that no agent started. `judge` names the faults of a final output that follows
    the schema. An answer that cannot be used is given back with its faults, `limits.repairs` times in a row, on the last
    turn too; these answers then go beyond `max_turns`.
    """
    turn = turns(entries) + 1
    if reply.tool_calls:
        allowed = Allowance(card.limits, kit, spawned, depth, _is_last(card, entries))
        called, accepted = judge_calls(reply.tool_calls, allowed, entries, turn, name_of)
        answered = _answered(turn, reply, called)
        if accepted:
            return CallTools(answered, accepted)
        refused = Results(turn=turn, results=tuple(_refusal(call) for call in called))
        return _again(card, entries, answered, refused, called[0].fault)
    faults, output = _final(kit, reply, judge)
    if not faults:
        return Finished(_answered(turn, reply, final=True), output)
    most = judge.shown if isinstance(judge, WholeJudge) else 10
    fault = shown_faults("the answer cannot be used", faults, most)
    return _again(card, entries, _answered(turn, reply), Told(why="fault", text=_TOLD.format(fault)), fault)


_TOLD: Final = "{}. Answer again, and mend this."


def _again(
    card: AgentCard, entries: Sequence[Entry], answered: Answered, told: Results | Told, fault: str
) -> AskAgain | GivenUp:
    before = _unusable(entries)
    if before < card.limits.repairs:
        return AskAgain((answered, told))
    count = f"after {before + 1} answers in a row that could not be used" if before else "after the first fault"
    return GivenUp(answered, f"given up at turn {answered.turn}, {count}: {fault}", (answered, told))


def _unusable(entries: Sequence[Entry]) -> int:
    """How many of the latest answers led to nothing, since the last final answer, tool call, message or retry."""
    count = 0
    for entry in reversed(entries):
        if isinstance(entry, Steered) or (isinstance(entry, Told) and entry.why != "fault"):
            break
        if isinstance(entry, Answered):
            if entry.final or any(call.node for call in entry.calls):
                break
            count += 1
    return count


def _final(kit: Kit, reply: Reply, judge: Judge | None) -> tuple[list[str], Any]:
    if reply.finish_reason == "length":
        return [f"it was cut off after {reply.usage.output_tokens} tokens; be shorter"], None
    if reply.finish_reason in _WITHHELD:
        return [f"the provider withheld it ({reply.finish_reason})"], None
    if not reply.text.strip():
        return ["it is empty"], None
    if cut_bytes(reply.text, MOST_TEXT_BYTES)[1]:
        return [f"it has more than {MOST_TEXT_BYTES} bytes; be shorter"], None
    try:
        output = _output(kit, clean(reply.text))
    except Unreadable as error:
        return [f"it must be JSON that follows the schema: {error}"], None
    if isinstance(judge, WholeJudge):
        return judge(output), output
    faults = schema_faults(output, kit.output_schema) if kit.output_schema is not None else []
    return faults or (judge(output) if judge else []), output


def _output(kit: Kit, text: str) -> Any:
    return text if kit.output_schema is None else read_value(unfenced(text))


def _answered(turn: int, reply: Reply, calls: tuple[Called, ...] = (), final: bool = False) -> Answered:
    return Answered(
        turn=turn,
        text=cut_bytes(reply.text, MOST_TEXT_BYTES)[0],
        calls=calls,
        model=reply.model,
        input_tokens=reply.usage.input_tokens,
        output_tokens=reply.usage.output_tokens,
        micro_usd=reply.micro_usd,
        final=final,
    )


def _refusal(call: Called) -> Result:
    return Result(id=call.id, text=f"refused: {call.fault}", failed=True)


def results_of(answered: Answered, given: Mapping[str, Result]) -> Results:
    """The results of an answer's calls in their order: the refused ones with their faults, `given` by the calls' ids."""
    missing = Result(id="", text="no result", failed=True)
    found = [
        _refusal(call) if call.fault else given.get(call.id, missing.model_copy(update={"id": call.id}))
        for call in answered.calls
    ]
    return Results(turn=answered.turn, results=tuple(found))


def outcome(card: AgentCard, kit: Kit, entries: Sequence[Entry]) -> dict[str, Any]:
    """The node's output: the final text, the output that it stands for, and what all turns took. Raises NoFinalAnswer."""
    answers = [entry for entry in entries if isinstance(entry, Answered)]
    if not answers or not answers[-1].final:
        raise NoFinalAnswer(f"the agent {card.name!r} has not given its final answer, {len(answers)} turns")
    prices = [answer.micro_usd for answer in answers]
    return {
        "text": answers[-1].text,
        "output": _output(kit, answers[-1].text),
        "turns": len(answers),
        "usage": {
            "input_tokens": sum(answer.input_tokens for answer in answers),
            "output_tokens": sum(answer.output_tokens for answer in answers),
        },
        "micro_usd": None if None in prices else sum(price or 0 for price in prices),
    }
