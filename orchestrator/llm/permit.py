"""The right to make one call: it reserves, is settled with what was used, and ends."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Self

from orchestrator.llm.errors import PermitLost
from orchestrator.llm.limits import Cost
from orchestrator.store.llm_records import Hold, Release

if TYPE_CHECKING:
    from orchestrator.llm.station import Station


class Permit:
    """A granted call. As a context manager it ends with the block: settled as reserved, unless it was settled before."""

    def __init__(self, station: Station, hold: Hold, cost: Cost, ttl_seconds: float) -> None:
        self._station = station
        self._hold = hold
        self.cost = cost
        """What is reserved."""
        self.ttl_seconds = ttl_seconds
        self.renewed = station.clock()
        self.lost = False
        self.ended = False

    @property
    def id(self) -> str:
        """Unique on the account."""
        return self._hold.id

    @property
    def fence(self) -> int:
        """Rises with every grant on the account."""
        return self._hold.fence

    @property
    def hold_key(self) -> Hold:
        """What scripts compare."""
        return self._hold

    @property
    def account(self) -> str:
        """Whose limits it counts against."""
        return self._station.account

    def settle(self, actual: Cost, learn: str = "") -> None:
        """The call is over and used so much; the rest is given back. Raises PermitLost if the lease had run out.

        `learn`, `model \\1 role`, says for which calls the output tokens are remembered; the store's `learned` gives them.
        """
        self._end(Release.OK, actual, learn=learn)

    def fail(self, reason: str, actual: Cost | None = None) -> None:
        """The provider failed (5xx, time-out, nonsense): it counts towards the breaker. None: used as reserved."""
        self._end(Release.FAILED, self.cost if actual is None else actual, reason)

    def abandon(self, actual: Cost | None = None) -> None:
        """The call ended in a way that says nothing about the provider. None: used as reserved."""
        self._end(Release.UNKNOWN, self.cost if actual is None else actual)

    def unused(self) -> None:
        """The call was never sent: everything is refunded."""
        self._end(Release.UNUSED, Cost(0, 0))

    def _end(self, how: Release, used: Cost, reason: str = "", learn: str = "") -> None:
        if self.ended:
            return
        self.ended = True
        if self._station.release(self, how, used, reason, learn) == "lost":
            raise PermitLost(
                f"account {self.account}: the lease of permit {self.id} ran out before its end", self.account
            )

    def hold(self, seconds: float, reason: str) -> None:
        """The provider said 429: nothing goes out for so long, and the rate falls by 0.7, once for all calls in flight."""
        self._station.adjust("throttled", str(round(seconds * 1000)), f"{self.fence} {reason}")

    def open(self, seconds: float, reason: str) -> None:
        """The account cannot be used (`insufficient_quota`): open the breaker; then one call goes out as a probe."""
        self._station.adjust("open", str(round(seconds * 1000)), reason)

    def renew(self) -> None:
        """Prolong the lease now; the limiter also does so by itself. Raises PermitLost."""
        if self.lost or self.id in self._station.renew([self]):
            raise PermitLost(f"account {self.account}: the lease of permit {self.id} is lost", self.account)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.ended:
            return
        if kind is None:
            self.settle(self.cost)
            return
        try:
            self.abandon()
        except PermitLost:
            return  # the error that ended the block says more
