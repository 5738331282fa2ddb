"""Tell the receivers of one goal what happened, each in the order of the goal's events, at least once."""

from __future__ import annotations

import logging
import random
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from orchestrator.domain.errors import ChordalError, GoalNotFound
from orchestrator.domain.events import Event
from orchestrator.domain.retry import backoff
from orchestrator.engine.ends import failed_by
from orchestrator.logs import redact
from orchestrator.notify.notice import Notice
from orchestrator.notify.targets import Target
from orchestrator.notify.webhook import NotTold
from orchestrator.settings import Settings
from orchestrator.store.connection import ConnectionFailed
from orchestrator.store.store import Store
from orchestrator.store.tell import START, Cursor, id_pair

log = logging.getLogger(__name__)

Tell = Callable[[Notice], None]
"""Tells one receiver; raises if it did not work."""

LEASE_SECONDS: Final = 120.0
"""How long nobody else tells of a goal after the last step of who does. A call of a receiver is shorter."""
SLICE_SECONDS: Final = 5.0
"""How long one message goes on telling before it makes room for others."""
BUSY_MS: Final = 3000
PAGE: Final = 500
LAST: Final = 2**64 - 1
"""The highest second half of a stream id."""
LONGEST_SECONDS: Final = 3600.0
"""Between two tries."""
UNKNOWN_SECONDS: Final = 10.0
"""When a receiver that this worker does not know is tried again, by another one perhaps."""


@dataclass(slots=True)
class _Line:
    """One receiver's way through the events of one goal."""

    target: Target
    cursor: Cursor
    tell: Tell | None
    """None where this process does not know the receiver."""
    stuck: bool = False
    """It is not told of any more in this round."""
    told: int = 0
    moved: bool = False
    """The cursor in Redis is behind."""


