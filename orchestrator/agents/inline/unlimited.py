"""The limiter of inline runs: there is none."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from orchestrator.llm.limits import Cost


class Unlimited:
    """A limiter that lets every call go out, and its permit."""

    def acquire(self, account: str, cost: Cost, **_: Any) -> Self:  # noqa: ARG002
        """At once."""
        return self

    def settle(self, actual: Cost, learn: str = "") -> None:
        """Nothing is counted."""

    def fail(self, reason: str, actual: Cost | None = None) -> None:
        """Nothing is counted."""

    def abandon(self, actual: Cost | None = None) -> None:
        """Nothing is counted."""

    def unused(self) -> None:
        """Nothing is counted."""

    def hold(self, seconds: float, reason: str) -> None:
        """Nothing is held."""

    def open(self, seconds: float, reason: str) -> None:
        """There is no breaker."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None
