"""One process on one account: its waiters, its permits, and the two threads that serve them.

The inbox thread sleeps in one blocking pop and wakes waiters. The timer thread sleeps until this process must tick, says
every half second that the process lives while it waits or holds something, and renews leases. Nothing polls.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from orchestrator.llm.limits import Cost
from orchestrator.llm.permit import Permit
from orchestrator.store.connection import ConnectionFailed
from orchestrator.store.llm_records import Answer, Ask, Caller, Hold, Outcome, Release, Word
from orchestrator.store.store import Store

log = logging.getLogger(__name__)

BEAT_SECONDS: Final = 0.5
"""Well below the time after which a silent process counts as dead (1.5 s in the scripts)."""
AWAY_SECONDS: Final = 0.2
"""Pause before the next try while Redis is away."""


@dataclass(eq=False, slots=True)
class Waiter:
    """One call of this process that waits for its turn."""

    id: str
    ask: Ask
    woken: threading.Event = field(default_factory=threading.Event)
    word: Word | None = None


class Station:
    """Safe to share between threads; of no use in a forked child."""

    def __init__(self, store: Store, account: str, limits: str) -> None:
        self.store = store
        self.account = account
        self.process = uuid.uuid4().hex[:12]
        self.clock: Callable[[], float] = time.monotonic
        self._limits = limits
        self._waiters: dict[str, Waiter] = {}
        self._permits: dict[str, Permit] = {}
        self._started: deque[tuple[str, int]] = deque()
        self._seen = self._account_ms = 0
        self._alarm: float | None = None
        self._spoken = self._next_beat = 0.0
        self._answered: deque[str] = deque(maxlen=1024)
        self._turn = threading.Condition()
        self._idle = self._stopped = False
        self._met = self._missed = False
        """An operation was answered; one was answered as if this process had been away."""
        self._inbox = store.llm.inbox(store.url, account, self.process)
        for work in (self._read, self._keep_time):
            threading.Thread(target=work, name=f"chordal-llm-{work.__name__.strip('_')}", daemon=True).start()

    # -- operations ---------------------------------------------------------------------------------------------------

    def _call(self, operation: Callable[[Caller], Answer]) -> Answer:
        """Run an operation; take along what started, and heed what its answer asks of this process."""
        started = []
        with suppress(IndexError):
            while True:
                started.append(self._started.popleft())
        try:
            answer = operation(Caller(self._limits, self.process, self._seen, started))
        except BaseException:
            self._started.extend(started)
            raise
        self._heed(answer)
        return answer

    def _heed(self, answer: Answer) -> None:
        with self._turn:
            self._spoken, self._account_ms = self.clock(), answer.now_ms
            self._seen = max(self._seen, answer.fence)
            if answer.alarm_ms:
                # Measured from when the answer arrives: a tick may be late by half a round trip, never early.
                due = self._spoken + (answer.alarm_ms - answer.now_ms) / 1000
                if self._alarm is None or due < self._alarm:
                    self._alarm = due
                    self._turn.notify()
            if not answer.known and self._met:
                self._missed = True
                self._turn.notify()
            self._met = True
            if self._idle and (self._waiters or self._permits):
                self._turn.notify()

    def acquire(self, name: str, ask: Ask) -> tuple[Waiter, Answer]:
        """Join the line; the waiter is woken with its word, unless the answer has it already."""
        waiter = Waiter(name, ask)
        self._waiters[name] = waiter
        try:
            answer = self._call(lambda caller: self.store.llm.acquire(self.account, caller, name, ask))
        except BaseException:
            self._waiters.pop(name, None)
            raise
        if answer.outcome != Outcome.QUEUED:
            self._answered.append(name)
            self._waiters.pop(name, None)
        return waiter, answer

    def started(self, waiter: Waiter, word: Word, cost: Cost) -> Permit | None:
        """The call begins: told with this process's next operation, half a second from now at the latest.

        A thread that comes late to its grant asks first, so that the window holds: None if it is too late.
        """
        hold = Hold(waiter.id, word.fence, waiter.ask.nonce)
        permit = self._permits[waiter.id] = Permit(self, hold, cost, waiter.ask.ttl_ms / 1000)
        with self._turn:
            age_ms = self._account_ms + (self.clock() - self._spoken) * 1000 - word.at_ms
        if age_ms > waiter.ask.claim_ms / 2:
            outcome = "lost"
            try:
                outcome = self._call(lambda caller: self.store.llm.begin(self.account, caller, hold)).outcome
            finally:
                if outcome == "lost":
                    del self._permits[waiter.id]
            if outcome == "lost":
                return None
        else:
            self._started.append((waiter.id, word.fence))
        with self._turn:
            if self._idle:
                self._turn.notify()
        return permit

    def leave(self, waiter: Waiter) -> Word:
        """Out of the line: 'cancelled' with the place, or 'granted' in the last moment."""
        self._answered.append(waiter.id)
        answer = self._call(lambda caller: self.store.llm.cancel(self.account, caller, [waiter.id]))
        self._waiters.pop(waiter.id, None)
        return Word.of(answer.rest[0])

    def release(self, permit: Permit, how: Release, used: Cost, reason: str) -> str:
        """End a permit: 'settled', 'repeated' or 'lost'."""
        self._permits.pop(permit.id, None)
        amounts = (used.input_tokens, used.output_tokens, used.micro_usd)
        return self._call(
            lambda caller: self.store.llm.release(self.account, caller, permit.hold_key, how, amounts, reason)
        ).outcome

    def adjust(self, what: str, value: str, detail: str = "") -> None:
        """Change something for the whole account."""
        self._call(lambda caller: self.store.llm.adjust(self.account, caller, what, value, detail))

    def renew(self, permits: Sequence[Permit]) -> list[str]:
        """Prolong leases, or only say that this process lives. Returns the ids of those that are lost."""
        holds = [permit.hold_key for permit in permits]
        answer = self._call(lambda caller: self.store.llm.renew(self.account, caller, holds))
        for permit in permits:
            permit.renewed = self.clock()
            permit.lost = permit.lost or permit.id in answer.rest
        return [str(name) for name in answer.rest]

    def _rejoin(self) -> None:
        """Redis took this process for dead, or lost its state, or an answer: ask again for everything that waits."""
        waiting = [(name, waiter.ask) for name, waiter in list(self._waiters.items())]
        caller = Caller(self._limits, self.process, self._seen)
        for (name, _), answer in zip(waiting, self.store.llm.acquire_all(self.account, caller, waiting), strict=True):
            self._heed(answer)
            if answer.outcome != Outcome.QUEUED:
                self._answered.append(name)
                self._deliver(Word(name, Outcome(answer.outcome), str(answer.rest[0])))

    # -- threads ------------------------------------------------------------------------------------------------------

    def _deliver(self, word: Word) -> None:
        waiter = self._waiters.pop(word.id, None)
        if waiter is not None:
            waiter.word = word
            waiter.woken.set()
        elif word.outcome is Outcome.GRANTED and word.id not in self._permits and word.id not in self._answered:
            # Its answer to the acquire was lost, and so was its waiter: nobody will make this call.
            hold = Hold(word.id, word.fence, self.process)
            self._call(lambda caller: self.store.llm.release(self.account, caller, hold, Release.UNUSED, (0, 0, 0)))

    def _read(self) -> None:
        while not self._stopped:
            try:
                for word in self._inbox.read():
                    self._deliver(word)
            except ConnectionFailed as error:
                log.log(self._level(), "account %s: the inbox is cut off: %s", self.account, error)
                time.sleep(AWAY_SECONDS)
                with suppress(*ConnectionFailed):
                    self._rejoin()
            except Exception:
                log.exception("account %s: the inbox failed once; it goes on", self.account)
                time.sleep(AWAY_SECONDS)
        self._inbox.close()

    def _level(self) -> int:
        return logging.DEBUG if self._stopped else logging.WARNING

    def _keep_time(self) -> None:
        while not self._stopped:
            try:
                if self._wait():
                    self._serve(self.clock())
            except ConnectionFailed as error:
                log.warning("account %s: no tick, no renewal: %s", self.account, error)
                time.sleep(AWAY_SECONDS)
            except Exception:
                log.exception("account %s: the timer failed once; it goes on", self.account)
                time.sleep(AWAY_SECONDS)

    def _wait(self) -> bool:
        """Sleep until something is due, or may be."""
        with self._turn:
            busy = bool(self._waiters or self._permits)
            due = [at for at in (self._alarm, self._next_beat if busy else None) if at is not None]
            if self._missed or (due and min(due) <= self.clock()):
                return True
            self._idle = not busy
            self._turn.wait(min(due) - self.clock() if due else None)
            if self._idle:
                self._next_beat = self.clock() + BEAT_SECONDS
            self._idle = False
            return False

    def _serve(self, now: float) -> None:
        if self._missed:
            self._missed = False
            self._rejoin()
        with self._turn:
            ticking = self._alarm is not None and self._alarm <= now
            if ticking:
                self._alarm = None
        if now < self._next_beat:
            if ticking:
                self._call(lambda caller: self.store.llm.tick(self.account, caller))
            return
        self._next_beat = now + BEAT_SECONDS
        soon = now + BEAT_SECONDS
        permits = list(self._permits.values())
        renewing = [one for one in permits if not one.lost and soon >= one.renewed + one.ttl_seconds / 3]
        if ticking or renewing or self._started or now >= self._spoken + BEAT_SECONDS / 2:
            self.renew(renewing)

    def close(self) -> None:
        """Stop the threads; waiters are woken without a word."""
        self._stopped = True
        with self._turn:
            self._turn.notify()
        for waiter in list(self._waiters.values()):
            waiter.woken.set()
        with suppress(*ConnectionFailed):
            self.store.llm.nudge(self.account, self.process)
