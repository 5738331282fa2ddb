"""What the client needs of the limiter, in its own words."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self

from orchestrator.llm.limits import Cost


class Permit(Protocol):
    """The right to make one call; ends in exactly one of `settle`, `fail`, `abandon` and `unused`."""

    def settle(self, actual: Cost, learn: str = "") -> None:
        """It went well and used so much; `learn` (`model \\1 role`) names what such answers' lengths are kept for."""
        ...

    def fail(self, reason: str, actual: Cost | None = None) -> None:
        """The provider failed: counts towards the breaker. None: used as reserved."""
        ...

    def abandon(self, actual: Cost | None = None) -> None:
        """It ended in a way that says nothing about the provider. None: used as reserved."""
        ...

    def unused(self) -> None:
        """It was never sent."""
        ...

    def hold(self, seconds: float, reason: str) -> None:
        """The provider said 429: nothing goes out on the account for so long."""
        ...

    def open(self, seconds: float, reason: str) -> None:
        """Open the account's breaker."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Limiter(Protocol):
    """Lets calls go out in turn."""

    def acquire(
        self,
        account: str,
        cost: Cost,
        *,
        owner: str,
        goal: str = "",
        priority: int = 0,
        weight: float = 1.0,
        wait_seconds: float = 900.0,
        ttl_seconds: float = 10.0,
    ) -> Permit:
        """Wait for a permit; raises WaitOver, TooLarge, BreakerOpen, OverBudget or Withdrawn."""
        ...
