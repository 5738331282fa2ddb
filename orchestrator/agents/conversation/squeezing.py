"""The last turn of a conversation, cut to what fits: what one turn brings in has no bound that a model's context keeps.

The order: results of its tools, messages and what we told the model, arguments of its calls, its own text. Texts of one kind
are cut to the same length; those that are shorter stay whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Self

from orchestrator.agents.conversation.hostile import cut_bytes
from orchestrator.llm.messages import Message, Speaker
from orchestrator.llm.tokens import MESSAGE_OVERHEAD

FLOOR_TOKENS: Final = 64
"""A message is not cut below this while an older one can go instead: people say the important thing again."""
FEWEST_BYTES: Final = 16
"""A text of which less would stay is removed whole."""
Count = Callable[[str], int]


@dataclass(slots=True)
class Shown:
    """A message with its tokens."""

    message: Message
    tokens: int
    cut: bool = False
    """It is not what was said any more, but a part or a note of it."""

    @classmethod
    def of(cls, message: Message, count: Count) -> Self:
        """A message, whole."""
        return cls(message, tokens_of(message, count))

    def replace(self, message: Message, count: Count) -> int:
        """Show this instead, if it is shorter; returns how many tokens that saved."""
        saved = self.tokens - tokens_of(message, count)
        if saved <= 0:
            return 0
        self.message, self.tokens, self.cut = message, self.tokens - saved, True
        return saved


@dataclass(slots=True)
class Block:
    """An answer and everything up to the next one; what was said before the first answer is a block too."""

    entries: int = 0
    shown: list[Shown] = field(default_factory=list)

    @property
    def tokens(self) -> int:
        """Of all its messages."""
        return sum(one.tokens for one in self.shown)


def tokens_of(message: Message, count: Count) -> int:
    """Tokens of one message, as `llm.tokens.count_request` counts them."""
    calls = sum(MESSAGE_OVERHEAD + count(call.name + call.arguments) for call in message.tool_calls)
    return MESSAGE_OVERHEAD + count(message.text) + calls


def tokens_in(blocks: Iterable[Block]) -> int:
    """Tokens of all their messages."""
    return sum(block.tokens for block in blocks)


def noted(message: Message) -> Message:
    """The message with a note of its size in place of its text."""
    return message.model_copy(update={"text": _removed(message.text)})


def _removed(text: str) -> str:
    return f"[removed: {len(text.encode())} bytes]"


def squeeze(block: Block, room_tokens: int, count: Count) -> None:
    """Cut what the block shows until it fits, or until nothing is left to cut; every call keeps its result behind it."""
    for step in (_cut_results, _drop_oldest_said, _cut_said, _cut_arguments, _cut_answer):
        if block.tokens <= room_tokens:
            return
        step(block, room_tokens, count)


def _cut_results(block: Block, room_tokens: int, count: Count) -> None:
    _cut_evenly(block, [one for one in block.shown if one.message.speaker is Speaker.TOOL], room_tokens, count)


def _cut_said(block: Block, room_tokens: int, count: Count) -> None:
    _cut_evenly(block, _said(block), room_tokens, count)


def _cut_answer(block: Block, room_tokens: int, count: Count) -> None:
    _cut_evenly(block, [one for one in block.shown if one.message.speaker is Speaker.ASSISTANT], room_tokens, count)


def _cut_arguments(block: Block, room_tokens: int, count: Count) -> None:
    """The longest first. They stay JSON objects: providers read the arguments of earlier calls."""
    for one in block.shown:
        calls = list(one.message.tool_calls)
        for at in sorted(range(len(calls)), key=lambda at: -len(calls[at].arguments)):
            if block.tokens <= room_tokens:
                return
            calls[at] = calls[at].model_copy(update={"arguments": "{}"})
            one.replace(one.message.model_copy(update={"tool_calls": tuple(calls)}), count)


def _said(block: Block) -> list[Shown]:
    return [one for one in block.shown if one.message.speaker in (Speaker.USER, Speaker.SYSTEM)]


def _drop_oldest_said(block: Block, room_tokens: int, count: Count) -> None:
    """The oldest messages go where they are too many to leave each a part; a note says how many there were."""
    said = _said(block)
    note = Message(speaker=Speaker.USER, text=f"[removed: {len(said)} messages]")
    left = room_tokens - block.tokens + sum(one.tokens for one in said) - tokens_of(note, count)
    kept = 0
    while kept < len(said) and (left := left - min(said[-1 - kept].tokens, FLOOR_TOKENS)) >= 0:
        kept += 1
    gone = said[: len(said) - kept]
    if len(gone) < 2:  # a note of it is no shorter than what it would be cut to
        return
    note = note.model_copy(update={"text": f"[removed: {len(gone)} messages]"})
    unseen = {id(one) for one in gone}
    first = next(at for at, one in enumerate(block.shown) if id(one) in unseen)
    block.shown = [one for one in block.shown if id(one) not in unseen]
    block.shown.insert(first, Shown.of(note, count))
    block.entries -= len(gone)


def _cut_evenly(block: Block, shown: Sequence[Shown], room_tokens: int, count: Count) -> None:
    """Cut these of the block's messages so that all fit, the longest first, and none shorter than another that is cut."""
    level = _level([one.tokens for one in shown], room_tokens - block.tokens + sum(one.tokens for one in shown))
    for one in shown:
        if one.tokens > level:
            _cut(one, level, count)


def _level(sizes: Sequence[int], room: int) -> int:
    """The largest size with which all fit into the room if none is larger."""
    for at, size in enumerate(sorted(sizes)):
        share = room // (len(sizes) - at)
        if size > share:
            return max(0, share)
        room -= size
    return max(sizes, default=0)


def _cut(one: Shown, most_tokens: int, count: Count) -> None:
    """Leave the beginning of a text and say how much is gone; or a note alone, where there is no room for both."""
    text = one.message.text
    note = noted(one.message)
    keep = len(text.encode()) * (most_tokens - tokens_of(note, count)) // one.tokens
    while keep >= FEWEST_BYTES:
        kept, gone = cut_bytes(text, keep)
        made = one.message.model_copy(update={"text": f"{kept}\n[cut: {gone} bytes]"})
        tokens = tokens_of(made, count)
        if tokens <= most_tokens:
            one.replace(made, count)
            return
        keep = min(keep * most_tokens // tokens, keep * 7 // 8)
    one.replace(note, count)
