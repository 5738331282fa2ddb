"""Limits of one model beside those of its account: a call takes a permit of both.

The model has a line of its own, named `account/model`. Its permit is taken first, and held while the call waits for the
account's: calls of one model that is at its limit then never keep other models off the account. Every call takes both in
this order, so none waits for another in a circle.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

from orchestrator.llm.errors import PermitLost
from orchestrator.llm.limiter import Limiter
from orchestrator.llm.limits import Cost
from orchestrator.llm.lines import model_limits
from orchestrator.llm.permit import Permit
from orchestrator.llm.profiles import Profiles
from orchestrator.llm.upkeep import Upkeep
from orchestrator.store.connection import ConnectionFailed
from orchestrator.store.llm_records import Caller, Hold
from orchestrator.store.store import Store

FRESH_SECONDS: Final = 0.5
"""A call starts at most so long after its charge to the model's window; else the charge is moved."""


@dataclass(frozen=True, slots=True)
class Line:
    """A model's line."""

    account: str
    """Whose permit is needed too."""
    window_seconds: float


class JointLimiter:
    """The limiter that the client asks; safe to share between threads. Where a model has no limits it only passes on."""

    def __init__(
        self, limiter: Limiter, lines: Mapping[str, Line], restart: Callable[[str, Hold], bool],
        clock: Callable[[], float] = time.monotonic, upkeep: Upkeep | None = None,
    ) -> None:  # fmt: skip
        """`lines` by their names; `restart` moves a permit's charge to now, if it still can."""
        self._limiter = limiter
        self._lines = dict(lines)
        self._restart = restart
        self._clock = clock
        self._upkeep = upkeep or Upkeep()

    def acquire(
        self, account: str, cost: Cost, *, owner: str, goal: str = "", priority: int = 0, weight: float = 1.0,
        wait_seconds: float = 900.0, ttl_seconds: float = 10.0,
    ) -> Permit | JointPermit:  # fmt: skip
        """Wait for a permit of the account, or of a model's line and its account. Raises what the limiter raises."""
        asked: dict[str, Any] = {
            "owner": owner,
            "goal": goal,
            "priority": priority,
            "weight": weight,
            "ttl_seconds": ttl_seconds,
        }
        if account not in self._lines:
            return self._limiter.acquire(account, cost, wait_seconds=wait_seconds, **asked)
        end = self._clock() + wait_seconds
        while True:
            first = self._limiter.acquire(account, cost, wait_seconds=end - self._clock(), **asked)
            second = self._second(first, self._lines[account], cost, end, asked)
            if second is not None:
                return JointPermit(first, second)

    def complete(
        self,
        first: Permit,
        cost: Cost,
        *,
        owner: str,
        goal: str,
        priority: int,
        wait_seconds: float,
        ttl_seconds: float,
    ) -> Permit | JointPermit | None:
        """The permit of a line, with its account's where it is a model's. None: it was lost meanwhile, and is given back.

        Raises what the limiter raises for the account; the first permit is then given back.
        """
        if first.account not in self._lines:
            return first
        asked = {"owner": owner, "goal": goal, "priority": priority, "weight": 1.0, "ttl_seconds": ttl_seconds}
        second = self._second(first, self._lines[first.account], cost, self._clock() + wait_seconds, asked)
        return None if second is None else JointPermit(first, second)

    def _second(self, first: Permit, line: Line, cost: Cost, end: float, asked: Mapping[str, Any]) -> Permit | None:
        """The account's permit. None: the model's was lost meanwhile, both were given back."""
        began = self._clock()
        second = None
        try:
            # The longer the wait, the older the charge to the model's window: it is kept young, so that it does not leave
            # the window before the call has even gone out.
            with self._upkeep.every(line.window_seconds / 3, lambda: self._keep_young(first)):
                second = self._limiter.acquire(line.account, cost, wait_seconds=end - began, **asked)
            if self._clock() - began < FRESH_SECONDS or self._restart(first.account, first.hold_key):
                return second
        except BaseException:
            _give_back(first, second)
            raise
        _give_back(first, second)
        return None

    def _keep_young(self, first: Permit) -> None:
        self._restart(first.account, first.hold_key)


def _give_back(*permits: Permit | None) -> None:
    """Never sent: everything is refunded. One that is lost or out of reach comes back when its lease runs out."""
    for permit in permits:
        if permit is not None:
            with suppress(PermitLost, *ConnectionFailed):
                permit.unused()


class JointPermit:
    """A permit of a model's line and one of its account, which end together."""

    def __init__(self, model: Permit, account: Permit) -> None:
        self._model = model
        self._account = account

    def settle(self, actual: Cost, learn: str = "") -> None:
        """It went well and used so much. Raises PermitLost, when both have ended, as the other ends do."""
        self._both(lambda permit: permit.settle(actual, learn if permit is self._account else ""))

    def fail(self, reason: str, actual: Cost | None = None) -> None:
        """The provider failed: it counts towards both breakers."""
        self._both(lambda permit: permit.fail(reason, actual))

    def abandon(self, actual: Cost | None = None) -> None:
        """It ended in a way that says nothing about the provider."""
        self._both(lambda permit: permit.abandon(actual))

    def unused(self) -> None:
        """It was never sent."""
        self._both(lambda permit: permit.unused())

    def _both(self, end: Callable[[Permit], None]) -> None:
        try:
            end(self._account)
        finally:
            end(self._model)

    def hold(self, seconds: float, reason: str) -> None:
        """The provider said 429. Who limits models by themselves means this one: the account's other models go on."""
        self._model.hold(seconds, reason)

    def open(self, seconds: float, reason: str) -> None:
        """Open the account's breaker: quota is the account's."""
        self._account.open(seconds, reason)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._account.__exit__(kind, error, trace)
        finally:
            self._model.__exit__(kind, error, trace)


def joint(limiter: Limiter, store: Store, profiles: Profiles) -> JointLimiter:
    """The limiter for these profiles; `limiter` must know `model_limits` too."""
    limits = model_limits(profiles)
    lines = {
        name: Line(model.account, limits[name].window_seconds)
        for key, model in profiles.models.items()
        if (name := f"{model.account}/{key}") in limits
    }

    def restart(line: str, hold: Hold) -> bool:
        caller = Caller(limiter.limits_of(line).as_json())
        return store.llm.begin(line, caller, hold).outcome == "started"

    return JointLimiter(limiter, lines, restart)