@dataclass(slots=True)
class Deliverer:
    """Tells, on a worker. Safe to use from several threads or greenlets."""

    store: Store
    settings: Settings
    targets: Callable[[], Mapping[str, Target]]
    """Those that the fleet knows."""
    known: Callable[[str], Tell | None]
    """How to tell a receiver, for those that this process knows."""
    resting: dict[str, tuple[int, float]]
    """Receivers that did not answer this process: failures in a row, and until when it leaves them alone (monotonic)."""

    def deliver(self, goal: str) -> str:
        """Tell what is to be told of a goal now; returns how it went: told, waits, more, busy, gone."""
        store, nonce = self.store.tell, secrets.token_hex(6)
        cursors = store.take(goal, nonce, int(LEASE_SECONDS * 1000))
        if isinstance(cursors, str):
            if cursors == "gone":
                store.forget(goal)
            else:  # who tells may have read the events before those that this message is for
                store.ask([goal], BUSY_MS)
            return cursors
        until = store.begin(goal, int(LEASE_SECONDS * 1000))
        try:
            return self._deliver(goal, nonce, cursors, until)
        finally:
            store.leave(goal, nonce)

    def _deliver(self, goal: str, nonce: str, cursors: Mapping[str, Cursor], until: int) -> str:
        try:
            record = self.store.goals.record(goal)
        except GoalNotFound:
            self.store.tell.forget(goal)
            return "gone"
        lines = [self._line(target, cursors.get(target.name), record) for target in self.targets().values()]
        now = self.store.goals.clock_ms()
        for line in lines:
            line.stuck = line.cursor.due_ms > now
        finished = self._read(goal, nonce, record, lines)
        for line in lines:
            if line.moved and not self._note(goal, nonce, line):
                return "busy"
        left = [line.cursor.due_ms for line in lines if line.stuck]
        if finished and not left:
            self.store.tell.finished(goal, until)
            return "told"
        if not finished:
            self.store.tell.begin(goal, 0)
            return "more"
        self.store.tell.rest(goal, until, max(0, min(left) - now))
        return "waits"

    def _line(self, target: Target, cursor: Cursor | None, record: Mapping[str, str]) -> _Line:
        # Nothing is told that was there before the fleet knew the receiver.
        start = Cursor(f"{target.since_ms - 1}-{LAST}" if target.since_ms else START)
        concerned = target.concerns(record.get("owner", "default"))
        return _Line(target, cursor or start, self.known(target.name) if concerned else _nothing)

    def _read(self, goal: str, nonce: str, record: Mapping[str, str], lines: list[_Line]) -> bool:
        """Go through the goal's events; whether their end was reached."""
        end = time.monotonic() + SLICE_SECONDS
        while active := [line for line in lines if not line.stuck]:
            after = min((line.cursor.after for line in active), key=id_pair)
            page = self.store.goals.events(goal, after, PAGE)
            for name, fields in page:
                for line in active:
                    if not line.stuck and line.cursor.is_before(name):
                        self._step(goal, nonce, record, line, name, fields)
                if time.monotonic() >= end:
                    return False
            if len(page) < PAGE:
                return True
        return True

    def _step(
        self, goal: str, nonce: str, record: Mapping[str, str], line: _Line, name: str, fields: Mapping[str, str]
    ) -> None:
        """One event, for one receiver."""
        wanted = line.tell is not _nothing and line.target.wants(fields["type"])
        if not wanted:
            line.cursor, line.moved = replace(line.cursor, after=name), True
            return
        if self._tell(goal, record, line, name, fields):
            line.cursor, line.told = Cursor(after=name), line.told + 1
        line.stuck |= not self._note(goal, nonce, line)

    def _tell(self, goal: str, record: Mapping[str, str], line: _Line, name: str, fields: Mapping[str, str]) -> bool:
        """Tell one event; where it did not work the line is stuck, or the event is given up."""
        rest = self.resting.get(line.target.name, (0, 0.0))
        wait = UNKNOWN_SECONDS if line.tell is None else rest[1] - time.monotonic()
        if line.tell is None or wait > 0:
            line.stuck = True
            line.cursor = replace(line.cursor, due_ms=self.store.goals.clock_ms() + int(max(wait, 0.1) * 1000))
            return False
        notice = Notice.of(Event.from_stream(goal, name, fields), record)
        try:
            line.tell(notice)
        except Exception as error:
            self._failed(line, notice, error, rest[0])
            return False
        self.resting.pop(line.target.name, None)
        return True

    def _failed(self, line: _Line, notice: Notice, error: Exception, before: int) -> None:
        failures, base = line.cursor.failures + 1, self.settings.notify_backoff_seconds
        why = redact(str(error) if isinstance(error, ChordalError) else failed_by(error).error)[:500]
        now = self.store.goals.clock_ms()
        wait = backoff(failures, base, LONGEST_SECONDS, lambda low, high: random.uniform(low + high / 2, high))
        if isinstance(error, NotTold):
            if error.after_seconds is not None:
                wait = min(max(wait, error.after_seconds), LONGEST_SECONDS)
            # The receiver is away, for every goal: it is not asked for each of them in turn.
            rest = backoff(before + 1, base, 60.0, lambda _, high: high)
            self.resting[line.target.name] = before + 1, time.monotonic() + rest
        if failures < self.settings.notify_attempts:
            log.warning("%s was not told of %s: %s; again in %.0f s", line.target.name, notice.id, why, wait)
            line.stuck = True
            line.cursor = replace(line.cursor, failures=failures, due_ms=now + int(wait * 1000))
            return
        log.error("%s could not be told of %s and is not any more: %s", line.target.name, notice.id, why)
        self.store.tell.give_up(notice.goal, line.target.name, notice.id, notice.type, why)
        # The next event is tried once, not so often again, until one gets through.
        line.cursor = Cursor(notice.id.partition("/")[2], failures=self.settings.notify_attempts - 1)

    def _note(self, goal: str, nonce: str, line: _Line) -> bool:
        line.moved = False
        try:
            return (
                self.store.tell.note(goal, nonce, int(LEASE_SECONDS * 1000), line.target.name, line.cursor) == "noted"
            )
        except ConnectionFailed as error:
            log.warning("Redis is away (%s); %s will be told again of an event of %s", error, line.target.name, goal)
            raise


def _nothing(_: Notice) -> None:
    """How to tell a receiver that the goal does not concern."""
