"""A transcript as messages, and what is left out of them when they do not fit into the model.

The rule: the oldest results of tools are replaced by a note of their size; if that is not enough, the oldest answers go,
each with its results and what was said before the next answer. The opening and the last turn always stay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from orchestrator.agents.conversation.hostile import Unreadable, read_value
from orchestrator.agents.conversation.transcript import Answered, Entry, Results, Steered, Told
from orchestrator.llm.messages import Message, Speaker, ToolCall
from orchestrator.llm.tokens import MESSAGE_OVERHEAD, REPLY_OVERHEAD

_SPEAKERS: Final = {"user": Speaker.USER, "system": Speaker.SYSTEM}
Count = Callable[[str], int]


@dataclass(frozen=True, slots=True)
class Trimmed:
    """What was left out of a request: results replaced by notes, entries left out whole, and the tokens before and after."""

    results: int
    entries: int
    before_tokens: int
    after_tokens: int


@dataclass(slots=True)
class _Shown:
    """A message with its tokens."""

    message: Message
    tokens: int


@dataclass(slots=True)
class _Block:
    """An answer and everything up to the next one; what was said before the first answer is a block too."""

    entries: int = 0
    shown: list[_Shown] = field(default_factory=list)

    @property
    def tokens(self) -> int:
        return sum(one.tokens for one in self.shown)


def fit(
    entries: Sequence[Entry], *, fixed_tokens: int, room_tokens: int, count: Count
) -> tuple[list[Message], Trimmed | None]:
    """The messages of a transcript that fit beside `fixed_tokens` of others into `room_tokens`, and what was left out.

    Where even the last turn does not fit, it is there nevertheless: then the call is refused as too long.
    """
    blocks = _blocks(entries, count)
    before = total = fixed_tokens + REPLY_OVERHEAD + sum(block.tokens for block in blocks)
    if total <= room_tokens:
        return _messages(blocks), None
    replaced: list[_Shown] = []
    for one in _old_results(blocks):
        if total <= room_tokens:
            break
        note = _shown(_note(one.message), count)
        if note.tokens < one.tokens:
            total -= one.tokens - note.tokens
            one.message, one.tokens = note.message, note.tokens
            replaced.append(one)
    lead, left = _without_oldest(blocks, total - room_tokens, count)
    if not replaced and not lead:
        return _messages(blocks), None
    still = {id(one) for block in left for one in block.shown}
    dropped = sum(block.entries for block in blocks) - sum(block.entries for block in left)
    after = fixed_tokens + REPLY_OVERHEAD + sum(one.tokens for one in lead) + sum(block.tokens for block in left)
    trimmed = Trimmed(sum(id(one) in still for one in replaced), dropped, before, after)
    return [one.message for one in lead] + _messages(left), trimmed


def _without_oldest(blocks: list[_Block], excess: int, count: Count) -> tuple[list[_Shown], list[_Block]]:
    """The blocks that stay when so many tokens must go, the last one always, and the note in place of the others."""
    note = _shown(Message(speaker=Speaker.USER, text=_LEFT_OUT), count)
    gone, saved = 0, -note.tokens
    while excess > saved and gone < len(blocks) - 1 and excess > 0:
        saved += blocks[gone].tokens
        gone += 1
    return ([note], blocks[gone:]) if gone and saved > 0 else ([], blocks)


_LEFT_OUT: Final = "[removed: the older part of this conversation]"


def tokens_of(message: Message, count: Count) -> int:
    """Tokens of one message, as `llm.tokens.count_request` counts them."""
    calls = sum(MESSAGE_OVERHEAD + count(call.name + call.arguments) for call in message.tool_calls)
    return MESSAGE_OVERHEAD + count(message.text) + calls


def _shown(message: Message, count: Count) -> _Shown:
    return _Shown(message, tokens_of(message, count))


def _note(message: Message) -> Message:
    return message.model_copy(update={"text": f"[removed: {len(message.text.encode())} bytes]"})


def _messages(blocks: Iterable[_Block]) -> list[Message]:
    return [one.message for block in blocks for one in block.shown]


def _old_results(blocks: Sequence[_Block]) -> Iterable[_Shown]:
    for block in blocks[:-1]:
        yield from (one for one in block.shown if one.message.speaker is Speaker.TOOL)


def _blocks(entries: Sequence[Entry], count: Count) -> list[_Block]:
    parts: list[list[Entry]] = []
    for entry in entries:
        if isinstance(entry, Answered) or not parts:
            parts.append([])
        parts[-1].append(entry)
    return [_Block(len(part), [_shown(message, count) for message in _of_part(part)]) for part in parts]


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
