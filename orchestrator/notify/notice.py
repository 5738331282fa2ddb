"""What is told: one event of a goal, with what its receiver must know of the goal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from orchestrator.domain.events import Event
from orchestrator.domain.trace import trace_id
from orchestrator.logs import redact


@dataclass(frozen=True, slots=True)
class Notice:
    """One outcome, as a callback receives it and as the body of a webhook says it."""

    id: str
    """The same however often it is told: remember it to notice a repetition."""
    type: str
    """Such as ``goal.done`` or ``node.failed``."""
    at: float
    """Redis time, seconds since the epoch."""
    goal: str
    owner: str
    title: str = ""
    parent: str = ""
    """The goal of which it is a sub-goal."""
    node: str = ""
    """Empty for what happened to the goal."""
    attempt: int | None = None
    trace: str = ""
    """The goal's trace id, as in its log lines."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """Of the event: reason, error, ..."""

    @classmethod
    def of(cls, event: Event, record: Mapping[str, str]) -> Self:
        """The notice of an event; `record` is the goal's. Passwords and keys in its texts are masked."""
        return cls(
            id=f"{event.goal}/{event.id}",
            type=event.type,
            at=event.at,
            goal=event.goal,
            owner=record.get("owner", "default"),
            title=redact(record.get("title", "")),
            parent=record.get("parent", ""),
            node=event.node,
            attempt=event.attempt,
            trace=trace_id(event.goal, record.get("created", "0")),
            data=_masked(event.data),
        )

    def as_json(self) -> dict[str, Any]:
        """The body of a webhook."""
        return asdict(self)


def _masked(value: Any) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {name: _masked(inner) for name, inner in value.items()}
    return [_masked(inner) for inner in value] if isinstance(value, list | tuple) else value
