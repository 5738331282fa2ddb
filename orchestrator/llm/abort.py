"""Calls that nobody wants any more end under way: their sockets are shut down, so that whoever waits at one wakes up.

One thread a process asks every call in flight ten times a second whether it is still wanted. A call costs it a function
call each time, and the thread sleeps while there is none.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 0.1


class Flight:
    """One call in flight, and the socket at which it stands."""

    __slots__ = ("_lock", "_sock", "aborted", "cancelled")

    def __init__(self, cancelled: Callable[[], bool]) -> None:
        self.cancelled = cancelled
        self.aborted = False
        """It was cancelled; what it stands at is shut down."""
        self._sock: socket.socket | None = None
        self._lock = threading.Lock()

    def stands_at(self, sock: socket.socket) -> bool:
        """From now on it may block there. False: it was aborted and must not."""
        with self._lock:
            self._sock = sock
        return not self.aborted

    def leave(self) -> None:
        """Its connection is somebody else's now."""
        with self._lock:
            self._sock = None

    def look(self) -> None:
        """By the watcher: shut the socket down if the call is not wanted. Repeated: it may stand at another one by now."""
        if not self.aborted and not self.cancelled():
            return
        with self._lock:
            self.aborted = True
            if self._sock is not None:
                with suppress(OSError):  # it is not connected yet, or closed
                    # Not by the method of an SSLSocket, which takes its state away under the one who reads.
                    socket.socket.shutdown(self._sock, socket.SHUT_RDWR)


class Watcher:
    """Looks after the flights of this process."""

    def __init__(self) -> None:
        self._flights: set[Flight] = set()
        self._busy = threading.Event()
        self._starting = threading.Lock()
        self._started = False

    def add(self, flight: Flight) -> None:
        """Look after it from now on."""
        if not self._started:
            self._start()
        self._flights.add(flight)
        if not self._busy.is_set():
            self._busy.set()

    def drop(self, flight: Flight) -> None:
        """It is over."""
        flight.leave()
        self._flights.discard(flight)

    def _start(self) -> None:
        with self._starting:
            if not self._started:
                self._started = True
                threading.Thread(target=self._watch, name="chordal-llm-abort", daemon=True).start()

    def _watch(self) -> None:
        while True:
            if not self._flights:
                self._busy.clear()
                if not self._flights:
                    self._busy.wait()
            time.sleep(LOOK_SECONDS)
            for flight in list(self._flights):
                try:
                    flight.look()
                except Exception:
                    log.exception("whether a call is still wanted could not be found out; it goes on")
                    self._flights.discard(flight)


def watcher() -> Watcher:
    """This process's."""
    return _watcher


def _anew() -> None:
    """A forked child has neither the thread nor the flights."""
    global _watcher
    _watcher = Watcher()


_watcher = Watcher()
os.register_at_fork(after_in_child=_anew)
