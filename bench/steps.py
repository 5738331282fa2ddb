"""A chain of steps that write down when they begin, to see how long a kill stops them.

    python -m bench.steps work bench.peers.dbos 20 0.5
    python -m bench.steps submit bench.celery_peer 20 0.5

`submit` hands the chain to a system and ends. `work` is what is killed and started again, where that is not a worker that
the system brings: it runs the chain, or goes on with it, to its end.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Final

FILE: Final = "BENCH_STEPS"
"""The variable with the path of the file that steps write to."""


@dataclass(frozen=True, slots=True)
class Step:
    """One beginning of one step."""

    at: int
    """Its number, from 0."""
    began: float
    """Seconds since the epoch."""


def take(at: int, seconds: float) -> None:
    """Write down that step `at` begins, then take as long as it takes."""
    mark(at)
    time.sleep(seconds)


def mark(at: int) -> None:
    """Write down that step `at` begins. One short append: whole even when the process is killed right after."""
    file = os.open(os.environ[FILE], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        os.write(file, f"{at} {time.time()}\n".encode())
    finally:
        os.close(file)


def read(path: Path) -> list[Step]:
    """What was written down so far."""
    lines = path.read_text().splitlines() if path.exists() else []
    return [Step(int(at), float(began)) for at, began in map(str.split, lines)]


def main() -> None:
    """Do as the arguments say."""
    what, module, count, seconds = sys.argv[1:]
    getattr(import_module(module), f"{what}_steps")(int(count), float(seconds))


if __name__ == "__main__":
    main()
