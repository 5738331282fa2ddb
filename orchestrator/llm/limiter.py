"""The limiter: code asks for a permit, waits its turn, makes its call, and settles what it used.

`with limiter.acquire("openai", Cost(1200, 400), owner="team-a") as permit:` blocks the thread (or greenlet) until the
account's limits and the fair order of everybody who waits, in every process, let the call go out.
"""

from __future__ import annotations

import os
import re
import threading
import uuid
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from orchestrator.llm.errors import (
    BreakerOpen,
    IdTaken,
    LlmError,
    OverBudget,
    TooLarge,
    WaitOver,
    Withdrawn,
)
from orchestrator.llm.limits import Cost, Limits, override_json
from orchestrator.llm.permit import Permit
from orchestrator.llm.station import Station
from orchestrator.llm.status import Snapshot
from orchestrator.llm.told import Waiter
from orchestrator.store.llm import GATE
from orchestrator.store.llm_records import OUTSIDE, Ask, Caller, Hold, Outcome, Word
from orchestrator.store.store import Store

WAIT_SECONDS: Final = 900.0
TTL_SECONDS: Final = 10.0
CLAIM_SECONDS: Final = 1.0
"""A grant that its process has not taken up after this long goes back."""
GATED_CLAIM_SECONDS: Final = 10.0
"""The same for a gated call, whose message has a broker and a worker's queue to pass."""
_SHORTEST_TTL: Final = 2.0
_PLAIN: Final = re.compile(r"[A-Za-z0-9._/:@-]{1,128}")
_ID: Final = re.compile(r"[^\x00-\x20\x7f]{1,400}")
_LISTED: Final = 1000


