"""One process on one account: its waiters, its permits, and the two threads that serve them.

The inbox thread sleeps in one blocking pop and wakes waiters. The timer thread sleeps until this process must tick, says
every half second that the process lives while it waits or holds something (every second while it only reads the inbox of
gated calls), and renews leases. Nothing polls.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from orchestrator.llm.gated import AWAY_SECONDS, GateReader
from orchestrator.llm.limits import Cost
from orchestrator.llm.permit import Permit
from orchestrator.llm.told import Started, Waiter, Waiters
from orchestrator.store.connection import ConnectionFailed
from orchestrator.store.llm_records import Answer, Ask, Caller, Hold, Outcome, Release, Word
from orchestrator.store.store import Store

log = logging.getLogger(__name__)

BEAT_SECONDS: Final = 0.5
"""Well below the time after which a silent process counts as dead (1.5 s in the scripts)."""
GATE_BEAT_SECONDS: Final = 1.0
"""The same, of a gate with nothing else to do."""
RENEWED_AT_ONCE: Final = 100
"""Leases a script: a thousand in one would hold up everybody else's for ten milliseconds."""


class Station:
    """Safe to share between threads; of no use in a forked child."""

    def __init__(self, store: Store, account: str, limits: str) -> None:
        self.store = store
        self.account = account
        self.process = uuid.uuid4().hex[:12]
        self.clock: Callable[[], float] = time.monotonic
        self._limits = limits
        self._waiters = Waiters(self.clock)
        self._permits: dict[str, Permit] = {}
        self._started = Started(self.clock)
        self._seen = self._account_ms = 0
        self._alarm: float | None = None
        self._spoken = self._next_beat = 0.0
        self._answered: deque[str] = deque(maxlen=1024)
        self._gate: GateReader | None = None
        self._turn = threading.Condition()
        self._idle = self._stopped = False
        self._met = self._missed = False
        """An operation was answered; one was answered as if this process had been away."""
        self._inbox = store.llm.inbox(store.url, account, self.process)
        for work in (self._read, self._keep_time):
            threading.Thread(target=work, name=f"chordal-llm-{work.__name__.strip('_')}", daemon=True).start()

    # -- operations ---------------------------------------------------------------------------------------------------

    def _call(self, operation: Callable[[Caller], Answer]) -> Answer:
        """Run an operation; take along what is to be told, and heed what its answer asks of this process."""
        started = self._started.take()
        with self._turn:
            joined = self._waiters.take()
        try:
            answer = operation(self._caller(self._started.ages(started), [(one.id, one.ask) for one in joined]))
        except BaseException:
            self._started.put_back(started)
            with self._turn:
                self._waiters.put_back(joined)
            raise
        self._heed(answer)
        return answer

    def _caller(
        self, started: Sequence[tuple[str, int, int]] = (), joined: Sequence[tuple[str, Ask]] = ()
    ) -> Caller:  # fmt: skip
        return Caller(self._limits, self.process, self._seen, started, gate=self._gate is not None, joined=joined)

    def _drop(self, name: str) -> Waiter | None:
        with self._turn:
            before = self._waiters.due
            waiter = self._waiters.drop(name)
            if self._waiters.due != before:
                self._turn.notify()
        return waiter

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

    def acquire(self, name: str, ask: Ask) -> tuple[Waiter, Word]:
        """Join the line; the waiter is woken with its word, unless this one is it already."""
        waiter = Waiter(name, ask)
        with self._turn:
            if not self._waiters.add(waiter):
                self._turn.notify()
                return waiter, Word(name, Outcome.QUEUED, "")
        try:
            answer = self._call(lambda caller: self.store.llm.acquire(self.account, caller, name, ask))
        except BaseException:
            self._drop(name)
            raise
        if answer.outcome != Outcome.QUEUED:
            self._answered.append(name)
            self._drop(name)
        return waiter, Word(name, Outcome(answer.outcome), str(answer.rest[0]))

    def started(self, waiter: Waiter, word: Word, cost: Cost) -> Permit | None:
        """The call begins: told with this process's next operation, half a second from now at the latest.

        A thread that comes late to its grant asks first, so that the window holds: None if it is too late.
        """
        hold = Hold(waiter.id, word.fence, waiter.ask.nonce)
        with self._turn:
            age_ms = self._account_ms + (self.clock() - self._spoken) * 1000 - word.at_ms
        if age_ms > waiter.ask.claim_ms / 2:
            return self.take_up(hold, cost, waiter.ask.ttl_ms / 1000)
        permit = self._permits[waiter.id] = Permit(self, hold, cost, waiter.ask.ttl_ms / 1000)
        self._started.add(waiter.id, word.fence)
        with self._turn:
            if self._idle:
                self._turn.notify()
        return permit

    def take_up(self, hold: Hold, cost: Cost, ttl_seconds: float) -> Permit | None:
        """The call of a permit begins now, and this process renews it from now on; None: it is lost."""
        permit = self._permits[hold.id] = Permit(self, hold, cost, ttl_seconds)
        ttl_ms, outcome = round(ttl_seconds * 1000), "lost"
        try:
            outcome = self._call(lambda caller: self.store.llm.begin(self.account, caller, hold, ttl_ms)).outcome
        finally:
            if outcome == "lost":
                self._permits.pop(hold.id, None)
        return permit if outcome == "started" else None

    def open_gate(self, publish: Callable[[Word], None]) -> None:
        """Read the inbox of gated calls too. Raises ValueError if this process does so already."""
        if self._gate is not None:
            raise ValueError(f"account {self.account}: the gate is open already")
        self._gate = GateReader(self.store, self.account, self.process, publish, self._tick)
        self._gate.start()
        with self._turn:
            self._turn.notify()

    def leave(self, waiter: Waiter) -> Word:
        """Out of the line: 'cancelled' with the place, or 'granted' in the last moment."""
        self._answered.append(waiter.id)
        answer = self._call(lambda caller: self.store.llm.cancel(self.account, caller, [waiter.id]))
        self._drop(waiter.id)
        return Word.of(answer.rest[0])

    def release(self, permit: Permit, how: Release, used: Cost, reason: str, learn: str) -> str:
        """End a permit: 'settled', 'repeated' or 'lost'."""
        self._permits.pop(permit.id, None)
        hold, amounts = permit.hold_key, (used.input_tokens, used.output_tokens, used.micro_usd)
        return self._call(
            lambda caller: self.store.llm.release(self.account, caller, hold, how, amounts, reason, learn)
        ).outcome

    def adjust(self, what: str, value: str, detail: str = "") -> None:
        """Change something for the whole account."""
        self._call(lambda caller: self.store.llm.adjust(self.account, caller, what, value, detail))

    def renew(self, permits: Sequence[Permit]) -> list[str]:
        """Prolong leases, those first that end first, or only say that this process lives. Returns the ids of the lost."""
        order = sorted(permits, key=lambda one: one.renewed + one.ttl_seconds)
        lost: list[str] = []
        for at in range(0, max(1, len(order)), RENEWED_AT_ONCE):
            lost += self._renew(order[at : at + RENEWED_AT_ONCE])
        return lost

    def _renew(self, permits: Sequence[Permit]) -> list[str]:
        holds, sent = [permit.hold_key for permit in permits], self.clock()
        answer = self._call(lambda caller: self.store.llm.renew(self.account, caller, holds))
        for permit in permits:
            permit.renewed = sent
            permit.lost = permit.lost or permit.id in answer.rest
        return [str(name) for name in answer.rest]

    def _tick(self) -> None:
        self._call(lambda caller: self.store.llm.tick(self.account, caller))

    def _rejoin(self) -> None:
        """Redis took this process for dead, or lost its state, or an answer: ask again for everything that waits."""
        with self._turn:
            waiting = [(one.id, one.ask) for one in self._waiters.all()]
        answers = self.store.llm.acquire_all(self.account, self._caller(), waiting)
        for (name, _), answer in zip(waiting, answers, strict=True):
            self._heed(answer)
            if answer.outcome != Outcome.QUEUED:
                self._answered.append(name)
                self._deliver(Word(name, Outcome(answer.outcome), str(answer.rest[0])))

    # -- threads ------------------------------------------------------------------------------------------------------

    def _deliver(self, word: Word) -> None:
        waiter = self._drop(word.id)
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
            busy = bool(self._waiters or self._permits or self._gate)
            soon = (self._alarm, self._waiters.due, self._next_beat if busy else None)
            due = [at for at in soon if at is not None]
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
            ticking = ticking or (self._waiters.due is not None and self._waiters.due <= now)
        if now < self._next_beat:
            if ticking:
                self._tick()
            return
        self._next_beat = now + (BEAT_SECONDS if self._waiters or self._permits else GATE_BEAT_SECONDS)
        soon = now + BEAT_SECONDS / 2
        permits = list(self._permits.values())
        renewing = [one for one in permits if not one.lost and soon >= one.renewed + one.ttl_seconds / 3]
        if ticking or renewing or self._started.older(BEAT_SECONDS / 2) or now >= self._spoken + BEAT_SECONDS / 2:
            self.renew(renewing)

    def close(self) -> None:
        """Stop the threads; waiters are woken without a word."""
        self._stopped = True
        if self._gate is not None:
            self._gate.close()
        with self._turn:
            waiters = self._waiters.all()
            self._turn.notify()
        for waiter in waiters:
            waiter.woken.set()
        with suppress(*ConnectionFailed):
            self.store.llm.nudge(self.account, self.process)
