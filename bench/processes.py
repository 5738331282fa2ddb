"""Processes of one repetition: a fresh server and what works on it, each ended by its pid, and what they used."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import redis

from orchestrator.embedded.binary import find_server

ROOT: Final = Path(__file__).resolve().parent.parent
STOP_SECONDS: Final = 10.0


class BenchError(Exception):
    """A measurement could not be made; the message says which process's log tells why."""


def until(condition: Callable[[], Any], seconds: float, what: str, pause: float = 0.02) -> Any:
    """The first true answer of `condition`. Raises BenchError when there is none within `seconds`."""
    end = time.monotonic() + seconds
    while not (answer := condition()):
        if time.monotonic() >= end:
            raise BenchError(f"not within {seconds:g} s: {what}")
        time.sleep(pause)
    return answer


@dataclass
class Processes:
    """What was started in one folder, which also holds the logs."""

    folder: Path
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The server, as redis-py names it."""
        return f"unix://{self.folder / 'redis.sock'}"

    def environment(self) -> dict[str, str]:
        """Nothing of the user's own Chordal; the folder with `bench` can be imported."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("CHORDAL_", "REDIS_URL"))}
        return {
            **kept,
            "PYTHONPATH": str(ROOT),
            "BENCH_REDIS_URL": self.url,
            "CHORDAL_REDIS_URL": self.url,
            "CHORDAL_DATA_DIR": str(self.folder / "data"),
            "CHORDAL_IMPORTS": "bench.nodes",
        }

    def start(self, name: str, *argv: str) -> None:
        """Start one process; its output goes to `<name>.log`."""
        with self.log(name).open("wb") as log:
            process = subprocess.Popen(
                argv, cwd=self.folder, env=self.environment(), stdout=log, stderr=subprocess.STDOUT
            )
        self.started.append(process)

    def celery(self, app: str, command: str, *options: str) -> None:
        """Start a Celery process."""
        self.start(command, sys.executable, "-m", "celery", "-A", app, command, *options)

    def log(self, name: str) -> Path:
        """Where the output of a process goes."""
        return self.folder / f"{name}.log"

    def start_server(self) -> None:
        """A server with an append-only file that is synced every second, up to its first answer."""
        options = {
            "port": "0", "unixsocket": str(self.folder / "redis.sock"), "dir": str(self.folder), "save": "",
            "appendonly": "yes", "appendfsync": "everysec",
        }  # fmt: skip
        flat = [part for name, value in options.items() for part in (f"--{name}", value)]
        self.start("redis", str(find_server().path), *flat)
        client = redis.Redis.from_url(self.url)
        until(lambda: _answers(client), 20, f"the server answers; see {self.log('redis')}")
        client.close()

    def stop(self) -> None:
        """End everything, the last started first, and what they leave behind."""
        children = [pid for process in self.started for pid in descendants(process.pid)]
        for process in reversed(self.started):
            if process.poll() is None:
                process.terminate()
        for process in reversed(self.started):
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for pid in children:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.started.clear()

    def pids(self) -> list[int]:
        """Every process that was started here, with its children."""
        own = [process.pid for process in self.started if process.poll() is None]
        return [*own, *(pid for parent in own for pid in descendants(parent))]


def _answers(client: Any) -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


def descendants(pid: int) -> list[int]:
    """The children of a process and theirs; none where there is no /proc."""
    try:
        direct = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
    return [found for child in direct for found in (child, *descendants(child))]


@contextmanager
def processes() -> Iterator[Processes]:
    """A folder with a fresh server, for as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="chordal-bench-") as folder:
        made = Processes(Path(folder))
        try:
            made.start_server()
            yield made
        except BenchError as error:
            raise BenchError(f"{error}\n{_tails(made.folder)}") from None
        finally:
            made.stop()


def _tails(folder: Path) -> str:
    """The ends of the logs: the folder is gone when somebody reads the error."""
    tails: Mapping[str, str] = {
        log.name: log.read_text(errors="replace")[-1500:] for log in sorted(folder.glob("*.log"))
    }
    return "\n".join(f"--- {name}\n{tail}" for name, tail in tails.items() if tail)
