"""A stack in a process of its own, with the real server and substitutes for workers and beat.

python stack_driver.py DATA_DIR [--json]
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL
from typing import Any

from orchestrator.cli.stack import hold
from orchestrator.embedded.identity import identity
from orchestrator.embedded.records import Role
from orchestrator.embedded.roles import BEAT_STOP, WORKER_STOP, Command
from orchestrator.embedded.stack import Stack
from orchestrator.settings import Settings

#: Says that it is ready; on SIGTERM writes down what the server answers at that moment, and ends.
WORKER = """
import os, pathlib, signal, socket, sys, time
mark, server, farewell = map(pathlib.Path, sys.argv[1:])
def end(*_):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(server))
        connection.sendall(b"PING\\r\\n")
        farewell.write_bytes(connection.recv(64))
    os._exit(0)
signal.signal(signal.SIGTERM, end)
mark.touch()
while True:
    time.sleep(60)
"""
#: Does not listen to anything that asks it to end.
STUBBORN = """
import pathlib, signal, sys, time
for number in (signal.SIGTERM, signal.SIGQUIT):
    signal.signal(number, signal.SIG_IGN)
pathlib.Path(sys.argv[1]).touch()
while True:
    time.sleep(60)
"""


def worker(data_dir: Path, environment: Mapping[str, str], code: str = WORKER, name: str = "w1") -> Command:
    """A substitute for a Celery worker."""
    mark = data_dir / "run" / f"{name}.ready"
    arguments = (str(mark), str(data_dir / "valkey.sock"), str(data_dir / f"{name}.farewell"))
    return Command(
        Role.WORKER, name, (sys.executable, "-c", code, *arguments), WORKER_STOP, environment, ready_mark=mark
    )


def parts(data_dir: Path) -> Callable[[Mapping[str, str]], Sequence[Command]]:
    """One substitute worker and a substitute beat."""
    beat = Command(Role.BEAT, "beat", (sys.executable, "-c", "import time; time.sleep(1e6)"), BEAT_STOP)
    return lambda environment: [worker(data_dir, environment), beat]


def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait for a condition; fail when it does not come true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s"
        time.sleep(0.01)


@dataclass(frozen=True)
class Driven:
    """A stack in another process, and what it said when it was ready."""

    process: subprocess.Popen[str]
    said: dict[str, Any]
    identities: dict[int, str]

    def pid(self, name: str) -> int:
        """The pid that a part had at the start."""
        return int(next(process["pid"] for process in self.said["processes"] if process["name"] == name))

    def all_gone(self) -> bool:
        """Whether none of the processes of the start still lives."""
        return not any(identity(pid) == known for pid, known in self.identities.items())


@contextmanager
def driven(data_dir: Path) -> Iterator[Driven]:
    """Run this file, and leave nothing behind whatever happens."""
    process = subprocess.Popen(
        [sys.executable, __file__, str(data_dir), "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    known: dict[int, str] = {}
    try:
        line = process.stdout.readline()
        assert line, process.stderr.read()
        said = json.loads(line)
        known.update((row["pid"], identity(row["pid"]) or "") for row in said["processes"])
        yield Driven(process, said, known)
    finally:
        for pid in [pid for pid, one in known.items() if one and identity(pid) == one] or [process.pid]:
            if process.poll() is None or pid != process.pid:
                os.kill(pid, SIGKILL)
        process.wait(10)
        process.stdout.close()
        process.stderr.close()


if __name__ == "__main__":
    place = Path(sys.argv[1])
    hold(Stack(Settings(data_dir=place), parts=parts(place)), as_json="--json" in sys.argv)
