"""Work under a time limit, and work that stops when its lease is lost: how an error gets into it from outside."""

from __future__ import annotations

import ctypes
import signal
import sys
import threading
import time
from functools import partial
from typing import Any

from orchestrator.domain.errors import NodeTimeout
from orchestrator.engine.leases import Held


class time_limit:
    """``with time_limit(held, seconds): ...`` raises NodeTimeout in the body when the time is over, and, where the lease is
    held so, when it is lost.

    In the main thread by SIGALRM, in a greenlet by gevent, in other threads by the keeper. A body that does not notice
    (it stands in C code) is left to `Held.on_overdue`.
    """

    def __init__(self, held: Held, seconds: float | None) -> None:
        self._held = held
        self._seconds = seconds
        self._alarm = False
        self._timer: Any = None

    def __enter__(self) -> None:
        held = self._held
        if self._seconds is None and not held.stops_when_lost:
            return
        held.running = True
        if self._seconds is not None:
            held.deadline = time.monotonic() + self._seconds
        if _patched_by_gevent():
            self._in_a_greenlet()
        elif threading.current_thread() is threading.main_thread():
            self._in_the_main_thread()
        else:
            # A thread cannot be signalled; CPython can raise in it, at its next bytecode.
            held.interrupt = partial(_set_async, held.thread, NodeTimeout)

    def _in_a_greenlet(self) -> None:
        import gevent

        held, greenlet, hub = self._held, gevent.getcurrent(), gevent.get_hub()
        if self._seconds is not None:
            held.timed = True
            self._timer = gevent.Timeout(self._seconds, self._why())
            self._timer.start()
        # The hub throws it, which runs while the work does not.
        held.interrupt = lambda: hub.loop.run_callback(lambda: held.running and greenlet.throw(self._why()))

    def _in_the_main_thread(self) -> None:
        self._alarm = self._held.timed = True
        self._before = signal.signal(signal.SIGALRM, self._raise)
        if self._seconds is not None:
            signal.setitimer(signal.ITIMER_REAL, self._seconds)
        self._held.interrupt = partial(signal.pthread_kill, self._held.thread, signal.SIGALRM)

    def _why(self) -> NodeTimeout:
        return NodeTimeout("its lease is lost" if self._held.lost else f"it ran longer than {self._seconds or 0:g} s")

    def _raise(self, *_: object) -> None:
        if self._held.running:
            raise self._why()

    def __exit__(self, error: object, *_: object) -> None:
        held = self._held
        with held.guard:
            held.running = False
        if self._alarm:
            signal.setitimer(signal.ITIMER_REAL, 0)
            # What was sent may still be on its way, and the default of SIGALRM ends the process.
            late = held.interrupted and self._before is signal.SIG_DFL
            signal.signal(signal.SIGALRM, self._raise if late else self._before)
        elif self._timer is not None:
            self._timer.close()
        elif held.interrupted and error is not NodeTimeout and not _patched_by_gevent():
            # The body ended just as it was interrupted: take back what is not raised yet.
            _set_async(held.thread, None)
        held.deadline, held.interrupt = None, None


def _set_async(thread: int, error: type[BaseException] | None) -> None:
    what = None if error is None else ctypes.py_object(error)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), what)


def _patched_by_gevent() -> bool:
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("threading"))
