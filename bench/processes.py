"""Processes of one repetition: a fresh server and what works on it, each ended by its pid, and what they used."""

from __future__ import annotations

import os
import signal
import socket
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
_SILENT: Final = {
    "DO_NOT_TRACK": "1", "RAY_USAGE_STATS_ENABLED": "0", "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "LANGSMITH_TRACING": "false", "NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost",
}  # fmt: skip
"""Peers measure and send nothing of their own meanwhile, and reach their own servers directly."""


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
    python: Path = Path(sys.executable)
    """The interpreter of the system's environment."""
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)
    extra: dict[str, str] = field(default_factory=dict)
    """What a server adds to the environment: where it is."""

    @property
    def url(self) -> str:
        """The server, as redis-py names it."""
        return f"unix://{self.folder / 'redis.sock'}"

    def environment(self) -> dict[str, str]:
        """Nothing of the user's own Chordal; the folder with `bench` can be imported."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("CHORDAL_", "REDIS_URL"))}
        return {
            **kept,
            **_SILENT,
            "PYTHONPATH": str(ROOT),
            "BENCH_STEPS": str(self.folder / "steps"),
            "BENCH_REDIS_URL": self.url,
            "CHORDAL_REDIS_URL": self.url,
            "CHORDAL_DATA_DIR": str(self.folder / "data"),
            "CHORDAL_IMPORTS": "bench.nodes",
            **self.extra,
        }

    def start(self, name: str, *argv: str, stdin: int | None = None) -> subprocess.Popen[bytes]:
        """Start one process; its output goes to `<name>.log`, or to its pipe if `stdin` makes it a conversation."""
        with self.log(name).open("ab") as log:
            process = subprocess.Popen(
                argv, cwd=self.folder, env=self.environment(), stdin=stdin, stderr=log,
                stdout=subprocess.PIPE if stdin == subprocess.PIPE else log,
            )  # fmt: skip
        self.started.append(process)
        return process

    def celery(self, app: str, command: str, *options: str) -> subprocess.Popen[bytes]:
        """Start a Celery process."""
        return self.start(command, sys.executable, "-m", "celery", "-A", app, command, *options)

    def steps(self, what: str, module: str) -> subprocess.Popen[bytes]:
        """Start `bench.steps` with the chain that is measured."""
        count, seconds = self.extra["BENCH_CHAIN"].split()
        return self.start(f"steps-{what}", str(self.python), "-m", "bench.steps", what, module, count, seconds)

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """SIGKILL to a process and all below it."""
        for pid in [*descendants(process.pid), process.pid]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()
        self.started.remove(process)

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


def free_port() -> int:
    """A TCP port of this machine that nobody listens on at the moment."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def listening(port: int) -> bool:
    """Whether somebody accepts connections."""
    with socket.socket() as one:
        one.settimeout(0.5)
        return one.connect_ex(("127.0.0.1", port)) == 0


def _answers(client: Any) -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


def descendants(pid: int) -> list[int]:
    """The children of a process and theirs; none where there is no /proc."""
    try:
        direct = [
            int(child)
            for thread in Path(f"/proc/{pid}/task").iterdir()  # each thread lists those that it started
            for child in (thread / "children").read_text().split()
        ]
    except OSError:
        return []
    return [found for child in direct for found in (child, *descendants(child))]


@contextmanager
def processes(
    server: Callable[[Processes], object] = Processes.start_server, python: Path | None = None
) -> Iterator[Processes]:
    """A folder with a fresh server, for as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="chordal-bench-", ignore_cleanup_errors=True) as folder:
        made = Processes(Path(folder), python or Path(sys.executable))
        try:
            server(made)
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
