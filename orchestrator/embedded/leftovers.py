"""What a supervisor that was killed left running, and its end: only one stack may use a data directory."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from orchestrator.embedded.identity import identity
from orchestrator.embedded.records import ProcessInfo, Role, read
from orchestrator.embedded.roles import REDIS_STOP
from orchestrator.embedded.valkey import Answer, ask, shut_down


def leftovers(state: Path) -> list[ProcessInfo]:
    """Processes of the last recorded stack that still live, their supervisor apart."""
    info = read(state)
    seen = [process.observed() for process in info.processes] if info else []
    return [process for process in seen if process.alive and process.role is not Role.SUPERVISOR]


def end_leftovers(state: Path, socket: Path) -> list[str]:
    """End them: workers and beat at once (their leases hand the work on), then the server, which flushes its file.

    Call it with the directory's lock held. Returns what was ended, in words.
    """
    left = leftovers(state)
    others = [process for process in left if process.role is not Role.REDIS]
    servers = [process for process in left if process.role is Role.REDIS]
    _end(others, signal.SIGKILL, 5.0)
    _end(servers, *((REDIS_STOP[0].signal, REDIS_STOP[0].seconds)))
    _end(servers, signal.SIGKILL, 5.0)
    if shut_down(socket):  # one that was never written down
        _until(lambda: ask(socket) is Answer.SILENT, REDIS_STOP[0].seconds)
    return [f"{process.name} (pid {process.pid})" for process in left]


def _end(processes: Sequence[ProcessInfo], number: signal.Signals, seconds: float) -> None:
    alive = [process for process in processes if process.observed().alive]
    for process in alive:
        with suppress(ProcessLookupError, PermissionError):
            # Each leads a group of its own; SIGKILL is for all of it, a request to end is for the leader.
            (os.killpg if number == signal.SIGKILL else os.kill)(process.pid or 0, number)
    _until(lambda: not any(identity(process.pid or 0) == process.identity for process in alive), seconds)


def _until(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
