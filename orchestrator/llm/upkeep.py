"""One thread a process that does small jobs every so often, for as long as there are any."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

log = logging.getLogger(__name__)

TICK_SECONDS: Final = 0.25
"""How exactly intervals are kept."""
IDLE_SECONDS: Final = 10.0
"""So long the thread stays without a job, so that a call after the other does not start one each."""


class Upkeep:
    """Safe to share between threads, and usable in forked children. The thread ends a while after the last job."""

    def __init__(self, tick_seconds: float = TICK_SECONDS) -> None:
        self._tick = tick_seconds
        self._forget_parent()

    def _forget_parent(self) -> None:
        """Threads do not survive a fork, and the lock may have been held by one of them."""
        self._turn = threading.Condition()
        self._jobs: dict[object, tuple[Callable[[], None], int]] = {}
        self._running = False
        self._pid = os.getpid()

    @contextmanager
    def every(self, seconds: float, job: Callable[[], None]) -> Iterator[None]:
        """Do the job every so often while the block lasts. What it raises is logged; a job must not take long."""
        if self._pid != os.getpid():
            self._forget_parent()
        turn, jobs, key = self._turn, self._jobs, object()
        with turn:
            jobs[key] = (job, max(1, round(seconds / self._tick)))
            if not self._running:
                self._running = True
                threading.Thread(target=self._work, args=(turn, jobs), name="chordal-upkeep", daemon=True).start()
            if len(jobs) == 1:
                turn.notify()
        try:
            yield
        finally:
            with turn:
                jobs.pop(key, None)

    def _work(self, turn: threading.Condition, jobs: dict[object, tuple[Callable[[], None], int]]) -> None:
        ticks: dict[object, int] = {}
        while True:
            with turn:
                if not jobs and not turn.wait_for(lambda: jobs, IDLE_SECONDS):
                    self._running = False
                    return
            time.sleep(self._tick)
            with turn:
                due = list(jobs.items())
            ticks = {key: ticks.get(key, 0) + 1 for key, _ in due}
            for key, (job, interval) in due:
                if ticks[key] % interval == 0 and key in jobs:
                    _do(job)


def _do(job: Callable[[], None]) -> None:
    try:
        job()
    except Exception as error:
        log.warning("a job of the upkeep failed once; it goes on: %s", error)