class Limiter:
    """Limits by account; `"*"` stands for accounts that are not named, and without it they have no limits.

    Safe to share between threads, and usable in forked children. Two threads a process and account serve it.
    """

    def __init__(self, store: Store, limits: Mapping[str, Limits]) -> None:
        self._store = store
        self._limits = dict(limits)
        self._forget_parent()
        forked = weakref.WeakMethod(self._forget_parent)
        os.register_at_fork(after_in_child=lambda: (forget := forked()) and forget())

    def _forget_parent(self) -> None:
        """Threads do not survive a fork, and a lock may have been held by one of them."""
        self._lock = threading.Lock()
        self._stations: dict[str, Station] = {}

    def limits_of(self, account: str) -> Limits:
        """The limits by the settings; an operator's `set_limits` stands over them."""
        return self._limits.get(account) or self._limits.get("*") or Limits()

    def acquire(
        self, account: str, cost: Cost, *, owner: str, goal: str = "", priority: int = 0, weight: float = 1.0,
        owner_weight: float = 1.0, wait_seconds: float = WAIT_SECONDS, ttl_seconds: float = TTL_SECONDS,
    ) -> Permit:  # fmt: skip
        """Wait for a permit. Fair shares go to owners by `owner_weight`, then to the goals of an owner by `weight`.

        Inside a goal a higher `priority` goes first, then who came first. The lease is renewed while this process lives.
        Raises WaitOver, TooLarge, BreakerOpen, OverBudget, Withdrawn; ValueError for arguments that make no sense.
        """
        _check(account, owner, goal, weight, owner_weight, ttl_seconds)
        station = self._station(account)
        ask = Ask(
            cost.input_tokens, cost.output_tokens, cost.micro_usd, owner, goal, station.process, station.process,
            round(CLAIM_SECONDS * 1000), round(ttl_seconds * 1000), priority, weight, owner_weight,
        )  # fmt: skip
        end = station.clock() + wait_seconds
        while True:
            permit = self._try(station, ask, cost, wait_seconds, end)
            if permit is not None:
                return permit

    def join(
        self, account: str, id: str, cost: Cost, *, nonce: str, owner: str, goal: str, priority: int = 0,
        weight: float = 1.0, owner_weight: float = 1.0, ttl_seconds: float = TTL_SECONDS,
    ) -> Word:  # fmt: skip
        """Put a gated call into the line, from any process, without waiting. Safe to send again under the same nonce.

        `granted` must be published by the caller; after `queued` the word goes to the account's gate; else why not:
        `too_large`, `over_budget`, `breaker`, `taken`. ValueError for arguments that make no sense.
        """
        _check(account, owner, goal, weight, owner_weight, ttl_seconds)
        if not _ID.fullmatch(id):
            raise ValueError(f"id {id!r}: printable and without blanks, 1 to 400 characters")
        ask = Ask(
            cost.input_tokens, cost.output_tokens, cost.micro_usd, owner, goal, nonce, GATE,
            round(GATED_CLAIM_SECONDS * 1000), round(ttl_seconds * 1000), priority, weight, owner_weight, gated=True,
        )  # fmt: skip
        answer = self._store.llm.acquire(account, Caller(self.limits_of(account).as_json()), id, ask)
        return Word(id, Outcome(answer.outcome), str(answer.rest[0]))

    def leave(self, account: str, id: str) -> Word:
        """Take one call out of the line: `cancelled`, also for a gated one that was granted and did not begin yet;
        `granted` for one that has begun, `unknown` for one that never was or is over."""
        return Word.of(self._store.llm.cancel(account, self._outside(account), [id]).rest[0])

    def take_up(
        self, account: str, id: str, fence: int, nonce: str, cost: Cost, ttl_seconds: float = TTL_SECONDS
    ) -> Permit | None:
        """The gated call begins now, in this process, which renews its lease from now on. None: the permit is lost."""
        _check(account, ttl_seconds=ttl_seconds)
        return self._station(account).take_up(Hold(id, fence, nonce), cost, ttl_seconds)

    def holds(self, account: str, id: str, fence: int) -> bool:
        """Is this grant still out? One that was not taken up in time is not, and will be granted anew."""
        return self._store.llm.fence(account, id) == fence

    def open_gate(self, account: str, publish: Callable[[Word], None]) -> None:
        """Hand every word for gated calls to `publish`, in a thread of its own, and keep the account's time, until close.

        Any number of processes may; each word reaches one. A grant that is not taken up within 10 s, because `publish`
        raised or its process died, goes back into its place. Raises ValueError if this process has done so before.
        """
        self._station(account).open_gate(publish)

    def _try(self, station: Station, ask: Ask, cost: Cost, wait_seconds: float, end: float) -> Permit | None:
        """One way through the line. None: this process stood still and took its grant up too late."""
        waiter, word = station.acquire(uuid.uuid4().hex, ask)
        if word.outcome is Outcome.QUEUED:
            word = self._wait(station, waiter, wait_seconds, end)
        if word.outcome is not Outcome.GRANTED:
            raise refusal(station.account, word)
        return station.started(waiter, word, cost)

    def _wait(self, station: Station, waiter: Waiter, seconds: float, end: float) -> Word:
        try:
            waiter.woken.wait(max(0.0, end - station.clock()))
        except BaseException:
            self._give_up(station, waiter)
            raise
        if waiter.word is not None:
            return waiter.word
        word = station.leave(waiter)
        if word.outcome is Outcome.GRANTED:
            return word
        before = int(word.detail) if word.outcome is Outcome.CANCELLED else 0
        raise WaitOver(station.account, seconds, before, self.waits_for(station.account))

    def _give_up(self, station: Station, waiter: Waiter) -> None:
        """The thread was interrupted while it waited: what was granted meanwhile goes back."""
        word = waiter.word or station.leave(waiter)
        if word.outcome is Outcome.GRANTED:
            cost = Cost(waiter.ask.input_tokens, waiter.ask.output_tokens, waiter.ask.micro_usd)
            permit = station.started(waiter, word, cost)
            if permit is not None:
                permit.unused()

    def waits_for(self, account: str) -> str:
        """What the line waits for, in words."""
        seen = Snapshot.of(account, self._store.llm.status(account, self._outside(account), 1))
        if seen.draining:
            return "the account, which is drained"
        if seen.hold_seconds:
            return f"the end of a hold of {seen.hold_seconds:.1f} s: {seen.hold_reason}"
        if seen.breaker != "closed":
            return f"the breaker, {seen.breaker}: {seen.breaker_reason}"
        full = [f"{name} ({one.used} of {one.allowed})" for name, one in seen.usage.items() if one.limit is not None]
        return f"{', '.join(full) or 'a slot'}; {seen.waiting} wait on the account"

    def status(self, account: str) -> Snapshot:
        """The account as it is now."""
        return Snapshot.of(account, self._store.llm.status(account, self._outside(account), _LISTED))

    def accounts(self) -> list[str]:
        """Accounts that were ever used."""
        return self._store.llm.accounts()

    def set_limits(self, account: str, changes: Mapping[str, int | None]) -> None:
        """Put limits, by their names in `Limits`, over those of the settings, for every process; {} takes all back.

        Raises ValueError for what cannot be set at run time.
        """
        self._adjust(account, "limits", override_json(changes) if changes else "")

    def set_slots(self, account: str, slots: int | None) -> None:
        """So many slots have the live llm workers: gated calls in flight never exceed them. None: not known."""
        self._adjust(account, "slots", str(-1 if slots is None else slots))

    def gated(self, account: str) -> int:
        """How many slots of llm workers the account could use: calls that hold one, and calls that wait."""
        return self._store.llm.demand(account)

    def spent(self, account: str, goal: str) -> tuple[int, int]:
        """Tokens and micro-USD that a goal with a budget has reserved and spent on the account."""
        return self._store.llm.spent(account, f"goal:{goal}")

    def drain(self, account: str, on: bool = True) -> None:
        """Grant nothing more; calls in flight end, waiters keep their places. `on=False` goes on."""
        self._adjust(account, "drain", str(int(on)))

    def hold(self, account: str, seconds: float, reason: str) -> None:
        """Let nothing go out for so long."""
        self._adjust(account, "hold", str(round(seconds * 1000)), reason)

    def open_breaker(self, account: str, seconds: float, reason: str) -> None:
        """Refuse calls for so long, then try one."""
        self._adjust(account, "open", str(round(seconds * 1000)), reason)

    def close_breaker(self, account: str) -> None:
        """Let calls go out again."""
        self._adjust(account, "close", "")

    def set_budget(
        self, account: str, *, owner: str = "", goal: str = "", tokens: int | None = None, micro_usd: int | None = None
    ) -> None:
        """What an owner or a goal may spend on this account, from now on counted; None: as much as it likes."""
        purse = f"goal:{goal}" if goal else f"owner:{owner}"
        for unit, most in (("tokens", tokens), ("usd", micro_usd)):
            self._adjust(account, "budget", "" if most is None else str(most), f"{purse}:{unit}")

    def change_budget(self, account: str, owner: str, tokens: int | None, micro_usd: int | None) -> None:
        """What an owner may spend on this account from now on; None: that unit stays as it is."""
        for unit, most in (("tokens", tokens), ("usd", micro_usd)):
            if most is not None:
                self._adjust(account, "budget", str(most), f"owner:{owner}:{unit}")

    def forget(self, account: str, *, owner: str = "", goal: str = "") -> None:
        """Drop the budget of an owner or goal and what it has spent."""
        self._adjust(account, "forget", f"goal:{goal}" if goal else f"owner:{owner}")

    def withdraw(self, account: str, owner: str, goal: str) -> int:
        """Take every waiter of a goal out of the line: each raises Withdrawn. Returns how many."""
        return self._store.llm.withdraw(account, self._outside(account), owner, goal)

    def close(self) -> None:
        """Stop the threads of this process."""
        with self._lock:
            for station in self._stations.values():
                station.close()
            self._stations.clear()

    def _adjust(self, account: str, what: str, value: str, detail: str = "") -> None:
        self._store.llm.adjust(account, self._outside(account), what, value, detail)

    def tend(self, accounts: Sequence[str], late_seconds: float) -> list[str]:
        """Tick where nobody does: whoever should have is late by so much, and so it is dead. Returns where."""
        now_ms = self._store.fleet.clock_ms()
        untended = self._store.llm.untended(accounts, now_ms - round(late_seconds * 1000))
        for account in untended:
            self._store.llm.tick(account, self._outside(account))
        return untended

    def _outside(self, account: str) -> Caller:
        _check(account)
        return Caller(self.limits_of(account).as_json(), OUTSIDE)

    def _station(self, account: str) -> Station:
        station = self._stations.get(account)
        if station is not None:
            return station
        with self._lock:
            if account not in self._stations:
                self._stations[account] = Station(self._store, account, self.limits_of(account).as_json())
            return self._stations[account]


