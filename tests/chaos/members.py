"""The processes under chaos: workers and beats that are started again when they die, as a supervisor does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.embedded.child import exit_reason
from support.proxy import Proxy

SLOTS = 2
QUICK_SECONDS = 3.0
"""A process that lived shorter than this waits a second before it is started again."""


def children(pid: int) -> list[int]:
    """The processes that `pid` has forked."""
    path = Path(f"/proc/{pid}/task/{pid}/children")
    try:
        return [int(child) for child in path.read_text().split()]
    except OSError:
        return []


def strike(number: int, *pids: int) -> None:
    """Signal processes; one that is gone already is no fault."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


@dataclass
class Member:
    """One worker or beat of the fleet, through all its lives."""

    name: str
    role: str
    folder: Path
    environment: Mapping[str, str]
    proxy: Proxy | None = None
    prefix: tuple[str, ...] = ()
    """Words before the command, for instance `ip netns exec`."""
    app: str = "orchestrator"
    pool: tuple[str, ...] = ("-c", str(SLOTS), "-P", "prefork")
    process: subprocess.Popen[bytes] | None = None
    lives: int = 0
    ends: list[tuple[float, int, str]] = field(default_factory=list)
    """When (seconds since the epoch) and how each life ended."""
    began: float = 0.0
    restart_at: float = 0.0
    wanted: bool = True
    """False while a fault keeps it down."""

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.{self.lives}.log"

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def ready(self) -> bool:
        mark = "Starting..." if self.role == "beat" else " ready."
        return self.alive and self.log.exists() and mark in self.log.read_text(errors="replace")

    def argv(self) -> list[str]:
        words = [*self.prefix, sys.executable, "-m", "celery", "-A", self.app]
        if self.role == "beat":
            return [*words, "beat", "-l", "INFO"]
        words += [
            "worker",
            "-l",
            "INFO",
            "-n",
            f"{self.name}@chaos",
            *self.pool,
            "--without-gossip",
            "--without-mingle",
        ]
        return words

    def start(self) -> None:
        self.lives += 1
        self.began = time.time()
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                self.argv(), cwd=self.folder, env=dict(self.environment), stdout=log, stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip

    def pids(self) -> frozenset[int]:
        """Of the main process and its children."""
        return frozenset({self.pid, *children(self.pid)}) if self.process is not None else frozenset()

    def watch(self) -> None:
        """Notice its death, and start it again when it is time."""
        if self.process is not None and self.process.poll() is not None:
            self.sweep()
            self.ends.append((time.time(), self.process.pid, exit_reason(self.process.returncode)))
            self.process = None
            self.restart_at = time.time() + (1.0 if time.time() - self.began < QUICK_SECONDS else 0.0)
        if self.process is None and self.wanted and time.time() >= self.restart_at:
            self.start()

    def sweep(self) -> None:
        """End what is left of its process group: the children of a main that was killed."""
        if self.process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)

    def stop(self, seconds: float = 8.0) -> None:
        """End it: a warm shutdown, then all of its group."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGCONT)
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(seconds)
            self.sweep()
            self.process.wait(5)
            self.process = None
