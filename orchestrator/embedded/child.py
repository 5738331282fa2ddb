"""One supervised process: started, watched, started again after a back-off, and stopped step by step."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from orchestrator.embedded.identity import identity
from orchestrator.embedded.logs import open_log, tail
from orchestrator.embedded.records import ProcessInfo
from orchestrator.embedded.roles import STEADY_SECONDS, Command, StopStep, restart_delay

_LAUNCHER = (sys.executable, "-I", "-S", str(Path(__file__).with_name("launch.py")))


class Child:
    """A command that is kept running. `now` is the monotonic clock everywhere, in seconds.

    Start it from the thread that supervises it: on Linux it dies with that thread (see launch.py).
    """

    def __init__(self, command: Command, log: Path) -> None:
        self.command = command
        self.deaths = 0
        """Deaths in a row; 0 again after it lived for a while."""
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._last = ProcessInfo(command.role, command.name, None, False, 0, 0.0)
        self._starts = 0
        self._log_began = 0
        self._since = self._restart_at = 0.0
        self._step = -1
        self._step_ends = 0.0

    @property
    def info(self) -> ProcessInfo:
        """What it looks like to others."""
        return self._last

    def start(self, now: float) -> None:
        """Start the process. Raises OSError when the system cannot."""
        command = self.command
        if command.ready_mark is not None:
            command.ready_mark.unlink(missing_ok=True)
        log = open_log(self._log)
        try:
            self._log_began = os.fstat(log).st_size
            self._process = subprocess.Popen(
                self._argv(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=command.directory,
                env={**os.environ, **command.environment},
                # A group of its own: Ctrl-C in the terminal reaches the supervisor alone, which stops things in order.
                start_new_session=True,
            )  # fmt: skip
        finally:
            os.close(log)
        self._starts += 1
        self._since = now
        self._remember(True)

    def _argv(self) -> list[str]:
        if not sys.platform.startswith("linux"):
            return list(self.command.argv)
        return [*_LAUNCHER, str(int(self.command.orphan_signal)), str(os.getpid()), *self.command.argv]

    def _remember(self, alive: bool) -> None:
        pid = self._process.pid if self._process else None
        name = (identity(pid) or "") if pid and alive else ""
        started = time.time() if alive else self._last.started
        self._last = ProcessInfo(
            self.command.role, self.command.name, pid, alive, max(0, self._starts - 1), started, name
        )

    def ready(self) -> bool:
        """Whether it lives and, if it says so at all, has said that it is ready."""
        mark, probe = self.command.ready_mark, self.command.probe
        return self._process is not None and (mark is None or mark.exists()) and (probe is None or probe())

    def watch(self, now: float) -> str | None:
        """See whether it lives; start it again when its time has come. Returns what happened, in words."""
        if self._process is None:
            return self._start_again(now) if now >= self._restart_at else None
        code = self._process.poll()
        if code is None:
            if now - self._since >= STEADY_SECONDS:
                self.deaths = 0
            return None
        return self._died(f"ended ({exit_reason(code)})", now)

    def _start_again(self, now: float) -> str:
        try:
            self.start(now)
        except OSError as error:
            return self._died(f"could not be started ({error})", now)
        return f"{self.command.name} runs again, pid {self._last.pid}"

    def _died(self, how: str, now: float) -> str:
        self._sweep()
        self._remember(False)
        self._process = None
        self.deaths = 1 if now - self._since >= STEADY_SECONDS else self.deaths + 1
        delay = restart_delay(self.deaths)
        self._restart_at = now + delay
        return f"{self.command.name} {how}; it starts again in {delay:g} s (log: {self._log})"

    def _sweep(self) -> None:
        """End what the dead process left in its group: half-done work that is about to be done again elsewhere."""
        if self._process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def last_words(self) -> str:
        """The end of what the latest process logged."""
        return tail(self._log, self._log_began)

    def stop(self, now: float) -> bool:
        """Go on with stopping: the first call begins, each returns whether it is gone."""
        if self._process is None:
            return True
        if self._process.poll() is not None:
            self._sweep()
            self._remember(False)
            self._process = None
            return True
        if self._step < 0 or (now >= self._step_ends and self._step + 1 < len(self.command.stop)):
            self._take_step(self._step + 1, now)
        return False

    def hurry(self, now: float) -> None:
        """Take the next step of stopping now."""
        if self._process is not None and 0 <= self._step < len(self.command.stop) - 1:
            self._take_step(self._step + 1, now)

    def _take_step(self, number: int, now: float) -> None:
        step: StopStep = self.command.stop[number]
        self._step, self._step_ends = number, now + step.seconds
        if step.signal == signal.SIGKILL:
            self._sweep()
        elif self._process is not None:
            self._process.send_signal(step.signal)


def exit_reason(code: int) -> str:
    """``exit 3`` or the name of the signal."""
    if code >= 0:
        return f"exit {code}"
    with suppress(ValueError):
        return signal.Signals(-code).name
    return f"signal {-code}"
