"""Between the client and whoever answers: one attempt at one model, and what comes back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from orchestrator.llm.failures import Failure
from orchestrator.llm.headers import Window
from orchestrator.llm.messages import Request, ToolCall, Usage
from orchestrator.llm.profiles import Account


def never() -> bool:
    """Nobody cancels the call."""
    return False


@dataclass(frozen=True, slots=True)
class Call:
    """One attempt."""

    request: Request
    model: str
    """The profile's name of the model."""
    name: str
    """The provider's name of it."""
    account_name: str
    account: Account
    max_output_tokens: int
    until: float
    """Seconds of the monotonic clock by which the attempt ends."""
    receive: Callable[[str], None] | None = field(default=None, repr=False)
    """Gets the answer's text in pieces, while it is written."""
    cancelled: Callable[[], bool] = field(default=never, repr=False)
    """Is the answer no longer wanted? Asked from another thread, ten times a second; it must be quick."""

    @property
    def streamed(self) -> bool:
        """Is the answer asked for in pieces?"""
        return self.request.stream or self.receive is not None


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer."""

    finish_reason: str
    text: str = field(default="", repr=False)
    tool_calls: tuple[ToolCall, ...] = field(default=(), repr=False)
    usage: Usage | None = None
    """None: the provider did not say."""
    request_id: str = ""
    windows: Mapping[str, Window] = field(default_factory=dict)
    """What the provider says of its limits."""


class Provider(Protocol):
    """Answers calls: a service, or a stand-in for tests."""

    def send(self, call: Call) -> Answer | Failure:
        """Make one attempt. Never repeats, never waits for a limit, and raises only what `call.receive` raises.

        Once `call.cancelled` says so it ends within a quarter of a second, as a Failure of the kind `cancelled`.
        """
        ...

    def close(self) -> None:
        """Give back what is open."""
        ...
