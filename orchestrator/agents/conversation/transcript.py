"""What was said on an agent's node, entry by entry, in the order in which it was committed.

The opening (instructions, task, memory) is not part of it: it is made anew for every turn, so that a changed instruction
reaches the next one. An entry is JSON in the node's list; the entries alone say where the agent stands.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Called(_Entry):
    """One tool call that the model asked for."""

    id: str
    """The model's id of it."""
    name: str
    """The tool."""
    arguments: str = Field(repr=False)
    """JSON text, as the model wrote it."""
    node: str = ""
    """The node that carries it out; '' where it was refused."""
    fault: str = Field("", repr=False)
    """Why it was refused; the model reads this as the call's result."""


class Answered(_Entry):
    """An answer of the model: one turn."""

    kind: Literal["answer"] = "answer"
    turn: int
    """Counts from 1, without a gap."""
    text: str = Field("", repr=False)
    """What the model wrote."""
    calls: tuple[Called, ...] = ()
    """The tools that it called."""
    model: str = ""
    """The profile's model that answered."""
    input_tokens: int = 0
    """Of this turn."""
    output_tokens: int = 0
    """Of this turn."""
    micro_usd: int | None = 0
    """Of this turn, its failed attempts included; None where no price is known."""
    final: bool = False
    """It is the final output."""


class Result(_Entry):
    """What one tool call gave."""

    id: str
    """The model's id of the call."""
    text: str = Field("", repr=False)
    """The result, cut to its limit, or the error."""
    failed: bool = False
    """It is an error."""


class Results(_Entry):
    """The results of the calls of a turn, in the order of the calls."""

    kind: Literal["results"] = "results"
    turn: int
    """Of the answer that called."""
    results: tuple[Result, ...]
    """One a call, the refused ones included."""


class Steered(_Entry):
    """A message from outside that was taken in."""

    kind: Literal["steered"] = "steered"
    id: str
    """The message's own."""
    speaker: Literal["user", "system"] = "user"
    """In whose name it is said."""
    text: str = Field(repr=False)
    """What it says."""


class Told(_Entry):
    """What we told the model: faults of its answer, that its last turn has come, the outcome of a recovery."""

    kind: Literal["told"] = "told"
    why: Literal["fault", "recovery", "retry"]
    """What for."""
    text: str = Field(repr=False)
    """What it says."""
    node: str = ""
    """Of a recovery: the node that tried it."""


Entry = Answered | Results | Steered | Told
_ENTRY: Final[TypeAdapter[Entry]] = TypeAdapter(Annotated[Entry, Field(discriminator="kind")])


def as_text(entry: Entry) -> str:
    """An entry as it is stored."""
    fields = entry.model_dump(mode="json", exclude_defaults=True)
    return json.dumps({"kind": entry.kind, **fields}, separators=(",", ":"), ensure_ascii=False)


def of_text(text: str) -> Entry:
    """The entry of `as_text`. Raises pydantic.ValidationError."""
    return _ENTRY.validate_json(text)


def entry_of(fields: Any) -> Entry:
    """The entry of decoded JSON. Raises pydantic.ValidationError."""
    return _ENTRY.validate_python(fields, strict=False)


def turns(entries: Sequence[Entry]) -> int:
    """How many answers there are."""
    return sum(isinstance(entry, Answered) for entry in entries)


def waiting(entries: Sequence[Entry]) -> Answered | None:
    """The answer whose tool calls have no results yet."""
    for entry in reversed(entries):
        if isinstance(entry, Results):
            return None
        if isinstance(entry, Answered):
            return entry if entry.calls else None
    return None


def used(entries: Sequence[Entry]) -> int:
    """How many turns of its limit an agent has used: a node that was set running again after it failed begins anew."""
    count = 0
    for entry in entries:
        if isinstance(entry, Told) and entry.why == "retry":
            count = 0
        count += isinstance(entry, Answered)
    return count
