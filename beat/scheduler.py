"""celery-redbeat, except that Chordal's own duties run inside the beat process.

The reaper must not stand in the queue behind the work that it is there to rescue: with every slot taken by long nodes a
message to the workers would wait for one of them. Entries of the user still go out as messages.
"""

from __future__ import annotations

import logging
import time
from types import SimpleNamespace
from typing import Any, Final

from redbeat.schedulers import RedBeatScheduler, acquire_distributed_beat_lock

from orchestrator.store.connection import ConnectionFailed, LockLost
from orchestrator.wiring import Chordal, connect

log = logging.getLogger(__name__)

PREFIX: Final = "beat."


class Scheduler(RedBeatScheduler):
    """A redundant scheduler: of several beats the one that holds redbeat's lock ticks."""

    def __init__(self, app: Any, *args: Any, **kwargs: Any) -> None:
        self._chordal: Chordal = connect()
        intervals = self._chordal.duties.intervals()
        entries = {
            f"{PREFIX}{duty}": {"task": f"{PREFIX}{duty}", "schedule": every} for duty, every in intervals.items()
        }
        app.conf.beat_schedule = {**(app.conf.beat_schedule or {}), **entries}
        super().__init__(app, *args, **kwargs)

    def tick(self, *args: Any, **kwargs: Any) -> Any:
        """One round. Beat outlives a Redis that is away, and stands in line again when it lost the lock."""
        try:
            return super().tick(*args, **kwargs)
        except ConnectionFailed as error:
            log.warning("Redis is away (%s); beat waits for it", error)
        except LockLost:
            log.warning("another beat has taken over; this one stands by")
            self.lock = None
            acquire_distributed_beat_lock(SimpleNamespace(scheduler=self))
        return self.max_interval

    def close(self) -> None:
        """End; the lock is given back if Redis is there to take it."""
        try:
            super().close()
        except (*ConnectionFailed, LockLost) as error:
            log.warning("the lock of beat could not be given back (%s); it runs out", error)

    def maybe_due(self, entry: Any, **kwargs: Any) -> Any:
        """Carry a duty out when it is due, without a line in the log a second; the user's entries go their usual way."""
        duty = str(entry.task).removeprefix(PREFIX)
        if not str(entry.task).startswith(PREFIX) or duty not in self._chordal.duties.names:
            return super().maybe_due(entry, **kwargs)
        due, next_seconds = entry.is_due()
        if due:
            self.reserve(entry)
            self.carry_out(duty)
        return next_seconds

    def carry_out(self, duty: str) -> None:
        """One tick of a duty; a failure is logged and the next tick tries again."""
        begun = time.monotonic()
        duties = self._chordal.duties
        try:
            note = duties.names[duty]()
            self._chordal.store.fleet.tick(duty, time.monotonic() - begun, duties.intervals()[duty], note)
        except Exception:
            log.exception("the duty %s failed; its next tick tries again", duty)
