"""celery-redbeat, except that Chordal's own duties run inside the beat process.

The reaper must not stand in the queue behind the work that it is there to rescue: with every slot taken by long nodes a
message to the workers would wait for one of them. Entries of the user still go out as messages.
"""

from __future__ import annotations

import logging
import os
import platform
import time
from typing import Any, Final

from celery.signals import beat_init
from redbeat.schedulers import (
    LUA_EXTEND_TO_SCRIPT,
    REDBEAT_REDIS_KEY,
    RedBeatScheduler,
    acquire_distributed_beat_lock,
)

from orchestrator.engine.duty import Duty
from orchestrator.store.connection import ConnectionFailed, LockLost, MemoryFull, Refused, takes_no_writes
from orchestrator.store.fleet import Tick
from orchestrator.store.upkeep import Beat
from orchestrator.wiring import Chordal, connect

log = logging.getLogger(__name__)

TOGETHER: Final = 0.1
"""Duties that are due within this part of their interval are carried out in one round: each costs Redis commands."""

BREATH_SECONDS: Final = 0.02
"""Between two ticks of a duty that has more to do than fits in one."""

FAILED: Final = "failed"
"""How the note of a tick begins that raised."""
SAY_SECONDS: Final = 5.0
"""How often a beat says that it is there."""
STANDBY_SECONDS: Final = 1.0
"""How often a beat that stands by asks for the lock."""

# It would wait there for the lock, for as long as another has it, and could not say meanwhile that it stands by.
beat_init.disconnect(acquire_distributed_beat_lock)


class Scheduler(RedBeatScheduler):
    """A redundant scheduler: of several beats the one that holds redbeat's lock ticks."""

    lock: Any = None

    def __init__(self, app: Any, *args: Any, **kwargs: Any) -> None:
        self._chordal: Chordal = connect()
        # redbeat takes the client that is there: ours, which finds its way through Sentinel and Cluster.
        setattr(app, REDBEAT_REDIS_KEY, self._chordal.store.client)
        self._next: dict[str, float] = {}
        self._next_entries = 0.0
        self._name = f"{platform.node()}:{os.getpid()}"
        self._said = (0.0, False, 0)
        self._compared = (-SAY_SECONDS, 0)
        super().__init__(app, *args, **kwargs)

    def tick(self, *args: Any, **kwargs: Any) -> Any:
        """One round: the user's entries that are due, then our duties. Returns the seconds until the next.

        Beat outlives a Redis that is away, and stands in line again when it lost the lock. Everything is timed by the
        monotonic clock: a wall clock that is wrong must not put it off.
        """
        try:
            if self.lock is None and self.lock_key and not self._take_lock():
                self._say(ticks=False)
                return STANDBY_SECONDS
            self._say(ticks=True)
            if time.monotonic() >= self._next_entries:  # this also prolongs the lock
                self._next_entries = time.monotonic() + self._send_entries(*args, **kwargs)
            self._carry_out_due()
        except ConnectionFailed as error:
            log.warning("Redis is away (%s); beat waits for it", error)
            self._next_entries = 0.0
            return 1.0
        except MemoryFull as error:
            log.warning("Redis is full (%s)", error)
            return 1.0
        except Refused as error:
            if not takes_no_writes(error):
                raise
            log.warning("Redis takes no writes (%s); beat waits for it", error)
            return 1.0
        except LockLost:
            log.warning("another beat has taken over; this one stands by")
            self.lock, self._next_entries = None, 0.0
            return 0
        return max(0.0, min(self._next_entries, *self._next.values()) - time.monotonic())

    def _send_entries(self, *args: Any, **kwargs: Any) -> float:
        """Send what is due of the user's entries; seconds until the next is due."""
        try:
            return float(super().tick(*args, **kwargs))
        except MemoryFull as error:
            log.warning("Redis is full (%s): entries wait; Chordal's duties go on, and make room where they can", error)
            return 1.0

    def _take_lock(self) -> bool:
        """The lock, if nobody has it: redbeat's own, but without waiting."""
        client = self._chordal.store.client
        lock = client.lock(self.lock_key, timeout=self.lock_timeout, lock_class=self._chordal.store.fleet.lock_class())
        # As redbeat does: redis-py's own script adds to the time that is left.
        lock.lua_extend = client.register_script(LUA_EXTEND_TO_SCRIPT)
        if not lock.acquire(blocking=False):
            return False
        log.info("beat: Acquired lock")
        self.lock = lock
        self._next.clear()  # what was due while another had the lock was done by that
        self._chordal.upkeep.anew()
        return True

    def _say(self, ticks: bool) -> None:
        """Let the operator's tools know which beats are there, and which of them ticks."""
        at, before, since = self._said
        if before == ticks and time.monotonic() - at < SAY_SECONDS:
            return
        now = self._now_ms()
        since = since if since and before == ticks else now
        self._chordal.store.upkeep.say(Beat(self._name, now, ticks, since))
        self._said = time.monotonic(), ticks, since

    def _now_ms(self) -> int:
        """Redis time, as it follows from our clock; they are compared now and then."""
        now = time.monotonic()
        if now - self._compared[0] >= SAY_SECONDS:
            self._compared = now, self._chordal.store.fleet.clock_ms() - round(now * 1000)
        return round(now * 1000) + self._compared[1]

    def _carry_out_due(self) -> None:
        now, ticks = time.monotonic(), dict[str, Tick]()
        for duty in self._chordal.duties.all():
            due = self._next.get(duty.name, now)
            if now >= due - TOGETHER * duty.seconds:
                ticks[duty.name] = self.carry_out(duty, late=time.monotonic() - due)
                # A tick that failed may say for ever that work is left; it is tried again at its time.
                more = not ticks[duty.name].note.startswith(FAILED) and duty.left()
                self._next[duty.name] = time.monotonic() + BREATH_SECONDS if more else now + duty.seconds
        if ticks:
            self._chordal.store.fleet.record_ticks(ticks, self._now_ms())

    def close(self) -> None:
        """End; the lock is given back if Redis is there to take it."""
        try:
            self._chordal.store.upkeep.unsay([self._name])
            super().close()
        except (*ConnectionFailed, LockLost, Refused) as error:
            log.warning("the lock of beat could not be given back (%s); it runs out", error)

    def carry_out(self, duty: Duty, late: float = 0.0) -> Tick:
        """One tick of a duty, so many seconds late. A failure is logged and the next tick tries again.

        Raises ConnectionFailed, and what is raised where Redis takes no writes.
        """
        begun = time.monotonic()
        try:
            note = duty.act()
        except ConnectionFailed:
            raise
        except MemoryFull as error:
            log.warning("the duty %s was refused, as Redis is full (%s); its next tick tries again", duty.name, error)
            note = f"{FAILED}: Redis is full"
        except Exception as error:
            if takes_no_writes(error):
                raise
            log.exception("the duty %s failed; its next tick tries again", duty.name)
            note = f"{FAILED}: {type(error).__name__}"
            self._chordal.upkeep.meter.add("ticks_failed")
        return Tick(time.monotonic() - begun, duty.seconds, note, max(0.0, late), self._name)
