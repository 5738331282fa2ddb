"""Heartbeat files as the rest of the system uses them: the register, the watcher of a worker, the duty of beat."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from orchestrator.control.files.declared import files_of, reparsed
from orchestrator.control.files.looker import Looker
from orchestrator.control.files.reader import CarryOut, Reader
from orchestrator.control.files.registry import Registered, Registry
from orchestrator.control.files.watch import Watch
from orchestrator.engine.duty import Duty
from orchestrator.store.connection import is_away
from orchestrator.store.store import Store

if TYPE_CHECKING:
    from orchestrator.agents.declare.instructions import Declaration

log = logging.getLogger(__name__)

FORGET_SECONDS: Final = 30.0
"""How often beat looks for files of goals that are gone."""


def this_host() -> str:
    """The machine as the register names it."""
    return socket.gethostname()


class HeartbeatFiles:
    """Every method may raise what the connection raises when Redis is away."""

    def __init__(self, store: Store, carry_out: CarryOut, seconds: float) -> None:
        """`seconds` lie between two looks of beat, and of the watcher where the system tells of no change."""
        self._store = store
        self._carry_out = carry_out
        self._seconds = seconds
        self._scan: threading.Thread | None = None
        self._began = 0.0
        self._forgot = time.monotonic()
        self._registry = Registry(store)
        self._looker = self._new_looker()

    @property
    def registry(self) -> Registry:
        """Which files are read."""
        return self._registry

    def register_declared(self, declaration: Declaration, goal: str) -> list[Registered]:
        """Read the files that the goal's agents name, on this machine. Raises NotReadable."""
        files = files_of(declaration, goal, this_host())
        registry = self.registry
        for file in files:
            registry.register(file)
        return files

    def watcher(self, host: str) -> str | None:
        """Who watches the files of a machine; beat looks at them all the same."""
        return self._store.files.watcher(host)

    def watch(self, worker: str) -> Watch:
        """A watcher for the files of this machine."""
        name = f"{worker}:{os.getpid()}"
        return Watch(name, this_host(), self._store, Registry(self._store), self._new_looker(), self._seconds)

    # -- beat --------------------------------------------------------------------------------------------------------

    def duty(self) -> Duty:
        """The safety net: files that nobody watches, or of whose changes the system does not tell."""
        return Duty("files", self._seconds, self.tick)

    def tick(self) -> str:
        """Look at the files of this machine, in a thread: a file system that does not answer must not stop beat."""
        files = self._registry.of_host(this_host())
        forgot = self._forget()
        note = f"{len(files)} files" + (f", {forgot} forgotten" if forgot else "")
        if self._scan is not None and self._scan.is_alive():
            return f"{note}; the last look began {time.monotonic() - self._began:.1f} s ago"
        if files:
            self._began = time.monotonic()
            self._scan = threading.Thread(target=self._look, args=(files,), name="heartbeat-scan", daemon=True)
            self._scan.start()
        return note

    def _look(self, files: Sequence[Registered]) -> None:
        try:
            self._looker.look(files)
        except Exception as error:
            if not is_away(error):
                raise
            log.warning("heartbeat files wait: Redis is away, or takes no writes (%s)", error)

    def _forget(self) -> int:
        if time.monotonic() - self._forgot < FORGET_SECONDS:
            return 0
        self._forgot = time.monotonic()
        goals = {file.goal for file in self._registry.all() if file.goal is not None}
        return self._registry.forget_goals(self._store.files.gone(goals)) if goals else 0

    def _new_looker(self) -> Looker:
        return Looker(lambda file: Reader(file, self._store, self._carry_out, reparsed))
