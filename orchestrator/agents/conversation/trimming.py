"""A transcript as messages, and what is left out of them when they do not fit into the model.

The rule: the oldest results of tools are replaced by a note of their size; if that is not enough, the oldest answers go,
each with its results and what was said before the next answer. At last the last turn itself is cut (`squeezing`): whatever
came in one turn, it fits beside the opening.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from orchestrator.agents.conversation.hostile import Unreadable, read_value
from orchestrator.agents.conversation.squeezing import Block, Shown, noted, squeeze, tokens_in, tokens_of
from orchestrator.agents.conversation.transcript import Answered, Entry, Results, Steered, Told
from orchestrator.llm.messages import Message, Speaker, ToolCall
from orchestrator.llm.tokens import REPLY_OVERHEAD

__all__ = ["Trimmed", "fit", "tokens_of"]

_SPEAKERS: Final = {"user": Speaker.USER, "system": Speaker.SYSTEM}
Count = Callable[[str], int]


@dataclass(frozen=True, slots=True)
class Trimmed:
    """What was left out of a request, and its tokens before and after."""

    results: int
    """Results of tools that were cut or replaced by a note."""
    entries: int
    """Entries that were left out whole, and answers and messages that were cut."""
    before_tokens: int
    after_tokens: int


def fit(
    entries: Sequence[Entry], *, fixed_tokens: int, room_tokens: int, count: Count
) -> tuple[list[Message], Trimmed | None]:
    """The messages of a transcript that fit beside `fixed_tokens` of others into `room_tokens`, and what was left out.

    Where not even the others fit, there are none: then the call is refused as too long.
    """
    fixed = fixed_tokens + REPLY_OVERHEAD
    room = room_tokens - fixed
    blocks = _blocks(entries, count)
    before = tokens_in(blocks)
    if before <= room or not blocks:
        return _messages(blocks), None
    there = sum(block.entries for block in blocks)
    _note_old_results(blocks, before - room, count)
    left = _without_oldest(blocks, room, count)
    if tokens_in(left) > room:
        squeeze(left[-1], room - tokens_in(left[:-1]), count)
    for less in (
        left[-1:],
        [_left_out(count)],
        [],
    ):  # a place too small for the calls of a turn and notes of their results
        left = less if tokens_in(left) > room else left
    cut = [one for block in left for one in block.shown if one.cut]
    results = sum(one.message.speaker is Speaker.TOOL for one in cut)
    dropped = there - sum(block.entries for block in left)
    return _messages(left), Trimmed(results, dropped + len(cut) - results, fixed + before, fixed + tokens_in(left))


def _note_old_results(blocks: Sequence[Block], excess: int, count: Count) -> None:
    """Results before the last turn become notes of their size, the oldest first, until so many tokens are gone."""
    old = (one for block in blocks[:-1] for one in block.shown if one.message.speaker is Speaker.TOOL)
    while excess > 0 and (one := next(old, None)) is not None:
        excess -= one.replace(noted(one.message), count)


def _without_oldest(blocks: list[Block], room: int, count: Count) -> list[Block]:
    """The blocks that stay when the oldest go until the others fit, the last one always, and a note in place of the others."""
    note, gone = _left_out(count), 0
    excess, saved = tokens_in(blocks) - room, -note.tokens
    while excess > 0 and excess > saved and gone < len(blocks) - 1:
        saved += blocks[gone].tokens
        gone += 1
    return [note, *blocks[gone:]] if gone and saved > 0 else blocks


_LEFT_OUT: Final = "[removed: the older part of this conversation]"


def _left_out(count: Count) -> Block:
    return Block(0, [Shown.of(Message(speaker=Speaker.USER, text=_LEFT_OUT), count)])


def _messages(blocks: Iterable[Block]) -> list[Message]:
    return [one.message for block in blocks for one in block.shown]


def _blocks(entries: Sequence[Entry], count: Count) -> list[Block]:
    parts: list[list[Entry]] = []
    for entry in entries:
        if isinstance(entry, Answered) or not parts:
            parts.append([])
        parts[-1].append(entry)
    return [Block(len(part), [Shown.of(message, count) for message in _of_part(part)]) for part in parts]


def _of_part(part: Sequence[Entry]) -> Iterable[Message]:
    """The calls' results come right behind the calls, in their order, whatever was said while the tools ran."""
    results = {result.id: result.text for entry in part if isinstance(entry, Results) for result in entry.results}
    for entry in part:
        match entry:
            case Answered():
                calls = tuple(
                    ToolCall(id=one.id, name=one.name, arguments=_sound(one.arguments)) for one in entry.calls
                )
                text = entry.text or ("" if calls else "(nothing)")
                yield Message(speaker=Speaker.ASSISTANT, text=text, tool_calls=calls)
                for call in calls:
                    yield Message(speaker=Speaker.TOOL, text=results.get(call.id, "(no result)"), tool_call_id=call.id)
            case Steered():
                yield Message(speaker=_SPEAKERS[entry.speaker], text=entry.text)
            case Told():
                yield Message(speaker=Speaker.USER, text=entry.text)


def _sound(arguments: str) -> str:
    """Providers and chat templates read the arguments of earlier calls: what is no JSON object would break every turn."""
    try:
        return arguments if isinstance(read_value(arguments), dict) else "{}"
    except Unreadable:
        return "{}"
