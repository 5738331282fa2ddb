"""A transcript as the messages of a chat, as nFactorial keeps them. No I/O here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from orchestrator.agents.conversation.transcript import Answered, Entry, Results, Steered


def messages_of(entries: Iterable[Entry]) -> Iterator[dict[str, Any]]:
    """What was said, as messages with `role` and `content`; what the model wrote stays as it is, uninterpreted."""
    for entry in entries:
        if isinstance(entry, Answered):
            yield _answer(entry)
        elif isinstance(entry, Results):
            for result in entry.results:
                yield {"role": "tool", "tool_call_id": result.id, "content": result.text}
        elif isinstance(entry, Steered):
            yield {"role": entry.speaker, "content": entry.text}
        else:
            yield {"role": "user", "content": entry.text}


def _answer(entry: Answered) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": entry.text}
    if entry.calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in entry.calls
        ]
    return message
