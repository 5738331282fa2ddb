"""The leases that this process holds, kept alive beside the work by one thread.

The thread renews every held lease with one script a goal, enforces time limits, and hands back packed nodes that would
otherwise wait behind a long one. It lives in the process that does the work: when that stops, the leases run out.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from orchestrator.domain.lease import Lease
from orchestrator.store.connection import ConnectionFailed
from orchestrator.store.store import Store

log = logging.getLogger(__name__)

WATCH_SECONDS: Final = 0.25
GRACE_SECONDS: Final = 1.0
"""How long after its time limit a node may take to notice it."""


_starting: Final = threading.Lock()
os.register_at_fork(after_in_child=lambda: _starting.release() if _starting.locked() else None)


@dataclass(eq=False, slots=True)
class Held:
    """One lease in this process. Times are of the monotonic clock."""

    lease: Lease
    lease_ms: int
    renewed: float
    thread: int
    deadline: float | None = None
    on_overdue: Callable[[], None] | None = None
    """Called once by the watcher when the time limit and its grace are over: the work did not stop by itself."""
    running: bool = False
    interrupted: bool = False
    lost: bool = False
    ending: bool = False
    """Its commit is on the way: that the lease is gone may be its doing."""
    renew_seconds: float = 1.0
    """How long after a renewal the next one is due, which is also how late a cancel is noticed."""
    stops_when_lost: bool = False
    """The work is interrupted once the lease is lost, as by a time limit."""
    interrupt: Callable[[], object] | None = None
    """Raises in the work, from another thread."""
    timed: bool = False
    """The time limit comes by itself, as an alarm."""
    guard: threading.Lock = field(default_factory=threading.Lock)
    """Between the end of the work and its being interrupted."""


@dataclass(slots=True)
class Keeper:
    """Holds leases, renews them and watches their time limits."""

    store: Store
    _held: dict[tuple[str, str], Held] = field(default_factory=dict)
    _busy: threading.Event = field(default_factory=threading.Event)
    _pid: int = 0
    watchers: list[Callable[[float], None]] = field(default_factory=list)
    """Called at every watch with the monotonic time, while any lease is held."""

    def hold(
        self,
        lease: Lease,
        lease_ms: int,
        thread: int | None = None,
        *,
        renew_seconds: float | None = None,
        stops_when_lost: bool = False,
    ) -> Held:
        """Keep a lease alive from now on, for the work of this thread or of the given one.

        It is renewed every third of its time, or every `renew_seconds` if that is sooner. With `stops_when_lost` work
        under a `time_limit` is interrupted when the lease is lost: its goal was cancelled, or another worker has it.
        """
        if self._pid != os.getpid():
            self._start()
        held = Held(lease, lease_ms, time.monotonic(), threading.get_ident() if thread is None else thread)
        third = lease_ms / 3000
        held.renew_seconds = third if renew_seconds is None else min(third, renew_seconds)
        held.stops_when_lost = stops_when_lost
        self._held[lease.goal, lease.node] = held
        if not self._busy.is_set():
            self._busy.set()
        return held

    def drop(self, held: Held) -> None:
        """The lease was ended: keep it no longer."""
        key = (held.lease.goal, held.lease.node)
        if self._held.get(key) is held:
            del self._held[key]

    def held(self) -> list[Held]:
        """Every lease of this process."""
        return list(self._held.values())

    def _start(self) -> None:
        with _starting:
            if self._pid != os.getpid():
                self._held, self._busy, self._pid = {}, threading.Event(), os.getpid()
                threading.Thread(target=self._watch, name="chordal-leases", daemon=True).start()

    def _watch(self) -> None:
        pid = os.getpid()
        while self._pid == pid:
            if not self._held:
                self._busy.clear()
                if not self._held:
                    self._busy.wait()
            time.sleep(WATCH_SECONDS)
            try:
                self.watch_once(time.monotonic())
            except ConnectionFailed as error:
                log.warning("leases could not be renewed: %s", error)
            except Exception:
                log.exception("the lease watcher failed once; it goes on")

    def watch_once(self, now: float) -> None:
        """Enforce limits and renew what is due."""
        held = self.held()
        for one in held:
            if one.deadline is not None and now >= one.deadline and not one.lost:
                self._overdue(one, now)
        for watcher in list(self.watchers):
            watcher(now)
        due: dict[str, list[tuple[Lease, int]]] = defaultdict(list)
        renewing = [one for one in held if not one.lost and now - one.renewed >= one.renew_seconds]
        for one in renewing:
            due[one.lease.goal].append((one.lease, one.lease_ms))
        if not due:
            return
        lost = set(self.store.nodes.renew(due))
        for one in renewing:
            if one.lease in lost:
                self._lose(one)
            else:
                one.renewed = now

    def _lose(self, held: Held) -> None:
        held.lost = True
        if self._held.get((held.lease.goal, held.lease.node)) is held and not held.ending:
            log.warning("the lease of %s in %s is lost; its commit will be fenced", held.lease.node, held.lease.goal)
            if held.stops_when_lost:
                _interrupt(held)

    def _overdue(self, held: Held, now: float) -> None:
        assert held.deadline is not None
        if not held.timed:
            _interrupt(held)
        if now >= held.deadline + GRACE_SECONDS and held.on_overdue is not None:
            act, held.on_overdue, held.lost = held.on_overdue, None, True
            act()


def _interrupt(held: Held) -> None:
    """Raise NodeTimeout in the work, once."""
    with held.guard:
        if held.running and held.interrupt is not None and not held.interrupted:
            held.interrupted = True
            held.interrupt()
