"""Real servers and workers for tests: each a process of its own, ended by its pid."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.embedded.binary import find_server
from orchestrator.settings import Settings
from orchestrator.wiring import Chordal, connect


def until(condition: Callable[[], Any], seconds: float = 20.0, what: str = "") -> Any:
    """The first true answer of `condition`, asked until the deadline; else the test fails and says what it waited for."""
    end = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() >= end:
            raise AssertionError(f"not within {seconds:g} s: {what or getattr(condition, '__name__', 'the condition')}")
        time.sleep(0.02)


@dataclass
class Server:
    """A Valkey of our own on a unix socket, with an append-only file."""

    folder: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self.folder / 's'}"

    def start(self, *options: str) -> None:
        binary = str(find_server().path)
        fixed = ["--port", "0", "--unixsocket", str(self.folder / "s"), "--dir", str(self.folder), "--save", ""]
        with (self.folder / "valkey.log").open("ab") as log:
            self.process = subprocess.Popen(
                [binary, *fixed, "--appendonly", "yes", *options], stdout=log, stderr=subprocess.STDOUT
            )
        chordal = connect(Settings(redis_url=self.url))
        until(lambda: _answers(chordal), what="the server answers")
        chordal.store.close()

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(20)
            self.process = None


def _answers(chordal: Chordal) -> bool:
    try:
        chordal.store.fleet.ping()
    except Exception:
        return False
    return True


@contextmanager
def server() -> Iterator[Server]:
    """A server for as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="chordal-test-") as folder:
        one = Server(Path(folder))
        one.start()
        try:
            yield one
        finally:
            one.stop(signal.SIGKILL)


@dataclass
class Proc:
    """One process of a fleet, with its log."""

    process: subprocess.Popen[bytes]
    log: Path

    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def children(self) -> list[int]:
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in path.read_text().split()] if path.exists() else []

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Signal the process and its children, as a machine that goes away does."""
        for pid in [*self.children(), self.process.pid]:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue

    def end(self, seconds: float = 10.0) -> None:
        if self.process.poll() is None:
            children = self.children()
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()
                self.process.wait(5)
            for pid in children:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue


@dataclass
class Fleet:
    """Workers and beats on one server, in a folder that also is their working directory."""

    url: str
    folder: Path
    env: Mapping[str, str] = field(default_factory=dict)
    procs: list[Proc] = field(default_factory=list)

    def environment(self) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("CHORDAL_", "REDIS_URL"))}
        base = {"CHORDAL_REDIS_URL": self.url, "CHORDAL_DATA_DIR": str(self.folder / "data"), "PYTHONUNBUFFERED": "1"}
        return {**clean, **base, **self.env}

    def start(self, *argv: str, app: str = "orchestrator", wait_for: str = "") -> Proc:
        log = self.folder / f"{len(self.procs)}-{argv[0]}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", app, *argv],
                cwd=self.folder, env=self.environment(), stdout=out, stderr=subprocess.STDOUT,
            )  # fmt: skip
        proc = Proc(process, log)
        self.procs.append(proc)
        if wait_for:
            until(lambda: wait_for in proc.text() or process.poll() is not None, 30, f"{wait_for!r} in {log}")
            assert process.poll() is None, proc.text()
        return proc

    def worker(
        self, name: str = "w1", *argv: str, pool: str = "prefork", slots: int = 2, app: str = "orchestrator"
    ) -> Proc:
        """A worker, up to its heartbeat."""
        options = [
            "-n",
            f"{name}@test",
            "-c",
            str(slots),
            "-P",
            pool,
            "-l",
            "INFO",
            "--without-gossip",
            "--without-mingle",
        ]
        return self.start("worker", *options, *argv, app=app, wait_for=" ready.")

    def beat(self) -> Proc:
        """A beat that has begun to tick."""
        return self.start("beat", "-l", "INFO", wait_for="Acquired lock")

    def stop(self) -> None:
        for proc in reversed(self.procs):
            proc.end()
        self.procs.clear()

    def chordal(self, **settings: Any) -> Chordal:
        """A client of the fleet."""
        return connect(Settings(redis_url=self.url, data_dir=self.folder / "data", **settings))