def _check(
    account: str, owner: str = "x", goal: str = "", weight: float = 1.0, owner_weight: float = 1.0,
    ttl_seconds: float = TTL_SECONDS,
) -> None:  # fmt: skip
    if not _PLAIN.fullmatch(account):
        raise ValueError(f"account {account!r}: 1 to 128 of letters, digits and . _ / : @ -")
    if not owner or not (owner + goal).isprintable() or len(owner + goal) > 200:
        raise ValueError(f"owner {owner!r}, goal {goal!r}: printable, the owner not empty, 200 characters at most")
    if not (weight > 0 and owner_weight > 0):
        raise ValueError(f"weight {weight:g}, owner_weight {owner_weight:g}: more than 0")
    if ttl_seconds < _SHORTEST_TTL:
        raise ValueError(f"ttl_seconds is {ttl_seconds:g}: at least {_SHORTEST_TTL:g}")


def refusal(account: str, word: Word) -> LlmError:
    """Why there is no permit, as callers get it."""
    detail = word.detail
    if word.outcome is Outcome.TOO_LARGE:
        return TooLarge(f"account {account}: the call is above the limit of {detail} and can never go out", account)
    if word.outcome is Outcome.BREAKER:
        return BreakerOpen(f"account {account}: the breaker is open: {detail}", account)
    if word.outcome is Outcome.OVER_BUDGET:
        return OverBudget(f"account {account}: the budget of {detail} cannot pay for the call", account)
    if word.outcome is Outcome.CANCELLED:
        return Withdrawn(f"account {account}: the call was taken out of the line", account)
    if word.outcome is Outcome.TAKEN:
        return IdTaken(f"account {account}: {word.id} is in use", account)
    return LlmError(f"account {account}: no permit: {word.outcome}", account)
