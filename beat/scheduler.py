"""celery-redbeat, except that Chordal's own duties run inside the beat process.

The reaper must not stand in the queue behind the work that it is there to rescue: with every slot taken by long nodes a
message to the workers would wait for one of them. Entries of the user still go out as messages.
"""

from __future__ import annotations

import logging
import time
from types import SimpleNamespace
from typing import Any, Final

from redbeat.schedulers import REDBEAT_REDIS_KEY, RedBeatScheduler, acquire_distributed_beat_lock

from orchestrator.store.connection import ConnectionFailed, LockLost
from orchestrator.store.fleet import Tick
from orchestrator.wiring import Chordal, connect

log = logging.getLogger(__name__)

TOGETHER: Final = 0.1
"""Duties that are due within this part of their interval are carried out in one round: each costs Redis commands."""


class Scheduler(RedBeatScheduler):
    """A redundant scheduler: of several beats the one that holds redbeat's lock ticks."""

    lock: Any = None

    def __init__(self, app: Any, *args: Any, **kwargs: Any) -> None:
        self._chordal: Chordal = connect()
        # redbeat takes the client that is there: ours, which finds its way through Sentinel and Cluster.
        setattr(app, REDBEAT_REDIS_KEY, self._chordal.store.client)
        self._next: dict[str, float] = {}
        self._next_entries = 0.0
        super().__init__(app, *args, **kwargs)

    def tick(self, *args: Any, **kwargs: Any) -> Any:
        """One round: the user's entries that are due, then our duties. Returns the seconds until the next.

        Beat outlives a Redis that is away, and stands in line again when it lost the lock. Everything is timed by the
        monotonic clock: a wall clock that is wrong must not put it off.
        """
        try:
            if self.lock is None and self.lock_key:
                acquire_distributed_beat_lock(SimpleNamespace(scheduler=self))
            if time.monotonic() >= self._next_entries:  # this also prolongs the lock
                self._next_entries = time.monotonic() + float(super().tick(*args, **kwargs))
            self._carry_out_due()
        except ConnectionFailed as error:
            log.warning("Redis is away (%s); beat waits for it", error)
            self._next_entries = 0.0
            return 1.0
        except LockLost:
            log.warning("another beat has taken over; this one stands by")
            self.lock, self._next_entries = None, 0.0
            return 0
        return max(0.0, min(self._next_entries, *self._next.values()) - time.monotonic())

    def _carry_out_due(self) -> None:
        now, ticks = time.monotonic(), dict[str, Tick]()
        for duty, every in self._chordal.duties.intervals().items():
            if now >= self._next.get(duty, 0.0) - TOGETHER * every:
                self._next[duty] = now + every
                ticks[duty] = self.carry_out(duty)
        if ticks:
            self._chordal.store.fleet.record_ticks(ticks)

    def close(self) -> None:
        """End; the lock is given back if Redis is there to take it."""
        try:
            super().close()
        except (*ConnectionFailed, LockLost) as error:
            log.warning("the lock of beat could not be given back (%s); it runs out", error)

    def carry_out(self, duty: str) -> Tick:
        """One tick of a duty. A failure is logged and the next tick tries again; raises ConnectionFailed."""
        begun = time.monotonic()
        duties = self._chordal.duties
        try:
            note = duties.names[duty]()
        except ConnectionFailed:
            raise
        except Exception as error:
            log.exception("the duty %s failed; its next tick tries again", duty)
            note = f"failed: {type(error).__name__}"
        return Tick(time.monotonic() - begun, duties.intervals()[duty], note)
