"""celery-redbeat, except that Chordal's own duties run inside the beat process.

The reaper must not stand in the queue behind the work that it is there to rescue: with every slot taken by long nodes a
message to the workers would wait for one of them. Entries of the user still go out as messages.
"""

from __future__ import annotations

import logging
import time
from types import SimpleNamespace
from typing import Any

from redbeat.schedulers import RedBeatScheduler, acquire_distributed_beat_lock

from orchestrator.store.connection import ConnectionFailed, LockLost
from orchestrator.wiring import Chordal, connect

log = logging.getLogger(__name__)


class Scheduler(RedBeatScheduler):
    """A redundant scheduler: of several beats the one that holds redbeat's lock ticks."""

    lock: Any = None

    def __init__(self, app: Any, *args: Any, **kwargs: Any) -> None:
        self._chordal: Chordal = connect()
        self._next: dict[str, float] = {}
        super().__init__(app, *args, **kwargs)

    def tick(self, *args: Any, **kwargs: Any) -> Any:
        """One round: the user's entries that are due, then our duties. Returns the seconds until the next.

        Beat outlives a Redis that is away, and stands in line again when it lost the lock. The duties are timed by the
        monotonic clock: a wall clock that is wrong must not put them off.
        """
        try:
            if self.lock is None and self.lock_key:
                acquire_distributed_beat_lock(SimpleNamespace(scheduler=self))
            wait = super().tick(*args, **kwargs)
        except ConnectionFailed as error:
            log.warning("Redis is away (%s); beat waits for it", error)
            return self.max_interval
        except LockLost:
            log.warning("another beat has taken over; this one stands by")
            self.lock = None
            return 0
        for duty, every in self._chordal.duties.intervals().items():
            if time.monotonic() >= self._next.get(duty, 0.0):
                self._next[duty] = time.monotonic() + every
                self.carry_out(duty)
        return max(0.0, min(wait, min(self._next.values()) - time.monotonic()))

    def close(self) -> None:
        """End; the lock is given back if Redis is there to take it."""
        try:
            super().close()
        except (*ConnectionFailed, LockLost) as error:
            log.warning("the lock of beat could not be given back (%s); it runs out", error)

    def carry_out(self, duty: str) -> None:
        """One tick of a duty; a failure is logged and the next tick tries again."""
        begun = time.monotonic()
        duties = self._chordal.duties
        try:
            note = duties.names[duty]()
            self._chordal.store.fleet.tick(duty, time.monotonic() - begun, duties.intervals()[duty], note)
        except Exception:
            log.exception("the duty %s failed; its next tick tries again", duty)
