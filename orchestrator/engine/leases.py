"""The leases that this process holds, kept alive beside the work by one thread.

The thread renews every held lease with one script a goal, enforces time limits, and hands back packed nodes that would
otherwise wait behind a long one. It lives in the process that does the work: when that stops, the leases run out.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from orchestrator.domain.errors import NodeTimeout
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


@dataclass(slots=True)
class Keeper:
    """Holds leases, renews them and watches their time limits."""

    store: Store
    _held: dict[tuple[str, str], Held] = field(default_factory=dict)
    _busy: threading.Event = field(default_factory=threading.Event)
    _pid: int = 0
    watchers: list[Callable[[float], None]] = field(default_factory=list)
    """Called at every watch with the monotonic time, while any lease is held."""

    def hold(self, lease: Lease, lease_ms: int, thread: int | None = None) -> Held:
        """Keep a lease alive from now on, for the work of this thread or of the given one."""
        if self._pid != os.getpid():
            self._start()
        held = Held(lease, lease_ms, time.monotonic(), threading.get_ident() if thread is None else thread)
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
        """Enforce limits and renew what is a third through its time."""
        held = self.held()
        for one in held:
            if one.deadline is not None and now >= one.deadline and not one.lost:
                self._overdue(one, now)
        for watcher in list(self.watchers):
            watcher(now)
        due: dict[str, list[tuple[Lease, int]]] = defaultdict(list)
        renewing = [one for one in held if not one.lost and (now - one.renewed) * 3000 >= one.lease_ms]
        for one in renewing:
            due[one.lease.goal].append((one.lease, one.lease_ms))
        if not due:
            return
        lost = set(self.store.nodes.renew(due))
        for one in renewing:
            if one.lease in lost:
                one.lost = True
                if self._held.get((one.lease.goal, one.lease.node)) is one and not one.ending:
                    log.warning(
                        "the lease of %s in %s is lost; its commit will be fenced", one.lease.node, one.lease.goal
                    )
            else:
                one.renewed = now

    def _overdue(self, held: Held, now: float) -> None:
        assert held.deadline is not None
        if held.running and not held.interrupted and held.thread != threading.main_thread().ident:
            held.interrupted = True
            # A thread cannot be signalled; CPython can raise in it, at its next bytecode.
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(held.thread), ctypes.py_object(NodeTimeout))
        if now >= held.deadline + GRACE_SECONDS and held.on_overdue is not None:
            act, held.on_overdue, held.lost = held.on_overdue, None, True
            act()


class time_limit:
    """``with time_limit(held, seconds): ...`` raises NodeTimeout in the body when the time is over.

    In the main thread by SIGALRM, in a greenlet by gevent, in other threads by the keeper. A body that does not notice
    (it stands in C code) is left to `Held.on_overdue`.
    """

    def __init__(self, held: Held, seconds: float | None) -> None:
        self._held = held
        self._seconds = seconds
        self._alarm = False
        self._timer: Any = None

    def __enter__(self) -> None:
        if self._seconds is None:
            return
        self._held.running = True
        self._held.deadline = time.monotonic() + self._seconds
        if _patched_by_gevent():
            import gevent

            self._held.interrupted = True
            self._timer = gevent.Timeout(self._seconds, NodeTimeout(f"it ran longer than {self._seconds:g} s"))
            self._timer.start()
        elif threading.current_thread() is threading.main_thread():
            self._alarm = True
            self._before = signal.signal(signal.SIGALRM, self._raise)
            signal.setitimer(signal.ITIMER_REAL, self._seconds)

    def _raise(self, *_: object) -> None:
        raise NodeTimeout(f"it ran longer than {self._seconds:g} s")

    def __exit__(self, error: object, *_: object) -> None:
        self._held.running = False
        if self._alarm:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, self._before)
        if self._timer is not None:
            self._timer.close()
        self._held.deadline = None
        if self._held.interrupted and error is not NodeTimeout:
            # The body ended just as it was interrupted: take back what is not raised yet.
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._held.thread), None)


def _patched_by_gevent() -> bool:
    import sys

    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("threading"))
