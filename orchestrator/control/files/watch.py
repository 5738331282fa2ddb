"""The watcher: a thread of one worker a machine, which carries out directives as they are written."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from typing import Final

from orchestrator.control.files.looker import Looker
from orchestrator.control.files.notices import Notices
from orchestrator.control.files.registry import Registered, Registry
from orchestrator.domain.errors import RedisNotReachable
from orchestrator.store.connection import ConnectionFailed
from orchestrator.store.store import Store

log = logging.getLogger(__name__)

LEASE_ROUNDS: Final = 8
"""Heartbeats after which another watcher takes over from one that is silent. Beat looks meanwhile."""
RENEW_ROUNDS: Final = 3


class Watch:
    """Watches the files of one machine, as long as no other watcher does."""

    def __init__(self, name: str, host: str, store: Store, registry: Registry, looker: Looker, seconds: float) -> None:
        """`seconds` lie between two looks at the registry, and at files that the system says nothing of."""
        self._name, self._host = name, host
        self._store, self._registry, self._looker = store, registry, looker
        self._seconds = seconds
        self._stop = threading.Event()
        self._notices = Notices(self._stop)
        self._thread: threading.Thread | None = None
        self._leads = False
        self._lease_at = self._registry_at = -float("inf")
        self._files: Sequence[Registered] = ()
        self._trouble = ""

    def start(self) -> None:
        """Begin to watch, in a thread of its own."""
        self._stop.clear()
        self._thread = threading.Thread(target=self.run, name="heartbeat-files", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End; the next watcher may begin at once."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(5)
            self._thread = None

    def run(self) -> None:
        """Watch until it is stopped."""
        while not self._stop.is_set():
            seconds = self._guarded()
            self._notices.wait({file.where.folder for file in self._files}, seconds)
        self._notices.close()
        if self._leads:
            self._leave()

    def _guarded(self) -> float:
        try:
            seconds = self._round()
        except (RedisNotReachable, *ConnectionFailed) as error:
            self._complain(f"Redis is away ({error})")
            return self._seconds
        except Exception as error:
            # A thread that died would leave the files to beat; the next round may go better.
            self._complain(f"{type(error).__name__}: {error}")
            return self._seconds
        self._trouble = ""
        return seconds

    def _round(self) -> float:
        """One look; returns the seconds until the next one if nothing happens."""
        now = time.monotonic()
        if now - self._lease_at >= RENEW_ROUNDS * self._seconds:
            self._leads = self._store.files.watch(self._host, self._name, int(LEASE_ROUNDS * self._seconds * 1000))
            self._lease_at = now
        if not self._leads:
            self._files = ()
            return self._seconds
        if now - self._registry_at >= self._seconds:
            self._files = self._registry.of_host(self._host)
            self._registry_at = now
        _, soonest = self._looker.look(self._files)
        return min(soonest, max(0.0, self._registry_at + self._seconds - time.monotonic()))

    def _leave(self) -> None:
        try:
            self._store.files.leave(self._host, self._name)
        except ConnectionFailed:
            log.info("Redis is away; the next watcher of heartbeat files takes over when the lease has run out")

    def _complain(self, trouble: str) -> None:
        if trouble != self._trouble:
            log.warning("heartbeat files wait: %s", trouble)
        self._trouble = trouble
